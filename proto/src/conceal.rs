//! `Debug` by hand for the messages that hold secrets: everything but the secret. Which they are
//! the protobufs say (`debug_redact`), and the test `generated` reads it there.

use std::fmt;

use crate::v1::{
    AuthServiceLoginRequest, IssuedToken, PolicyServiceExplainRequest, RootAttempt, SecretsServiceGetResponse,
    SecretsServicePatchRequest, SecretsServicePutRequest, SecretsServiceRotateRequest,
    SysServiceGiveGenerateRootShareRequest, SysServiceGiveRekeyShareRequest, SysServiceGiveRekeyShareResponse,
    SysServiceGiveRekeyVerificationShareRequest, SysServiceInitResponse, SysServiceStartGenerateRootRequest,
    SysServiceUnsealRequest, TokenServiceCreateRequest,
};

macro_rules! concealed {
    ($($message:ident { $($shown:ident),* })*) => { $(
        impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($message))$(.field(stringify!($shown), &self.$shown))*.finish_non_exhaustive()
            }
        }
    )* };
}

concealed! {
    AuthServiceLoginRequest { method, mount }
    IssuedToken { accessor, policies, ttl_seconds }
    PolicyServiceExplainRequest { path, operation, policies }
    RootAttempt { started, nonce, progress, required, complete }
    SecretsServiceGetResponse { path, version }
    SecretsServicePatchRequest { path, expected_version }
    SecretsServicePutRequest { path, expected_version }
    SecretsServiceRotateRequest { path }
    SysServiceGiveGenerateRootShareRequest { nonce }
    SysServiceGiveRekeyShareRequest { nonce }
    SysServiceGiveRekeyShareResponse { complete, nonce }
    SysServiceGiveRekeyVerificationShareRequest { nonce }
    SysServiceInitResponse {}
    SysServiceStartGenerateRootRequest {}
    SysServiceUnsealRequest { reset }
    TokenServiceCreateRequest { policies, ttl_seconds, display_name, orphan }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{SecretReadResult, SecretsServiceBatchGetResponse, TokenServiceCreateResponse, secret_read_result};

    /// `shown` is in what `Debug` prints, and none of the secrets.
    fn prints(message: &dyn fmt::Debug, shown: &str) {
        let text = format!("{message:?} {message:#?}");
        assert!(text.contains(shown) && !text.contains("hunter2"), "{text}");
        // Bytes are printed as a string or as numbers.
        assert!(!text.contains("104, 117, 110"), "{text}");
    }

    #[test]
    fn messages_print_paths_and_no_secret() {
        let json = || bytes::Bytes::from_static(br#"{"password":"hunter2"}"#);
        let secret = || "hunter2".to_owned();
        let path = || "a/b".to_owned();
        let get = SecretsServiceGetResponse { path: path(), json: json(), ..Default::default() };
        prints(&get, "a/b");
        let outcome = Some(secret_read_result::Outcome::Secret(get));
        prints(&SecretsServiceBatchGetResponse { results: vec![SecretReadResult { outcome }] }, "a/b");
        prints(&SecretsServicePutRequest { path: path(), json: json(), ..Default::default() }, "a/b");
        prints(&SecretsServicePatchRequest { path: path(), json: json(), ..Default::default() }, "a/b");
        prints(&SecretsServiceRotateRequest { path: path(), params_json: json() }, "a/b");
        prints(&AuthServiceLoginRequest { method: path(), mount: None, json: json() }, "a/b");
        let issued = IssuedToken { token: secret(), accessor: path(), ..Default::default() };
        prints(&TokenServiceCreateResponse { issued: Some(issued), warnings: vec![] }, "a/b");
        prints(&TokenServiceCreateRequest { id: secret(), display_name: path(), ..Default::default() }, "a/b");
        let explain =
            PolicyServiceExplainRequest { path: path(), token: Some(secret()), json: json(), ..Default::default() };
        prints(&explain, "a/b");
        let keys = SysServiceInitResponse { keys: vec![secret()], keys_base64: vec![secret()], root_token: secret() };
        prints(&keys, "SysServiceInitResponse");
        prints(&SysServiceUnsealRequest { key: secret(), reset: false }, "reset: false");
        let made = RootAttempt { nonce: path(), encoded_token: secret(), otp: secret(), ..Default::default() };
        prints(&made, "a/b");
        prints(&SysServiceStartGenerateRootRequest { otp: secret() }, "SysServiceStartGenerateRootRequest");
        prints(&SysServiceGiveGenerateRootShareRequest { nonce: path(), key: secret() }, "a/b");
        prints(&SysServiceGiveRekeyShareRequest { nonce: path(), key: secret() }, "a/b");
        prints(&SysServiceGiveRekeyVerificationShareRequest { nonce: path(), key: secret() }, "a/b");
        let (keys, keys_base64) = (vec![secret()], vec![secret()]);
        prints(&SysServiceGiveRekeyShareResponse { nonce: path(), keys, keys_base64, ..Default::default() }, "a/b");
    }
}

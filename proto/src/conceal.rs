//! `Debug` by hand for the messages that hold secrets: everything but the secret.

use std::fmt;

use crate::v1::{SecretsServiceGetResponse, SecretsServicePatchRequest, SecretsServicePutRequest};

impl fmt::Debug for SecretsServiceGetResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretsServiceGetResponse")
            .field("path", &self.path)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SecretsServicePatchRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretsServicePatchRequest")
            .field("path", &self.path)
            .field("expected_version", &self.expected_version)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SecretsServicePutRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretsServicePutRequest")
            .field("path", &self.path)
            .field("expected_version", &self.expected_version)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_print_paths_and_no_secret() {
        let json = bytes::Bytes::from_static(br#"{"password":"hunter2"}"#);
        let path = || "a/b".to_owned();
        let get = SecretsServiceGetResponse { path: path(), json: json.clone(), ..Default::default() };
        let put = SecretsServicePutRequest { path: path(), json: json.clone(), ..Default::default() };
        let patch = SecretsServicePatchRequest { path: path(), json, ..Default::default() };
        for text in [format!("{get:?}"), format!("{put:?}"), format!("{patch:?}")] {
            assert!(text.contains("a/b") && !text.contains("json") && !text.contains("hunter2"), "{text}");
        }
    }
}

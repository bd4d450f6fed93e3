//! Every method of every service: its message in, its message out.

use warder_proto::v1::{
    audit_service_client::AuditServiceClient, auth_service_client::AuthServiceClient,
    lease_service_client::LeaseServiceClient, limit_service_client::LimitServiceClient,
    mount_service_client::MountServiceClient, policy_service_client::PolicyServiceClient,
    secrets_service_client::SecretsServiceClient, sys_service_client::SysServiceClient,
    token_service_client::TokenServiceClient,
};

use crate::{client::Client, error::Error, proto, retry::Kind};

macro_rules! service {
    ($(#[$doc:meta])* $name:ident $client:ident { $($(#[$words:meta])* $kind:ident $method:ident($asked:ident) -> $answer:ident;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name<'a>(pub(crate) &'a Client);

        impl $name<'_> { $(
            $(#[$words])*
            ///
            /// # Errors
            #[doc = concat!("Those of the method, told by [`Error::code`].")]
            pub async fn $method(self, asked: proto::$asked) -> Result<proto::$answer, Error> {
                let send = |client: Client, request| async move {
                    let largest = client.largest();
                    let mut grpc = $client::with_origin(client.wire(), client.wire().origin());
                    grpc = grpc.max_decoding_message_size(largest);
                    grpc.$method(request).await
                };
                Box::pin(self.0.call(Kind::$kind, asked, send)).await
            }
        )* }
    };
}

service! {
    /// `SecretsService`: values, versions, names.
    SecretsApi SecretsServiceClient {
        /// Reads a secret.
        Read get(SecretsServiceGetRequest) -> SecretsServiceGetResponse;
        /// Reads up to 100 secrets, each decided by itself.
        Read batch_get(SecretsServiceBatchGetRequest) -> SecretsServiceBatchGetResponse;
        /// Stores a new version.
        Write put(SecretsServicePutRequest) -> SecretsServicePutResponse;
        /// Merges into the current version.
        Write patch(SecretsServicePatchRequest) -> SecretsServicePatchResponse;
        /// Soft-deletes the latest version, or the named ones.
        Write delete(SecretsServiceDeleteRequest) -> SecretsServiceDeleteResponse;
        /// Restores soft-deleted versions.
        Write undelete(SecretsServiceUndeleteRequest) -> SecretsServiceUndeleteResponse;
        /// Removes the named versions for good.
        Write destroy(SecretsServiceDestroyRequest) -> SecretsServiceDestroyResponse;
        /// Has the backend make a new value.
        Write rotate(SecretsServiceRotateRequest) -> SecretsServiceRotateResponse;
        /// Lists the names in a folder.
        Read list(SecretsServiceListRequest) -> SecretsServiceListResponse;
        /// Tells what is known of a secret's versions.
        Read versions(SecretsServiceVersionsRequest) -> SecretsServiceVersionsResponse;
    }
}

service! {
    /// `TokenService`: tokens, one's own and others'.
    TokensApi TokenServiceClient {
        /// Tells what the own token is.
        Read lookup_self(TokenServiceLookupSelfRequest) -> TokenServiceLookupSelfResponse;
        /// Renews the own token; doing so twice does no harm.
        Read renew_self(TokenServiceRenewSelfRequest) -> TokenServiceRenewSelfResponse;
        /// Revokes the own token and its children.
        Write revoke_self(TokenServiceRevokeSelfRequest) -> TokenServiceRevokeSelfResponse;
        /// Creates a child token.
        Write create(TokenServiceCreateRequest) -> TokenServiceCreateResponse;
        /// Lists the accessors of all tokens.
        Read list(TokenServiceListRequest) -> TokenServiceListResponse;
        /// Tells what a token is, by its accessor.
        Read lookup(TokenServiceLookupRequest) -> TokenServiceLookupResponse;
        /// Renews a token by its accessor; doing so twice does no harm.
        Read renew(TokenServiceRenewRequest) -> TokenServiceRenewResponse;
        /// Revokes a token by its accessor.
        Write revoke(TokenServiceRevokeRequest) -> TokenServiceRevokeResponse;
    }
}

service! {
    /// `PolicyService`: policies, and why they decide as they do.
    PoliciesApi PolicyServiceClient {
        /// Lists the names of all policies.
        Read list(PolicyServiceListRequest) -> PolicyServiceListResponse;
        /// Reads a policy.
        Read get(PolicyServiceGetRequest) -> PolicyServiceGetResponse;
        /// Writes a policy.
        Write put(PolicyServicePutRequest) -> PolicyServicePutResponse;
        /// Removes a policy.
        Write delete(PolicyServiceDeleteRequest) -> PolicyServiceDeleteResponse;
        /// Tells which rule decides, and why.
        Read explain(PolicyServiceExplainRequest) -> PolicyServiceExplainResponse;
    }
}

service! {
    /// `LeaseService`: what was issued for a time.
    LeasesApi LeaseServiceClient {
        /// Lists what is below a prefix of paths.
        Read list(LeaseServiceListRequest) -> LeaseServiceListResponse;
        /// Tells what is known of a lease.
        Read lookup(LeaseServiceLookupRequest) -> LeaseServiceLookupResponse;
        /// Gives a lease more time; doing so twice does no harm.
        Read renew(LeaseServiceRenewRequest) -> LeaseServiceRenewResponse;
        /// Revokes a lease; doing so twice does no harm.
        Read revoke(LeaseServiceRevokeRequest) -> LeaseServiceRevokeResponse;
        /// Revokes all leases of a path and below it.
        Write revoke_prefix(LeaseServiceRevokePrefixRequest) -> LeaseServiceRevokePrefixResponse;
    }
}

service! {
    /// `LimitService`: rate limits.
    LimitsApi LimitServiceClient {
        /// Lists the names of all limits.
        Read list(LimitServiceListRequest) -> LimitServiceListResponse;
        /// Reads a limit.
        Read get(LimitServiceGetRequest) -> LimitServiceGetResponse;
        /// Writes a limit.
        Write put(LimitServicePutRequest) -> LimitServicePutResponse;
        /// Removes a limit.
        Write delete(LimitServiceDeleteRequest) -> LimitServiceDeleteResponse;
        /// Lists who is locked out.
        Read list_locked_users(LimitServiceListLockedUsersRequest) -> LimitServiceListLockedUsersResponse;
        /// Lets somebody in again.
        Write unlock_user(LimitServiceUnlockUserRequest) -> LimitServiceUnlockUserResponse;
    }
}

service! {
    /// `MountService`: what is mounted, and what could be.
    MountsApi MountServiceClient {
        /// Lists all mounts.
        Read list(MountServiceListRequest) -> MountServiceListResponse;
        /// Tells of one mount.
        Read get(MountServiceGetRequest) -> MountServiceGetResponse;
        /// Binds a plugin to a path.
        Write enable(MountServiceEnableRequest) -> MountServiceEnableResponse;
        /// Changes the settings of a mount.
        Write tune(MountServiceTuneRequest) -> MountServiceTuneResponse;
        /// Removes a mount and all that it holds.
        Write disable(MountServiceDisableRequest) -> MountServiceDisableResponse;
        /// Lists the plugins that can be mounted.
        Read list_plugins(MountServiceListPluginsRequest) -> MountServiceListPluginsResponse;
    }
}

service! {
    /// `SysService`: the seal.
    SysApi SysServiceClient {
        /// Tells where the seal stands.
        Read status(SysServiceStatusRequest) -> SysServiceStatusResponse;
        /// Makes the keys, once.
        Write init(SysServiceInitRequest) -> SysServiceInitResponse;
        /// Gives one key share.
        Write unseal(SysServiceUnsealRequest) -> SysServiceUnsealResponse;
        /// Closes the barrier.
        Write seal(SysServiceSealRequest) -> SysServiceSealResponse;
        /// Makes a new term of the keyring.
        Write rotate(SysServiceRotateRequest) -> SysServiceRotateResponse;
        /// Tells what is known of the keyring's terms.
        Read key_status(SysServiceKeyStatusRequest) -> SysServiceKeyStatusResponse;
        /// Tells how far making a root token has come.
        Read generate_root_status(SysServiceGenerateRootStatusRequest) -> SysServiceGenerateRootStatusResponse;
        /// Begins to make a root token.
        Write start_generate_root(SysServiceStartGenerateRootRequest) -> SysServiceStartGenerateRootResponse;
        /// Gives one key share for it.
        Write give_generate_root_share(SysServiceGiveGenerateRootShareRequest) -> SysServiceGiveGenerateRootShareResponse;
        /// Gives up making a root token.
        Write cancel_generate_root(SysServiceCancelGenerateRootRequest) -> SysServiceCancelGenerateRootResponse;
        /// Tells how far making new key shares has come.
        Read rekey_status(SysServiceRekeyStatusRequest) -> SysServiceRekeyStatusResponse;
        /// Begins to make new key shares.
        Write start_rekey(SysServiceStartRekeyRequest) -> SysServiceStartRekeyResponse;
        /// Gives one of the old key shares for it.
        Write give_rekey_share(SysServiceGiveRekeyShareRequest) -> SysServiceGiveRekeyShareResponse;
        /// Gives up making new key shares.
        Write cancel_rekey(SysServiceCancelRekeyRequest) -> SysServiceCancelRekeyResponse;
        /// Tells how many of the new key shares were given back.
        Read rekey_verification_status(SysServiceRekeyVerificationStatusRequest) -> SysServiceRekeyVerificationStatusResponse;
        /// Gives one of the new key shares back.
        Write give_rekey_verification_share(SysServiceGiveRekeyVerificationShareRequest) -> SysServiceGiveRekeyVerificationShareResponse;
        /// Begins to give them back again.
        Write restart_rekey_verification(SysServiceRestartRekeyVerificationRequest) -> SysServiceRestartRekeyVerificationResponse;
    }
}

service! {
    /// `AuditService`: the audit sinks.
    AuditApi AuditServiceClient {
        /// Lists the audit sinks and how they do.
        Read list_sinks(AuditServiceListSinksRequest) -> AuditServiceListSinksResponse;
    }
}

service! {
    /// `AuthService`: logging in.
    AuthApi AuthServiceClient {
        /// Turns a proof of identity into a token.
        Write login(AuthServiceLoginRequest) -> AuthServiceLoginResponse;
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    /// Streams have ways of their own; files have none here.
    const STREAMS: [&str; 3] =
        ["SecretsServiceWatchRequest", "SysServiceSaveSnapshotRequest", "stream SysServiceRestoreSnapshotRequest"];

    #[test]
    fn every_method_of_the_protobufs_is_there() {
        let ours = include_str!("services.rs");
        let (mut missing, mut seen) = (Vec::new(), 0);
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../warder/v1")).unwrap() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            let asked =
                text.lines().filter_map(|line| line.trim_start().strip_prefix("rpc ")?.split(['(', ')']).nth(1));
            for asked in asked.filter(|asked| !STREAMS.contains(asked)) {
                seen += 1;
                missing.extend((!ours.contains(&format!("({asked}) ->"))).then(|| asked.to_owned()));
            }
        }
        assert!(seen > 30 && missing.is_empty(), "give them their line in services.rs: {missing:?}");
    }
}

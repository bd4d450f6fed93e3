//! The table of methods: one list that the dispatcher, the tests and the documents read.

use std::{convert::Infallible, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tonic::codegen::{Service, StdError};
use warder_proto::{
    health::health_server::HealthServer,
    reflection::server_reflection_server::ServerReflectionServer,
    v1::{
        audit_service_server::AuditServiceServer, auth_service_server::AuthServiceServer,
        lease_service_server::LeaseServiceServer, limit_service_server::LimitServiceServer,
        mount_service_server::MountServiceServer, policy_service_server::PolicyServiceServer,
        secrets_service_server::SecretsServiceServer, sys_service_server::SysServiceServer,
        token_service_server::TokenServiceServer,
    },
};

use self::Message::{Names, Pieces, Questions, Reads, Stream, Text};
use super::{super::Limits, call::Call};

/// What a message of text may have beside it: path, numbers, framing.
const OVERHEAD: usize = 8 * 1024;
/// Largest message of names and numbers.
const NAMES: usize = 64 * 1024;
/// Largest message that asks for several secrets: 100 of the longest paths fit.
const READS: usize = 192 * 1024;
/// Largest piece of a file.
pub(super) const PIECE: usize = (1 << 20) + 1024;
/// Largest question to reflection.
const QUESTION: usize = 8 * 1024;

/// One method of the gRPC door.
#[derive(Debug)]
pub struct Method {
    /// `/package.Service/Method`.
    pub path: &'static str,
    /// Answered without a token.
    pub public: bool,
    pub(super) message: Message,
    service: Of,
}

/// What the client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// One message of names and numbers.
    Names,
    /// A stream of messages, and one answer.
    Pieces,
    /// A stream of questions, each answered in turn.
    Questions,
    /// One message with many paths.
    Reads,
    /// One message of a name; a stream of answers.
    Stream,
    /// One message with a secret or another text.
    Text,
}

#[derive(Clone, Copy, Debug)]
enum Of {
    Audit,
    Auth,
    Health,
    Lease,
    Limit,
    Mount,
    Policy,
    Reflection,
    Secrets,
    Sys,
    Token,
}

/// Every method of the door.
pub const METHODS: &[Method] = &[
    open("/grpc.health.v1.Health/Check", Names, Of::Health),
    open("/grpc.health.v1.Health/List", Names, Of::Health),
    open("/grpc.health.v1.Health/Watch", Stream, Of::Health),
    open("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Questions, Of::Reflection),
    open("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Questions, Of::Reflection),
    token("/warder.v1.AuditService/ListSinks", Names, Of::Audit),
    open("/warder.v1.AuthService/Login", Text, Of::Auth),
    token("/warder.v1.LeaseService/List", Names, Of::Lease),
    token("/warder.v1.LeaseService/Lookup", Names, Of::Lease),
    token("/warder.v1.LeaseService/Renew", Names, Of::Lease),
    token("/warder.v1.LeaseService/Revoke", Names, Of::Lease),
    token("/warder.v1.LeaseService/RevokePrefix", Names, Of::Lease),
    token("/warder.v1.LimitService/Delete", Names, Of::Limit),
    token("/warder.v1.LimitService/Get", Names, Of::Limit),
    token("/warder.v1.LimitService/List", Names, Of::Limit),
    token("/warder.v1.LimitService/ListLockedUsers", Names, Of::Limit),
    token("/warder.v1.LimitService/Put", Names, Of::Limit),
    token("/warder.v1.LimitService/UnlockUser", Names, Of::Limit),
    token("/warder.v1.MountService/Disable", Names, Of::Mount),
    token("/warder.v1.MountService/Enable", Text, Of::Mount),
    token("/warder.v1.MountService/Get", Names, Of::Mount),
    token("/warder.v1.MountService/List", Names, Of::Mount),
    token("/warder.v1.MountService/ListPlugins", Names, Of::Mount),
    token("/warder.v1.MountService/Tune", Text, Of::Mount),
    token("/warder.v1.PolicyService/Delete", Names, Of::Policy),
    token("/warder.v1.PolicyService/Explain", Text, Of::Policy),
    token("/warder.v1.PolicyService/Get", Names, Of::Policy),
    token("/warder.v1.PolicyService/List", Names, Of::Policy),
    token("/warder.v1.PolicyService/Put", Text, Of::Policy),
    token("/warder.v1.SecretsService/BatchGet", Reads, Of::Secrets),
    token("/warder.v1.SecretsService/Delete", Names, Of::Secrets),
    token("/warder.v1.SecretsService/Destroy", Names, Of::Secrets),
    token("/warder.v1.SecretsService/Get", Names, Of::Secrets),
    token("/warder.v1.SecretsService/List", Names, Of::Secrets),
    token("/warder.v1.SecretsService/Patch", Text, Of::Secrets),
    token("/warder.v1.SecretsService/Put", Text, Of::Secrets),
    token("/warder.v1.SecretsService/Rotate", Text, Of::Secrets),
    token("/warder.v1.SecretsService/Undelete", Names, Of::Secrets),
    token("/warder.v1.SecretsService/Versions", Names, Of::Secrets),
    token("/warder.v1.SecretsService/Watch", Stream, Of::Secrets),
    token("/warder.v1.SysService/CancelGenerateRoot", Names, Of::Sys),
    token("/warder.v1.SysService/CancelRekey", Names, Of::Sys),
    token("/warder.v1.SysService/GenerateRootStatus", Names, Of::Sys),
    token("/warder.v1.SysService/GiveGenerateRootShare", Names, Of::Sys),
    token("/warder.v1.SysService/GiveRekeyShare", Names, Of::Sys),
    token("/warder.v1.SysService/GiveRekeyVerificationShare", Names, Of::Sys),
    open("/warder.v1.SysService/Init", Names, Of::Sys),
    token("/warder.v1.SysService/KeyStatus", Names, Of::Sys),
    token("/warder.v1.SysService/RekeyStatus", Names, Of::Sys),
    token("/warder.v1.SysService/RekeyVerificationStatus", Names, Of::Sys),
    token("/warder.v1.SysService/RestartRekeyVerification", Names, Of::Sys),
    token("/warder.v1.SysService/RestoreSnapshot", Pieces, Of::Sys),
    token("/warder.v1.SysService/Rotate", Names, Of::Sys),
    token("/warder.v1.SysService/SaveSnapshot", Stream, Of::Sys),
    token("/warder.v1.SysService/Seal", Names, Of::Sys),
    token("/warder.v1.SysService/StartGenerateRoot", Names, Of::Sys),
    token("/warder.v1.SysService/StartRekey", Names, Of::Sys),
    open("/warder.v1.SysService/Status", Names, Of::Sys),
    open("/warder.v1.SysService/Unseal", Names, Of::Sys),
    token("/warder.v1.TokenService/Create", Text, Of::Token),
    token("/warder.v1.TokenService/List", Names, Of::Token),
    token("/warder.v1.TokenService/Lookup", Names, Of::Token),
    token("/warder.v1.TokenService/LookupSelf", Names, Of::Token),
    token("/warder.v1.TokenService/Renew", Names, Of::Token),
    token("/warder.v1.TokenService/RenewSelf", Names, Of::Token),
    token("/warder.v1.TokenService/Revoke", Names, Of::Token),
    token("/warder.v1.TokenService/RevokeSelf", Names, Of::Token),
];

const fn open(path: &'static str, message: Message, service: Of) -> Method {
    Method { path, public: true, message, service }
}

const fn token(path: &'static str, message: Message, service: Of) -> Method {
    Method { path, public: false, message, service }
}

impl Message {
    /// The largest one in bytes, with its framing.
    pub(super) const fn most(self, limits: &Limits) -> usize {
        match self {
            Names | Stream => NAMES,
            Pieces => PIECE,
            Questions => QUESTION,
            Reads => READS,
            Text => limits.body.saturating_add(OVERHEAD),
        }
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<tonic::body::Body>, Infallible>> + Send>>;

impl Method {
    /// Whether it is shed under load, as its REST twin is.
    pub(super) const fn bears_load(&self) -> bool {
        matches!(self.service, Of::Auth | Of::Secrets | Of::Token)
    }

    /// Hands a request to the method's service, which decodes, calls and encodes.
    pub(super) fn serve<B>(&self, call: Arc<Call>, request: Request<B>) -> Answering
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<StdError> + Send + 'static,
    {
        // Single messages are bounded in our own words before they come here.
        let most = match self.message {
            Pieces => PIECE,
            Questions => QUESTION,
            _ => usize::MAX,
        };
        macro_rules! to {
            ($server:ident) => {
                Box::pin($server::from_arc(call).max_decoding_message_size(most).call(request))
            };
        }
        match self.service {
            Of::Audit => to!(AuditServiceServer),
            Of::Auth => to!(AuthServiceServer),
            Of::Health => to!(HealthServer),
            Of::Lease => to!(LeaseServiceServer),
            Of::Limit => to!(LimitServiceServer),
            Of::Mount => to!(MountServiceServer),
            Of::Policy => to!(PolicyServiceServer),
            Of::Reflection => to!(ServerReflectionServer),
            Of::Secrets => to!(SecretsServiceServer),
            Of::Sys => to!(SysServiceServer),
            Of::Token => to!(TokenServiceServer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_sorted_and_listed_once() {
        assert!(METHODS.iter().map(|method| method.path).is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn a_message_may_be_as_large_as_its_text() {
        let limits = Limits::default();
        let most =
            |path: &str| METHODS.iter().find(|method| method.path.ends_with(path)).unwrap().message.most(&limits);
        assert_eq!(most("SecretsService/Put"), (1 << 20) + OVERHEAD);
        assert_eq!((most("SecretsService/Get"), most("SecretsService/BatchGet")), (NAMES, READS));
        const { assert!(READS > super::super::super::batch::MAX_READS * (1024 + 16)) };
    }
}

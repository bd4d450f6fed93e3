//! `SysService`: the same requests as `rest::sys` makes of the seal.

use tonic::{Request, Response, Status, Streaming};
use warder_core::{
    port::seal::SealStatus,
    request::{Fields, Operation},
    secret::Secret,
};
use warder_proto::v1::{
    self, KeyRewrap, SealStatus as Standing, SysServiceInitRequest as InitRequest,
    SysServiceInitResponse as InitResponse, SysServiceKeyStatusRequest as KeyStatusRequest,
    SysServiceKeyStatusResponse as KeyStatusResponse, SysServiceRotateRequest as RotateRequest,
    SysServiceRotateResponse as RotateResponse, SysServiceSealRequest as SealRequest,
    SysServiceSealResponse as SealResponse, SysServiceStatusRequest as StatusRequest,
    SysServiceStatusResponse as StatusResponse, SysServiceUnsealRequest as UnsealRequest,
    SysServiceUnsealResponse as UnsealResponse, sys_service_server::SysService,
};
use zeroize::Zeroizing;

use super::{
    super::{
        problem::Refusal,
        quorum::{REKEY, REKEY_VERIFY, ROOT},
        vault::keys,
    },
    call::{Call, Told},
    quorum, shape, snapshot,
};

#[tonic::async_trait]
impl SysService for Call {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let status = Some(standing(self.edge().broker.seal_status()));
        self.tell_plain(Ok(StatusResponse { status }))
    }

    async fn init(&self, request: Request<InitRequest>) -> Result<Response<InitResponse>, Status> {
        self.tell_plain(init(self, request.get_ref()).await)
    }

    async fn unseal(&self, request: Request<UnsealRequest>) -> Result<Response<UnsealResponse>, Status> {
        self.tell_plain(unseal(self, request.into_inner()).await)
    }

    async fn seal(&self, _: Request<SealRequest>) -> Result<Response<SealResponse>, Status> {
        let answered = self.canonical(Operation::Update, "sys/seal", Fields::default()).await;
        self.tell(answered.map(|answered| (SealResponse {}, answered)))
    }

    async fn rotate(&self, _: Request<RotateRequest>) -> Result<Response<RotateResponse>, Status> {
        let answered = self.canonical(Operation::Update, "sys/rotate", Fields::default()).await;
        self.tell(answered.map(|answered| (RotateResponse {}, answered)))
    }

    async fn key_status(&self, _: Request<KeyStatusRequest>) -> Result<Response<KeyStatusResponse>, Status> {
        self.tell(key_status(self).await)
    }

    async fn generate_root_status(
        &self,
        _: Request<v1::SysServiceGenerateRootStatusRequest>,
    ) -> Result<Response<v1::SysServiceGenerateRootStatusResponse>, Status> {
        self.tell(quorum::root(self).await)
    }

    async fn start_generate_root(
        &self,
        request: Request<v1::SysServiceStartGenerateRootRequest>,
    ) -> Result<Response<v1::SysServiceStartGenerateRootResponse>, Status> {
        self.tell(quorum::start_root(self, request.into_inner()).await)
    }

    async fn give_generate_root_share(
        &self,
        request: Request<v1::SysServiceGiveGenerateRootShareRequest>,
    ) -> Result<Response<v1::SysServiceGiveGenerateRootShareResponse>, Status> {
        self.tell(quorum::root_share(self, request.into_inner()).await)
    }

    async fn cancel_generate_root(
        &self,
        _: Request<v1::SysServiceCancelGenerateRootRequest>,
    ) -> Result<Response<v1::SysServiceCancelGenerateRootResponse>, Status> {
        let answered = quorum::end(self, ROOT).await;
        self.tell(answered.map(|answered| (v1::SysServiceCancelGenerateRootResponse {}, answered)))
    }

    async fn rekey_status(
        &self,
        _: Request<v1::SysServiceRekeyStatusRequest>,
    ) -> Result<Response<v1::SysServiceRekeyStatusResponse>, Status> {
        self.tell(quorum::rekey(self).await)
    }

    async fn start_rekey(
        &self,
        request: Request<v1::SysServiceStartRekeyRequest>,
    ) -> Result<Response<v1::SysServiceStartRekeyResponse>, Status> {
        self.tell(quorum::start_rekey(self, request.get_ref()).await)
    }

    async fn give_rekey_share(
        &self,
        request: Request<v1::SysServiceGiveRekeyShareRequest>,
    ) -> Result<Response<v1::SysServiceGiveRekeyShareResponse>, Status> {
        self.tell(quorum::rekey_share(self, request.into_inner()).await)
    }

    async fn cancel_rekey(
        &self,
        _: Request<v1::SysServiceCancelRekeyRequest>,
    ) -> Result<Response<v1::SysServiceCancelRekeyResponse>, Status> {
        let answered = quorum::end(self, REKEY).await;
        self.tell(answered.map(|answered| (v1::SysServiceCancelRekeyResponse {}, answered)))
    }

    async fn rekey_verification_status(
        &self,
        _: Request<v1::SysServiceRekeyVerificationStatusRequest>,
    ) -> Result<Response<v1::SysServiceRekeyVerificationStatusResponse>, Status> {
        self.tell(quorum::verification(self).await)
    }

    async fn give_rekey_verification_share(
        &self,
        request: Request<v1::SysServiceGiveRekeyVerificationShareRequest>,
    ) -> Result<Response<v1::SysServiceGiveRekeyVerificationShareResponse>, Status> {
        self.tell(quorum::verify(self, request.into_inner()).await)
    }

    async fn restart_rekey_verification(
        &self,
        _: Request<v1::SysServiceRestartRekeyVerificationRequest>,
    ) -> Result<Response<v1::SysServiceRestartRekeyVerificationResponse>, Status> {
        let answered = quorum::end(self, REKEY_VERIFY).await;
        self.tell(answered.map(|answered| (v1::SysServiceRestartRekeyVerificationResponse {}, answered)))
    }

    type SaveSnapshotStream = snapshot::Saving;

    async fn save_snapshot(
        &self,
        _: Request<v1::SysServiceSaveSnapshotRequest>,
    ) -> Result<Response<snapshot::Saving>, Status> {
        self.tell(snapshot::save(self).await)
    }

    async fn restore_snapshot(
        &self,
        request: Request<Streaming<v1::SysServiceRestoreSnapshotRequest>>,
    ) -> Result<Response<v1::SysServiceRestoreSnapshotResponse>, Status> {
        self.tell(Box::pin(snapshot::restore(self, request.into_inner())).await)
    }
}

async fn key_status(call: &Call) -> Told<KeyStatusResponse> {
    let answered = call.canonical(Operation::Read, "sys/key-status", Fields::default()).await?;
    let status = keys::key_status(&answered)?;
    let rewrap = KeyRewrap {
        pending: status.rewrap.pending,
        checked: status.rewrap.checked,
        moved: status.rewrap.moved,
        broken: status.rewrap.broken,
    };
    let response = KeyStatusResponse {
        term: status.term,
        installed_at: shape::moment(status.installed_at.as_deref()),
        encryptions: status.encryptions,
        oldest_term: status.oldest_term,
        terms: status.terms,
        rewrap: Some(rewrap),
    };
    Ok((response, answered))
}

async fn init(call: &Call, asked: &InitRequest) -> Result<InitResponse, Refusal> {
    call.in_time()?;
    let count = |name, number: u32| keys::counted(name, number.try_into().ok());
    let (shares, threshold) = (count("shares", asked.shares)?, count("threshold", asked.threshold)?);
    let made = keys::initialize(call.edge(), call.id(), call.peer(), shares, threshold).await?;
    let texts = |keys: &[Zeroizing<String>]| keys.iter().map(|key| key.to_string()).collect();
    Ok(InitResponse {
        keys: texts(&made.hex),
        keys_base64: texts(&made.base64),
        root_token: made.root_token.expose_str().unwrap_or_default().to_owned(),
    })
}

async fn unseal(call: &Call, asked: UnsealRequest) -> Result<UnsealResponse, Refusal> {
    call.in_time()?;
    let status = if asked.reset {
        call.edge().broker.reset_unseal()
    } else {
        let key = Some(Zeroizing::new(asked.key)).filter(|key| !key.is_empty()).map(|key| Secret::from(key.as_str()));
        keys::give(call.edge(), call.id(), call.peer(), key).await?
    };
    Ok(UnsealResponse { status: Some(standing(status)) })
}

fn standing(seal: SealStatus) -> Standing {
    Standing {
        initialized: seal.initialized,
        sealed: seal.sealed,
        seal: seal.kind.to_owned(),
        threshold: seal.threshold.into(),
        shares: seal.shares.into(),
        progress: seal.progress.into(),
        nonce: seal.nonce,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

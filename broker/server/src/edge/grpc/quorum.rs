//! The methods of `SysService` that those use who hold key shares: the same requests as `rest::quorum`
//! makes.

use warder_core::request::{Fields, Operation, Reply as Answered};
use warder_proto::v1;
use zeroize::Zeroizing;

use super::{
    super::{
        problem::Refusal,
        quorum::{self, Attempt, REKEY, REKEY_SHARE, REKEY_VERIFY, ROOT, ROOT_SHARE},
    },
    call::{Call, Told},
};

/// How far making a root token has come.
pub(super) async fn root(call: &Call) -> Told<v1::SysServiceGenerateRootStatusResponse> {
    let (attempt, answered) = ask(call, Operation::Read, ROOT, Fields::default()).await?;
    Ok((v1::SysServiceGenerateRootStatusResponse { attempt: Some(of_root(attempt)) }, answered))
}

/// Begins to make a root token.
pub(super) async fn start_root(
    call: &Call,
    asked: v1::SysServiceStartGenerateRootRequest,
) -> Told<v1::SysServiceStartGenerateRootResponse> {
    let mut fields = Fields::default();
    put(&mut fields, "otp", asked.otp);
    let (attempt, answered) = ask(call, Operation::Update, ROOT, fields).await?;
    Ok((v1::SysServiceStartGenerateRootResponse { attempt: Some(of_root(attempt)) }, answered))
}

/// Takes one key share for the root token.
pub(super) async fn root_share(
    call: &Call,
    asked: v1::SysServiceGiveGenerateRootShareRequest,
) -> Told<v1::SysServiceGiveGenerateRootShareResponse> {
    let (attempt, answered) = ask(call, Operation::Update, ROOT_SHARE, share(asked.nonce, asked.key)).await?;
    Ok((v1::SysServiceGiveGenerateRootShareResponse { attempt: Some(of_root(attempt)) }, answered))
}

/// How far making new key shares has come.
pub(super) async fn rekey(call: &Call) -> Told<v1::SysServiceRekeyStatusResponse> {
    let (attempt, answered) = ask(call, Operation::Read, REKEY, Fields::default()).await?;
    Ok((v1::SysServiceRekeyStatusResponse { attempt: Some(of_rekey(attempt)) }, answered))
}

/// Begins to make new key shares.
pub(super) async fn start_rekey(
    call: &Call,
    asked: &v1::SysServiceStartRekeyRequest,
) -> Told<v1::SysServiceStartRekeyResponse> {
    let fields = quorum::rekey(asked.shares.try_into().ok(), asked.threshold.try_into().ok(), asked.verify)?;
    let (attempt, answered) = ask(call, Operation::Update, REKEY, fields).await?;
    Ok((v1::SysServiceStartRekeyResponse { attempt: Some(of_rekey(attempt)) }, answered))
}

/// Takes one of the old key shares.
pub(super) async fn rekey_share(
    call: &Call,
    asked: v1::SysServiceGiveRekeyShareRequest,
) -> Told<v1::SysServiceGiveRekeyShareResponse> {
    let (mut attempt, answered) = ask(call, Operation::Update, REKEY_SHARE, share(asked.nonce, asked.key)).await?;
    let response = v1::SysServiceGiveRekeyShareResponse {
        complete: attempt.complete,
        nonce: attempt.nonce.clone(),
        keys: std::mem::take(&mut attempt.keys),
        keys_base64: std::mem::take(&mut attempt.keys_base64),
        verification_required: attempt.verification_required,
        verification_nonce: attempt.verification_nonce.clone(),
        attempt: (!attempt.complete).then(|| of_rekey(attempt)),
    };
    Ok((response, answered))
}

/// How many of the new key shares were given back.
pub(super) async fn verification(call: &Call) -> Told<v1::SysServiceRekeyVerificationStatusResponse> {
    let (attempt, answered) = ask(call, Operation::Read, REKEY_VERIFY, Fields::default()).await?;
    Ok((v1::SysServiceRekeyVerificationStatusResponse { verification: Some(of_verification(attempt)) }, answered))
}

/// Takes one of the new key shares back.
pub(super) async fn verify(
    call: &Call,
    asked: v1::SysServiceGiveRekeyVerificationShareRequest,
) -> Told<v1::SysServiceGiveRekeyVerificationShareResponse> {
    let (attempt, answered) = ask(call, Operation::Update, REKEY_VERIFY, share(asked.nonce, asked.key)).await?;
    Ok((v1::SysServiceGiveRekeyVerificationShareResponse { verification: Some(of_verification(attempt)) }, answered))
}

/// Gives up, or begins again.
pub(super) async fn end(call: &Call, path: &str) -> Result<Answered, Refusal> {
    call.canonical(Operation::Delete, path, Fields::default()).await
}

async fn ask(call: &Call, operation: Operation, path: &str, fields: Fields) -> Told<Attempt> {
    let answered = call.canonical(operation, path, fields).await?;
    Ok((Attempt::of(&answered)?, answered))
}

/// A share, and the attempt that it is for; what is empty is missing.
fn share(nonce: String, key: String) -> Fields {
    let mut fields = Fields::default();
    put(&mut fields, "nonce", nonce);
    put(&mut fields, "key", key);
    fields
}

fn put(fields: &mut Fields, name: &str, text: String) {
    let text = Zeroizing::new(text);
    if !text.is_empty() {
        fields.set_string(name, &text);
    }
}

fn of_root(attempt: Attempt) -> v1::RootAttempt {
    v1::RootAttempt {
        started: attempt.started,
        nonce: attempt.nonce,
        progress: attempt.progress,
        required: attempt.required,
        complete: attempt.complete,
        encoded_token: attempt.encoded_token,
        otp: attempt.otp,
        otp_length: attempt.otp_length,
    }
}

fn of_rekey(attempt: Attempt) -> v1::RekeyAttempt {
    v1::RekeyAttempt {
        started: attempt.started,
        nonce: attempt.nonce,
        shares: attempt.shares,
        threshold: attempt.threshold,
        progress: attempt.progress,
        required: attempt.required,
        verification_required: attempt.verification_required,
        verification_nonce: attempt.verification_nonce,
    }
}

fn of_verification(attempt: Attempt) -> v1::RekeyVerification {
    v1::RekeyVerification {
        started: attempt.started,
        nonce: attempt.nonce,
        shares: attempt.shares,
        threshold: attempt.threshold,
        progress: attempt.progress,
        complete: attempt.complete,
    }
}

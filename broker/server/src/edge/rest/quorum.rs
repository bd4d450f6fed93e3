//! `/api/v1/sys/generate-root` and `/api/v1/sys/rekey`: a new root token, and new key shares, by those
//! who hold enough of the old ones.

use std::sync::Arc;

use http::StatusCode;
use warder_core::{
    request::{Fields, Operation},
    secret::Secret,
};

use super::{
    super::{
        Edge, Inbound,
        problem::Refusal,
        quorum::{self, REKEY, REKEY_SHARE, REKEY_VERIFY, ROOT, ROOT_SHARE},
        route::Outcome,
    },
    canonical, only, told, whole,
};

/// How far making a root token has come.
pub(crate) async fn root(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    ask(&edge, inbound, Operation::Read, ROOT, Fields::default()).await
}

/// Begins to make a root token.
pub(crate) async fn begin_root(edge: Arc<Edge>, mut inbound: Inbound) -> Outcome {
    let fields = taken(&edge, &mut inbound, &["otp"]).await?;
    ask(&edge, inbound, Operation::Update, ROOT, fields).await
}

/// Takes one key share for the root token.
pub(crate) async fn root_share(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    share(&edge, inbound, ROOT_SHARE).await
}

/// Gives up making a root token.
pub(crate) async fn end_root(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    end(&edge, inbound, ROOT).await
}

/// How far making new key shares has come.
pub(crate) async fn rekey(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    ask(&edge, inbound, Operation::Read, REKEY, Fields::default()).await
}

/// Begins to make new key shares.
pub(crate) async fn begin_rekey(edge: Arc<Edge>, mut inbound: Inbound) -> Outcome {
    let fields = taken(&edge, &mut inbound, &["shares", "threshold", "verify"]).await?;
    let text = |name| fields.get(name).and_then(Secret::expose_str);
    let count = |name| text(name).and_then(|text| text.parse().ok());
    let verify = match text("verify") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Refusal::invalid("verify", "expected true or false")),
    };
    let fields = quorum::rekey(count("shares"), count("threshold"), verify)?;
    ask(&edge, inbound, Operation::Update, REKEY, fields).await
}

/// Takes one of the old key shares.
pub(crate) async fn rekey_share(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    share(&edge, inbound, REKEY_SHARE).await
}

/// Gives up making new key shares.
pub(crate) async fn end_rekey(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    end(&edge, inbound, REKEY).await
}

/// How many of the new key shares were given back.
pub(crate) async fn verification(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    ask(&edge, inbound, Operation::Read, REKEY_VERIFY, Fields::default()).await
}

/// Takes one of the new key shares back.
pub(crate) async fn verify(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    share(&edge, inbound, REKEY_VERIFY).await
}

/// Forgets the new shares that were given back.
pub(crate) async fn verify_again(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    end(&edge, inbound, REKEY_VERIFY).await
}

async fn share(edge: &Edge, mut inbound: Inbound, path: &str) -> Outcome {
    let fields = taken(edge, &mut inbound, &["nonce", "key"]).await?;
    ask(edge, inbound, Operation::Update, path, fields).await
}

async fn end(edge: &Edge, inbound: Inbound, path: &str) -> Outcome {
    inbound.query.only(&[])?;
    whole(&canonical(edge, &inbound, Operation::Delete, path, Fields::default()).await?)
}

/// The members of the body, of which these are known.
async fn taken(edge: &Edge, inbound: &mut Inbound, known: &[&str]) -> Result<Fields, Refusal> {
    inbound.media("application/json", true)?;
    let fields = inbound.fields(edge).await?;
    only(&fields, known)?;
    Ok(fields)
}

async fn ask(edge: &Edge, inbound: Inbound, operation: Operation, path: &str, fields: Fields) -> Outcome {
    inbound.query.only(&[])?;
    let answered = canonical(edge, &inbound, operation, path, fields).await?;
    Ok(told(StatusCode::OK, quorum::shown(&answered)?, &answered))
}

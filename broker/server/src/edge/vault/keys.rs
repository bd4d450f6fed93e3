//! `init` and `unseal`, for all doors: the two operations that need no token but key shares.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use warder_core::{
    error::Error,
    identity::Peer,
    json,
    port::seal::SealStatus,
    request::{Answer, Fields, Reply as Answered},
    secret::Secret,
    sys::{hex, share},
};
use zeroize::Zeroizing;

use super::super::{Edge, Inbound, problem::Refusal, reply, route::Outcome};

/// What `init` shows once, as text.
pub(in crate::edge) struct Keys {
    pub(in crate::edge) hex: Vec<Zeroizing<String>>,
    pub(in crate::edge) base64: Vec<Zeroizing<String>>,
    pub(in crate::edge) root_token: Secret,
}

/// How the keyring stands, as the broker says it in the compatible API's words.
#[derive(Deserialize, Serialize)]
pub(in crate::edge) struct KeyStatus {
    pub(in crate::edge) term: u32,
    #[serde(alias = "install_time")]
    pub(in crate::edge) installed_at: Option<String>,
    pub(in crate::edge) encryptions: u64,
    pub(in crate::edge) oldest_term: u32,
    pub(in crate::edge) terms: u64,
    pub(in crate::edge) rewrap: Rewrap,
}

/// Moving old values to the newest term.
#[derive(Deserialize, Serialize)]
pub(in crate::edge) struct Rewrap {
    pub(in crate::edge) pending: bool,
    pub(in crate::edge) checked: u64,
    pub(in crate::edge) moved: u64,
    pub(in crate::edge) broken: u64,
}

/// The native shape of an answer about the keyring.
///
/// # Errors
/// `internal` when the answer is something else.
pub(in crate::edge) fn key_status(answered: &Answered) -> Result<KeyStatus, Error> {
    let Answer::Document(document) = &answered.answer else {
        return Err(Error::internal("the keyring's answer is no document"));
    };
    serde_json::from_slice(document.expose()).map_err(Error::internal)
}

/// Initializes; `names` are what this door calls shares and threshold.
pub(crate) async fn init(edge: &Edge, inbound: &Inbound, fields: &Fields, names: [&'static str; 2]) -> Outcome {
    let [shares, threshold] = names;
    let (shares, threshold) = (count(fields, shares)?, count(fields, threshold)?);
    let made = initialize(edge, &inbound.id, &inbound.peer, shares, threshold).await?;
    let list = |texts: &[Zeroizing<String>]| Secret::new(reply::quoted_list(texts.iter().map(|t| t.as_str())));
    let (hex, base64) = (list(&made.hex), list(&made.base64));
    let token = Secret::new(reply::quoted(made.root_token.expose_str().unwrap_or_default()));
    let text = |secret: &'_ Secret| secret.expose_str().unwrap_or("null").to_owned();
    let (hex, base64, token) =
        (Zeroizing::new(text(&hex)), Zeroizing::new(text(&base64)), Zeroizing::new(text(&token)));
    let body =
        json::compose([("keys", hex.as_str()), ("keys_base64", base64.as_str()), ("root_token", token.as_str())]);
    Ok(reply::json(StatusCode::OK, body))
}

/// Makes the keys. Goes on to its end when the caller hangs up: what stops half way could neither
/// be opened nor be initialized again.
pub(in crate::edge) async fn initialize(
    edge: &Edge,
    id: &Arc<str>,
    peer: &Peer,
    shares: u8,
    threshold: u8,
) -> Result<Keys, Refusal> {
    let (broker, id, peer) = (edge.broker.clone(), id.clone(), peer.clone());
    let making = tokio::spawn(async move { broker.initialize(&id, peer, shares, threshold, None).await });
    let made = making.await.map_err(Error::internal)??;
    Ok(Keys {
        hex: made.shares.iter().map(|share| Zeroizing::new(hex(share.expose()))).collect(),
        base64: made.shares.iter().map(|share| Zeroizing::new(STANDARD.encode(share.expose()))).collect(),
        root_token: made.root_token,
    })
}

/// Gives the share in `key`, or with `reset` starts the attempt again.
pub(crate) async fn unseal(
    edge: &Edge,
    inbound: &Inbound,
    fields: &Fields,
    key: Option<Secret>,
) -> Result<SealStatus, Refusal> {
    let reset = match fields.get("reset").and_then(Secret::expose_str) {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Refusal::invalid("reset", "expected true or false")),
    };
    if reset {
        return Ok(edge.broker.reset_unseal());
    }
    give(edge, &inbound.id, &inbound.peer, key).await
}

/// Gives a share. Goes on to its end when the caller hangs up.
pub(in crate::edge) async fn give(
    edge: &Edge,
    id: &Arc<str>,
    peer: &Peer,
    key: Option<Secret>,
) -> Result<SealStatus, Refusal> {
    let key = key.ok_or_else(|| Error::invalid("key", "missing field: key (a key share, hex or base64) or reset"))?;
    let share = share(&key)?;
    let (broker, id, peer) = (edge.broker.clone(), id.clone(), peer.clone());
    let giving = tokio::spawn(async move { broker.unseal(&id, peer, share).await });
    Ok(giving.await.map_err(Error::internal)??)
}

fn count(fields: &Fields, name: &'static str) -> Result<u8, Refusal> {
    let text = fields.get(name).and_then(Secret::expose_str).unwrap_or_default();
    counted(name, text.parse().ok())
}

/// A number of shares, checked.
pub(in crate::edge) fn counted(name: &'static str, number: Option<u8>) -> Result<u8, Refusal> {
    let number = number.filter(|number| *number > 0);
    number.ok_or_else(|| Refusal::invalid(name, "expected a whole number from 1 to 255"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_from_hex_or_base64() {
        let bytes = b"\x00\xff0123456789abcdefghijklmnopqrst";
        for text in [hex(bytes), hex(bytes).to_uppercase(), STANDARD.encode(bytes), format!(" {}\n", hex(bytes))] {
            assert!(share(&Secret::from(text.as_str())).unwrap().ct_eq(bytes), "{text}");
        }
        for bad in ["", "abc", "!", &"ab".repeat(300)] {
            assert_eq!(share(&Secret::from(bad)).unwrap_err().field.as_deref(), Some("key"), "{bad}");
        }
    }

    #[test]
    fn counts_are_named_when_wrong() {
        let fields = Fields::from_json(br#"{"a":0,"b":256,"c":"3","d":3}"#).unwrap();
        for name in ["a", "b", "c", "e"] {
            assert_eq!(count(&fields, name).unwrap_err().error().field.as_deref(), Some(name));
        }
        assert_eq!(count(&fields, "d").unwrap(), 3);
    }
}

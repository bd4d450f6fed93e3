//! Building responses. Bodies that may hold secrets are handed to the wire without a copy and
//! zeroized when it is done with them.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use warder_core::{error::Error, json, secret::Secret};

/// What every door answers with.
pub(crate) type Reply = Response<Full<Bytes>>;

/// Keeps a secret alive for as long as the wire needs its bytes.
struct Held(Secret);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

/// A response with this media type.
pub(crate) fn typed(status: StatusCode, content_type: &'static str, body: Secret) -> Reply {
    let mut response = Response::new(Full::new(Bytes::from_owner(Held(body))));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A JSON response.
pub(crate) fn json(status: StatusCode, body: Secret) -> Reply {
    typed(status, "application/json", body)
}

/// A JSON response out of a value that holds no secret.
pub(crate) fn value(status: StatusCode, value: &serde_json::Value) -> Reply {
    json(status, Secret::from(value.to_string()))
}

/// A response without a body.
pub(crate) fn empty(status: StatusCode) -> Reply {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// A plugin's own bytes.
pub(crate) fn raw(status: u16, content_type: &str, body: Secret) -> Result<Reply, Error> {
    let mut response = typed(StatusCode::from_u16(status).map_err(Error::internal)?, "application/octet-stream", body);
    let kind = HeaderValue::from_str(content_type).map_err(Error::internal)?;
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// Sets a header from text that may hold any character: what a header cannot carry is
/// percent-encoded.
pub(crate) fn text_header(headers: &mut HeaderMap, name: &'static str, text: &str) {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'!'..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    if let Ok(value) = HeaderValue::from_str(&encoded) {
        headers.insert(name, value);
    }
}

/// JSON text of a string.
pub(crate) fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    json::write_string(&mut out, text);
    out
}

/// JSON text of a list of strings.
pub(crate) fn quoted_list<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut out = vec![b'['];
    for (i, text) in texts.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        json::write_string(&mut out, text);
    }
    out.push(b']');
    out
}

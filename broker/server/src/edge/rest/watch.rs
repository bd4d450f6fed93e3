//! `GET /api/v1/watch`: changes of secrets as Server-Sent Events (WHATWG HTML, section 9.2). What the
//! events say is the twin's of `grpc::watch`.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderName, HeaderValue, StatusCode, header};
use http_body::Frame;
use http_body_util::StreamBody;
use warder_core::{
    broker::{Told, Watch, WatchRequest},
    error::Error,
    feed::{Item, Spelling},
    json,
    path::Path,
    port::storage::Revision,
};

use super::super::{Edge, Inbound, Streamed, identify, log_fault, problem::Refusal, reply, route::Outcome};

/// What a client that connects again was told last.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Told to clients: milliseconds to wait before they connect again.
const RETRY: &str = "retry: 1000\n";

/// Watches what is below a prefix.
pub(crate) async fn watch(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    inbound.query.only(&["prefix", "from"])?;
    let request = WatchRequest {
        id: inbound.id.clone(),
        credential: identify::credential(&inbound.headers, inbound.door)?,
        peer: inbound.peer.clone(),
        prefix: prefix(inbound.query.one("prefix")?.unwrap_or_default())?,
        from: from(&inbound)?,
        deadline: edge.limits.request,
        lasts: None,
    };
    let watch = edge.broker.watch(request).await?;
    let mut response = reply::empty(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Proxies that gather answers would keep events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.extensions_mut().insert(Streamed::new(StreamBody::new(events(watch, inbound.id))));
    Ok(response)
}

/// A prefix as the broker takes it; nothing is everything.
pub(in crate::edge) fn prefix(text: &str) -> Result<Option<Path>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    Path::parse(text).map(Some).map_err(|e| Error::invalid("prefix", e.to_string()))
}

/// Where to go on. A client that connects again by itself repeats its address, and says in a header
/// what it was told since.
fn from(inbound: &Inbound) -> Result<Option<Revision>, Error> {
    let mut headers = inbound.headers.get_all(LAST_EVENT_ID).iter();
    let header = headers.next().map(HeaderValue::as_bytes).filter(|bytes| !bytes.is_empty());
    if headers.next().is_some() {
        return Err(Error::invalid("Last-Event-ID", "this header is given twice"));
    }
    let (name, text) = match (header, inbound.query.one("from")?) {
        (Some(header), _) => ("Last-Event-ID", std::str::from_utf8(header).unwrap_or_default()),
        (None, Some(from)) => ("from", from),
        (None, None) => return Ok(None),
    };
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.map(Some).ok_or_else(|| Error::invalid(name, "expected a revision: a whole number"))
}

type Framed = Result<Frame<Bytes>, std::convert::Infallible>;

fn events(watch: Watch, id: Arc<str>) -> impl Stream<Item = Framed> + Send {
    stream::unfold(Some((watch, id)), |open| async move {
        let (mut watch, id) = open?;
        let told = watch.next().await;
        let text = text(&told, &id);
        let open = (!matches!(told, Told::End(_))).then_some((watch, id));
        Some((Ok(Frame::data(text)), open))
    })
}

/// What is told, as events.
fn text(told: &Told, id: &str) -> Bytes {
    match told {
        Told::Beat(revision) => format!(": heartbeat\nid: {revision}\n\n").into(),
        Told::Changes(items) => changes(items),
        Told::End(error) => end(error, id),
        Told::Lagged(revision) => {
            let words = "changes were lost: read again what matters, later ones follow";
            let data = format!("{{\"revision\":{revision},\"detail\":\"{words}\"}}");
            format!("event: lagged\nid: {revision}\ndata: {data}\n\n").into()
        }
        Told::Ready(revision) => {
            format!("event: ready\nid: {revision}\n{RETRY}data: {{\"revision\":{revision}}}\n\n").into()
        }
    }
}

fn changes(items: &[(Arc<Item>, Spelling)]) -> Bytes {
    if let [(item, spelling)] = items {
        return change(item, *spelling);
    }
    items.iter().flat_map(|(item, spelling)| change(item, *spelling)).collect()
}

/// One change: written once for all who watch.
fn change(item: &Item, spelling: Spelling) -> Bytes {
    let shown = item.shown(spelling);
    if let Some(text) = shown.get::<Bytes>() {
        return text.clone();
    }
    let text = Bytes::from(written(item, spelling));
    shown.keep(text.clone());
    text
}

fn written(item: &Item, spelling: Spelling) -> Vec<u8> {
    let (news, revision) = (&item.news, item.revision);
    let mut out = format!("event: change\nid: {revision}\ndata: {{\"revision\":{revision},\"kind\":").into_bytes();
    json::write_string(&mut out, news.kind.word());
    out.extend_from_slice(b",\"path\":");
    json::write_string(&mut out, item.path(spelling));
    if let [version] = news.versions[..] {
        out.extend_from_slice(format!(",\"version\":{version}").as_bytes());
    }
    let versions: Vec<String> = news.versions.iter().map(u64::to_string).collect();
    let rest = format!(",\"versions\":[{}],\"at\":\"{}\"}}\n\n", versions.join(","), news.at.rfc3339());
    out.extend_from_slice(rest.as_bytes());
    out
}

fn end(error: &Error, id: &str) -> Bytes {
    let mut told = Error::new(error.kind, error.detail.clone());
    told.retry_after = error.retry_after;
    let refusal = Refusal::from(told);
    log_fault(id, &refusal);
    let mut out = b"event: end\ndata: ".to_vec();
    out.extend_from_slice(refusal.problem(id).expose());
    out.extend_from_slice(b"\n\n");
    out.into()
}

#[cfg(test)]
mod tests {
    use warder_core::error::ErrorKind;

    use super::*;

    fn shown(told: &Told) -> String {
        String::from_utf8(text(told, "r-1").to_vec()).unwrap()
    }

    #[test]
    fn what_is_told_is_an_event_with_its_revision() {
        for (told, expected) in [
            (Told::Beat(7), ": heartbeat\nid: 7\n\n"),
            (Told::Ready(7), "event: ready\nid: 7\nretry: 1000\ndata: {\"revision\":7}\n\n"),
        ] {
            assert_eq!(shown(&told), expected);
        }
        let lagged = shown(&Told::Lagged(9));
        assert!(lagged.starts_with("event: lagged\nid: 9\ndata: {\"revision\":9,\"detail\":"), "{lagged}");
    }

    #[test]
    fn an_end_says_why_as_a_refusal_would() {
        let text = shown(&Told::End(Error::new(ErrorKind::Sealed, "sealed")));
        let data = text.strip_prefix("event: end\ndata: ").unwrap().strip_suffix("\n\n").unwrap();
        let problem: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!((&problem["code"], &problem["request_id"]), (&"sealed".into(), &"r-1".into()));
    }

    #[test]
    fn a_prefix_is_a_path_or_everything() {
        assert!(prefix("").unwrap().is_none());
        for good in ["a", "a/", "a/b"] {
            assert!(prefix(good).unwrap().is_some(), "{good}");
        }
        for bad in ["/", "/a", "a//b", "../a", "a/..", "a\nb", &"a/".repeat(33), &"a".repeat(1025)] {
            assert_eq!(prefix(bad).unwrap_err().field.as_deref(), Some("prefix"), "{bad:?}");
        }
    }
}

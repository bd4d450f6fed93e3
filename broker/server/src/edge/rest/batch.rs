//! `/api/v1/secrets:batch`.

use std::{sync::Arc, time::Instant};

use http::StatusCode;
use warder_core::{path::Path, secret::Secret};

use super::{
    super::{
        self as edge, Edge, Inbound,
        batch::{Outcome, Read, Reader},
        identify, reply,
        route::Outcome as Answer,
    },
    secrets::document,
    shape,
};

const START: &[u8] = br#"{"results":["#;
const ERROR: &[u8] = br#"{"error":"#;
const END: &[u8] = b"]}";

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    reads: Vec<Read>,
}

/// Reads several secrets: `{"reads":[{"path","version"?}]}`.
pub(crate) async fn batch(edge: Arc<Edge>, mut inbound: Inbound) -> Answer {
    let started = Instant::now();
    inbound.media("application/json", true)?;
    inbound.query.only(&["refresh"])?;
    let Wanted { reads } = inbound.fields(&edge).await?.parse()?;
    let reader = Reader {
        edge: &edge,
        id: &inbound.id,
        credential: identify::credential(&inbound.headers, inbound.door)?,
        peer: &inbound.peer,
        refresh: inbound.query.flag("refresh")?,
        time_left: edge.limits.request.saturating_sub(started.elapsed()),
    };
    let outcomes = reader
        .read(&reads, |read, answered| {
            let cut = shape::cut(document(answered)?, answered)?;
            let path = Path::parse(&read.path).map_err(warder_core::error::Error::internal)?;
            let text = shape::shown(&path, &cut)?;
            let size = text.len();
            Ok((text, size))
        })
        .await?;
    let mut response = reply::json(StatusCode::OK, results(&outcomes));
    response.extensions_mut().insert(edge::Outcome::READS);
    Ok(response)
}

/// `{"results":[{secret} | {"error":{problem}}]}`, written into one buffer that never grows.
fn results(outcomes: &[Outcome<Secret>]) -> Secret {
    let problems: Vec<Option<Secret>> =
        outcomes.iter().map(|(id, outcome)| outcome.as_ref().err().map(|refusal| refusal.problem(id))).collect();
    let texts = outcomes.iter().zip(&problems).map(|((_, outcome), problem)| (outcome.as_ref().ok(), problem.as_ref()));
    let lengths = texts.clone().map(|(shown, problem)| shown.or(problem).map_or(0, Secret::len) + ERROR.len() + 2);
    let size: usize = lengths.sum();
    let mut text = Vec::with_capacity(START.len() + size + END.len());
    text.extend_from_slice(START);
    for (at, (shown, problem)) in texts.enumerate() {
        if at > 0 {
            text.push(b',');
        }
        match (shown, problem) {
            (Some(shown), _) => text.extend_from_slice(shown.expose()),
            (None, Some(problem)) => {
                text.extend_from_slice(ERROR);
                text.extend_from_slice(problem.expose());
                text.push(b'}');
            }
            (None, None) => {}
        }
    }
    text.extend_from_slice(END);
    Secret::new(text)
}

#[cfg(test)]
mod tests {
    use warder_core::error::{Error, ErrorKind};

    use super::*;

    #[test]
    fn results_stand_in_order_each_a_secret_or_its_problem() {
        let refused = Error::new(ErrorKind::NotFound, "nothing there").into();
        let outcomes: [Outcome<Secret>; 3] = [
            ("r/0".into(), Ok(Secret::from(r#"{"path":"a"}"#))),
            ("r/1".into(), Err(refused)),
            ("r/2".into(), Ok(Secret::from(r#"{"path":"c"}"#))),
        ];
        let text = results(&outcomes);
        let all: serde_json::Value = serde_json::from_slice(text.expose()).unwrap();
        let all = all["results"].as_array().unwrap();
        assert_eq!((&all[0]["path"], &all[2]["path"]), (&"a".into(), &"c".into()));
        let problem = &all[1]["error"];
        assert_eq!((&problem["code"], &problem["request_id"]), (&"not_found".into(), &"r/1".into()));
    }
}

//! Many reads in one request, for both native doors. Each is a request of its own to the broker:
//! decided, recorded and refused by itself, under the id `<id of the request>/<its place>`.
//!
//! Invariant: never more than [`AT_ONCE`] values and [`ANSWER_TIMES`] times the largest body are
//! held for one request.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use warder_core::{
    error::{Error, ErrorKind},
    identity::Peer,
    path::Path,
    request::{Address, Door, Fields, Operation, Reply as Answered, Request, SecretView},
    secret::Secret,
};

use super::{Edge, parse_path, problem::Refusal};

/// Most reads in one request.
pub(super) const MAX_READS: usize = 100;
/// Reads under way at once.
const AT_ONCE: usize = 8;
/// How many of the largest secrets fit into an answer: with 1 MiB, what gRPC's clients take at
/// most unless told otherwise (4 MiB) has room for it and for what is said of the others.
const ANSWER_TIMES: usize = 3;
/// What stands around a secret in an answer: path, moments, metadata.
const AROUND: usize = 8 * 1024;

/// One read that is asked for.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Read {
    pub(super) path: String,
    #[serde(default)]
    pub(super) version: Option<u64>,
}

/// What one read became, and the id that it was asked under.
pub(super) type Outcome<T> = (Arc<str>, Result<T, Refusal>);

/// Who asks for reads, and until when.
pub(super) struct Reader<'a> {
    pub(super) edge: &'a Edge,
    pub(super) id: &'a Arc<str>,
    pub(super) credential: Option<Secret>,
    pub(super) peer: &'a Peer,
    pub(super) refresh: bool,
    pub(super) time_left: Duration,
}

impl Reader<'_> {
    /// Reads them all. `show` makes of an answer what the door sends, and says how large it is.
    ///
    /// # Errors
    /// When there are none or too many; and when the first read is refused for a reason that
    /// concerns them all, so that a stranger leaves one record and not a hundred.
    pub(super) async fn read<T>(
        &self,
        reads: &[Read],
        show: impl Fn(&Read, &Answered) -> Result<(T, usize), Refusal>,
    ) -> Result<Vec<Outcome<T>>, Refusal> {
        let ends = Instant::now() + self.time_left;
        if !(1..=MAX_READS).contains(&reads.len()) {
            return Err(Refusal::invalid("reads", format!("expected 1 to {MAX_READS} reads")));
        }
        let mut room = self.edge.limits.body.saturating_add(AROUND).saturating_mul(ANSWER_TIMES);
        let mut outcomes = Vec::with_capacity(reads.len());
        let (first, others) = reads.split_at(1);
        for group in std::iter::once(first).chain(others.chunks(AT_ONCE)) {
            let begun = outcomes.len();
            let asked = group.iter().enumerate().map(|(at, read)| self.ask(begun + at, read, ends));
            let answers = futures_util::future::join_all(asked).await;
            for ((id, answered), read) in answers.into_iter().zip(group) {
                let shown = answered.and_then(|answered| show(read, &answered)).and_then(|shown| fit(&mut room, shown));
                match shown {
                    Err(refusal) if outcomes.is_empty() && concerns_all(&refusal) => return Err(refusal),
                    shown => outcomes.push((id, shown)),
                }
            }
        }
        Ok(outcomes)
    }

    async fn ask(&self, at: usize, read: &Read, ends: Instant) -> (Arc<str>, Result<Answered, Refusal>) {
        let id: Arc<str> = format!("{}/{at}", self.id).into();
        let answered = async {
            let (path, fields) = question(&read.path, read.version)?;
            let request = Request {
                id: id.clone(),
                door: Door::Native,
                credential: self.credential.clone(),
                peer: self.peer.clone(),
                operation: Operation::Read,
                address: Address::Secret { view: SecretView::Value, path },
                fields,
                refresh: self.refresh,
                deadline: ends.saturating_duration_since(Instant::now()),
            };
            Ok::<_, Refusal>(self.edge.broker.handle(request).await?)
        };
        let answered = Box::pin(answered).await;
        (id, answered)
    }
}

/// The path and the parameters of a read.
pub(super) fn question(path: &str, version: Option<u64>) -> Result<(Path, Fields), Refusal> {
    let path = parse_path(path)?;
    if path.is_folder() {
        return Err(Refusal::invalid("path", "a path that ends in '/' is a folder: list it"));
    }
    let mut fields = Fields::default();
    if let Some(version) = version {
        let most = u64::from(u32::MAX);
        if !(1..=most).contains(&version) {
            return Err(Refusal::invalid("version", format!("expected a whole number from 1 to {most}")));
        }
        fields.set_string("version", &version.to_string());
    }
    Ok((path, fields))
}

fn fit<T>(room: &mut usize, (shown, size): (T, usize)) -> Result<T, Refusal> {
    match room.checked_sub(size) {
        Some(left) => {
            *room = left;
            Ok(shown)
        }
        None => {
            let words = "the secrets of one answer are too large together: read this one by itself";
            Err(Error::new(ErrorKind::TooLarge, words).into())
        }
    }
}

/// Whether every other read would be refused for the same reason.
fn concerns_all(refusal: &Refusal) -> bool {
    matches!(
        refusal.error().kind,
        ErrorKind::AuditUnavailable | ErrorKind::Sealed | ErrorKind::Unauthenticated | ErrorKind::Uninitialized
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_room_until_it_is_full() {
        let mut room = 10;
        assert_eq!(fit(&mut room, ("a", 4)).unwrap(), "a");
        assert_eq!(fit(&mut room, ("b", 7)).unwrap_err().error().kind, ErrorKind::TooLarge);
        assert_eq!(fit(&mut room, ("c", 6)).unwrap(), "c");
        assert_eq!(room, 0);
    }

    #[test]
    fn a_read_names_what_is_wrong_with_it() {
        for (path, version, field) in
            [("a/", None, "path"), ("a//b", None, "path"), ("a", Some(0), "version"), ("a", Some(1 << 32), "version")]
        {
            assert_eq!(question(path, version).unwrap_err().error().field.as_deref(), Some(field), "{path}");
        }
        let (_, fields) = question("a", Some(7)).unwrap();
        assert_eq!(fields.get("version").and_then(Secret::expose_str), Some("\"7\""));
    }
}

//! One call: who asks, until when, and what the log learns of it.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::HeaderMap;
use tonic::{Code, Response, Status, metadata::MetadataMap};
use warder_core::{
    error::{Error, ErrorKind},
    identity::Peer,
    path::Path,
    request::{Address, Door, Fields, Operation, Reply as Answered, Request, SecretView},
    secret::Secret,
};
use warder_proto::v1;
use zeroize::Zeroize as _;

use super::{
    super::{Edge, Limits, Outcome, identify, log_fault, parse_path, problem::Refusal, reply},
    status,
};

const TIMEOUT: &str = "grpc-timeout";

/// What a method leaves behind: its message, and the answer it was made of.
pub(super) type Told<T> = Result<(T, Answered), Refusal>;

/// One call on its way through the door.
pub(super) struct Call {
    edge: Arc<Edge>,
    peer: Peer,
    id: Arc<str>,
    headers: HeaderMap,
    started: Instant,
    outcome: OnceLock<Outcome>,
}

impl Call {
    pub(super) const fn new(edge: Arc<Edge>, peer: Peer, id: Arc<str>, headers: HeaderMap, started: Instant) -> Self {
        Self { edge, peer, id, headers, started, outcome: OnceLock::new() }
    }

    pub(super) fn limits(&self) -> Limits {
        self.edge.limits
    }

    /// What became of it.
    pub(super) fn outcome(&self) -> Outcome {
        self.outcome.get().cloned().unwrap_or(Outcome::PLAIN)
    }

    /// What the edge shares.
    pub(super) const fn edge(&self) -> &Arc<Edge> {
        &self.edge
    }

    /// The id of this call.
    pub(super) const fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The other end.
    pub(super) const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The caller's token.
    pub(super) fn credential(&self) -> Result<Option<Secret>, Error> {
        identify::credential(&self.headers, Door::Native)
    }

    /// Hands a request for a secret to the broker.
    pub(super) async fn ask(
        &self,
        operation: Operation,
        view: SecretView,
        path: Path,
        fields: Fields,
        refresh: bool,
    ) -> Result<Answered, Refusal> {
        let credential = self.credential()?;
        self.ask_as(credential, operation, Address::Secret { view, path }, fields, refresh).await
    }

    /// Hands a request for a canonical path to the broker.
    pub(super) async fn canonical(
        &self,
        operation: Operation,
        path: &str,
        fields: Fields,
    ) -> Result<Answered, Refusal> {
        let credential = self.credential()?;
        self.ask_as(credential, operation, Address::Canonical(parse_path(path)?), fields, false).await
    }

    /// Hands a request to the broker on behalf of this token.
    pub(super) async fn ask_as(
        &self,
        credential: Option<Secret>,
        operation: Operation,
        address: Address,
        fields: Fields,
        refresh: bool,
    ) -> Result<Answered, Refusal> {
        let request = Request {
            id: self.id.clone(),
            door: Door::Native,
            credential,
            peer: self.peer.clone(),
            operation,
            address,
            fields,
            refresh,
            deadline: self.time_left()?,
        };
        Ok(self.edge.broker.handle(request).await?)
    }

    /// Our own bound, or the caller's when that is shorter, less what has passed.
    ///
    /// # Errors
    /// `invalid_request` at `grpc-timeout`.
    pub(super) fn time_left(&self) -> Result<Duration, Error> {
        let bound = self.time_asked()?.unwrap_or(Duration::MAX).min(self.limits().request);
        Ok(bound.saturating_sub(self.started.elapsed()))
    }

    /// The caller's bound.
    ///
    /// # Errors
    /// `invalid_request` at `grpc-timeout`.
    pub(super) fn time_asked(&self) -> Result<Option<Duration>, Error> {
        let asked = self.headers.get(TIMEOUT).map(|value| {
            let words = "expected 1 to 8 digits and a unit: H, M, S, m, u or n";
            value.to_str().ok().and_then(timeout).ok_or_else(|| Error::invalid(TIMEOUT, words))
        });
        asked.transpose()
    }

    /// A method's message that no single answer of the broker stands behind.
    pub(super) fn tell_plain<T>(&self, told: Result<T, Refusal>) -> Result<Response<T>, Status> {
        told.map(Response::new).map_err(|refusal| self.refuse(&refusal))
    }

    /// The same for several reads.
    pub(super) fn tell_reads<T>(&self, told: Result<T, Refusal>) -> Result<Response<T>, Status> {
        let told = self.tell_plain(told)?;
        let _ = self.outcome.set(Outcome::READS);
        Ok(told)
    }

    /// Refuses a call whose time is up before it has begun.
    pub(super) fn in_time(&self) -> Result<(), Refusal> {
        if self.time_left()?.is_zero() {
            return Err(Error::new(ErrorKind::DeadlineExceeded, "the time was up before it began").into());
        }
        Ok(())
    }

    /// A method's message with what belongs around it.
    pub(super) fn tell<T>(&self, told: Told<T>) -> Result<Response<T>, Status> {
        let (message, answered) = told.map_err(|refusal| self.refuse(&refusal))?;
        let _ = self.outcome.set(Outcome::answered(&answered));
        let mut headers = HeaderMap::new();
        reply::text_header(&mut headers, "x-warder-resolved", answered.resolved.as_str());
        let mut response = Response::new(message);
        *response.metadata_mut() = MetadataMap::from_headers(headers);
        Ok(response)
    }

    /// Logs a refusal and says it in gRPC.
    pub(super) fn refuse(&self, refusal: &Refusal) -> Status {
        self.refuse_as(status::code(refusal.error()), refusal)
    }

    /// Logs the refusal of one result among others.
    pub(super) fn refuse_one(&self, refusal: &Refusal, id: &str) -> v1::Refusal {
        log_fault(id, refusal);
        status::as_message(refusal, id)
    }

    /// The same with a code more exact than the kind's own.
    pub(super) fn refuse_as(&self, code: Code, refusal: &Refusal) -> Status {
        log_fault(&self.id, refusal);
        let _ = self.outcome.set(Outcome::refused(refusal.error().kind));
        status::of(refusal, code, &self.id)
    }
}

/// Takes bytes over as a secret, and overwrites them where they lay if nobody else has them.
pub(super) fn take(bytes: Bytes) -> Secret {
    let secret = Secret::from(&*bytes);
    if let Ok(mut own) = bytes.try_into_mut() {
        own.as_mut().zeroize();
    }
    secret
}

/// The text that a message carries is over the limit.
pub(super) fn too_large(most: usize) -> Refusal {
    Error::new(ErrorKind::TooLarge, format!("the text is larger than {most} bytes")).at("json").into()
}

/// The message is over the limit.
pub(super) fn message_too_large(most: usize) -> Refusal {
    Error::new(ErrorKind::TooLarge, format!("the message is larger than {most} bytes")).at("message").into()
}

/// `TimeoutValue TimeoutUnit` of gRPC over HTTP/2.
pub(in crate::edge) fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let plain = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let number = digits.parse().ok().filter(|_| plain)?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_have_up_to_eight_digits_and_a_unit() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("250m", Some(Duration::from_millis(250))),
            ("7u", Some(Duration::from_micros(7))),
            ("0n", Some(Duration::ZERO)),
            ("", None),
            ("S", None),
            ("1", None),
            ("-1S", None),
            ("+1S", None),
            ("1.5S", None),
            ("1s", None),
            ("999999999S", None),
            ("1\u{e9}", None),
        ] {
            assert_eq!(timeout(text), expected, "{text}");
        }
    }

    #[test]
    fn bytes_that_nobody_shares_are_taken() {
        let shared = Bytes::from(vec![7; 3]);
        let kept = shared.clone();
        assert!(take(shared).ct_eq(&[7, 7, 7]));
        assert_eq!(&*kept, [7, 7, 7], "others may still read them");
        assert!(take(kept).ct_eq(&[7, 7, 7]));
    }
}

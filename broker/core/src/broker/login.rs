//! Credentials that fail: throttled where they come from, and locked by the name that they are for.

use std::time::Duration;

use super::{
    Broker,
    admit::{Admission, Place, Spot, writes},
};
use crate::{
    error::{Error, ErrorKind, Result},
    identity::{Identity, Peer},
    json,
    request::{Fields, Request},
    secret::Secret,
    trace,
};

/// Fields that name who logs in, for routes whose path does not.
const NAMES: [&str; 5] = ["username", "user", "name", "role", "role_id"];

impl Broker {
    /// Who comes with the request's credential. Where too many failed, nothing is looked up for a
    /// while but those that are remembered as good.
    pub(super) async fn identified(&self, request: &Request) -> Result<Option<std::sync::Arc<Identity>>> {
        let (address, addresses) = (request.peer.address, &self.sys.lockouts.addresses);
        let Some(token) = &request.credential else {
            if stranger(request) {
                self.pause(&request.peer)?;
            }
            return Ok(None);
        };
        if addresses.paused(address, self.clock.now()).is_some() && !self.sys.tokens.remembers(token).await? {
            self.pause(&request.peer)?;
        }
        let stage = trace::stage("identify");
        let identity = Box::pin(self.sys.tokens.identify(token)).await;
        stage.end(&identity);
        if identity.as_ref().is_err_and(|error| error.kind == ErrorKind::Unauthenticated) {
            addresses.failed(address, self.clock.now());
        }
        identity.map(Some)
    }

    /// Refuses where too many credentials failed.
    fn pause(&self, peer: &Peer) -> Result<()> {
        let addresses = &self.sys.lockouts.addresses;
        let Some(wait) = addresses.paused(peer.address, self.clock.now()) else { return Ok(()) };
        addresses.refuse();
        Err(throttled(wait))
    }

    /// A login that reached nobody.
    pub(super) fn missed(&self, peer: &Peer) {
        self.sys.lockouts.addresses.failed(peer.address, self.clock.now());
    }

    /// Refuses a login by a name that is locked, in the words of any other refusal.
    pub(super) fn unlocked(&self, spot: &Spot, name: Option<&str>) -> Result<()> {
        let locked = |name| self.sys.lockouts.names.locked(&spot.mount.accessor, name, self.clock.now());
        match name.and_then(locked) {
            Some(_) => Err(Error::denied()),
            None => Ok(()),
        }
    }

    /// Counts how a login ended.
    pub(super) fn judge(&self, admission: &Admission, error: Option<&Error>) {
        let (Some(name), Place::Plugin(spot)) = (&admission.login, &admission.place) else { return };
        let (lockouts, now) = (&self.sys.lockouts, self.clock.now());
        match error {
            None => lockouts.names.succeeded(&spot.mount.accessor, name),
            Some(error) if failed(error) => {
                lockouts.addresses.failed(admission.peer.address, now);
                if !name.is_empty() && lockouts.names.failed(&spot.mount.accessor, name, &spot.mount.lockout, now) {
                    let mount = spot.mount.accessor.as_str();
                    tracing::warn!(request.id = &*admission.id, mount, "a name is locked: too many logins failed");
                }
            }
            Some(_) => {}
        }
    }
}

/// Without a token and not to read: somebody who logs in.
pub(super) fn stranger(request: &Request) -> bool {
    request.credential.is_none() && writes(request.operation)
}

/// Whom a login is for: what its path captures, or a field that names somebody.
pub(super) fn name(spot: &Spot, fields: &Fields) -> String {
    if let Some((_, captured)) = spot.target.captures.last() {
        return captured.clone();
    }
    let named = NAMES.iter().find_map(|name| fields.get(name));
    let text = named.and_then(Secret::expose_str).and_then(|raw| json::string(raw).ok());
    text.map(|text| text.as_str().to_owned()).unwrap_or_default()
}

/// The plugin looked at it and did not believe it. A field at fault is a mistake, not a guess.
fn failed(error: &Error) -> bool {
    use ErrorKind::{InvalidRequest, NotFound, PermissionDenied, Unauthenticated, UpstreamRejected};
    let judged =
        matches!(error.kind, InvalidRequest | NotFound | PermissionDenied | Unauthenticated | UpstreamRejected);
    judged && error.field.is_none()
}

fn throttled(wait: Duration) -> Error {
    Error::new(ErrorKind::RateLimited, "too many credentials from this address failed: try again later").after(wait)
}

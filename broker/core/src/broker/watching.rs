//! Watching secrets: what a watcher passes before its first change, and between one and the next.
//!
//! A watch is opened like a request: identified, authorized, spent, recorded. Then each change is
//! decided by itself, by the rules and the token as they are at that moment. Its end is recorded as
//! well, with the reason when it was the broker that ended it.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{Broker, admit::unknown};
use crate::{
    audit::{self, Outcome, Record},
    authz::Acl,
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
    feed::{self, Item, Next, Place, Spelling, Stop},
    identity::{Identity, Peer},
    path::Path,
    port::storage::Revision,
    request::Door,
    route::{self, Mount},
    secret::Secret,
};

/// The word for it in records.
const OPERATION: &str = "watch";
/// Most changes that a watcher takes at once.
const AT_ONCE: usize = 64;

/// Who wants to watch what.
#[derive(Debug)]
pub struct WatchRequest {
    /// Echoed to the caller and written to logs and audit.
    pub id: Arc<str>,
    /// The token, when there was one.
    pub credential: Option<Secret>,
    /// The other end.
    pub peer: Peer,
    /// The secret, or the folder with all below it, as the native API names them; none: all.
    pub prefix: Option<Path>,
    /// Changes after this one; none: from now on.
    pub from: Option<Revision>,
    /// Wall time for the watch to begin.
    pub deadline: Duration,
    /// Wall time for all of it, when the caller set one.
    pub lasts: Option<Duration>,
}

/// What a watcher is told.
#[derive(Debug)]
pub enum Told {
    /// The watch goes on; everything up to this revision was told.
    Beat(Revision),
    /// What changed, oldest first.
    Changes(Vec<(Arc<Item>, Spelling)>),
    /// It is over.
    End(Error),
    /// Changes up to this revision are lost: read again, then go on from here.
    Lagged(Revision),
    /// It begins; what comes after this revision will be told.
    Ready(Revision),
}

/// A watch under way. Dropping it ends it.
pub struct Watch {
    broker: Arc<Broker>,
    credential: Secret,
    entry: Option<audit::Entry>,
    place: Place,
    /// Told before anything else.
    first: Option<Told>,
    standing: Option<Standing>,
    /// When the caller wants it to end.
    until: Option<Timestamp>,
}

/// What the watcher may see, as long as nothing changes that.
struct Standing {
    changes: u64,
    acl: Arc<Acl>,
}

impl Broker {
    /// Opens a watch.
    ///
    /// # Errors
    /// As [`Broker::handle`]; `permission_denied` when nothing below the prefix could ever be told,
    /// `rate_limited` when there are too many watchers.
    pub async fn watch(self: &Arc<Self>, request: WatchRequest) -> Result<Watch> {
        let deadline = request.deadline;
        if deadline.is_zero() {
            return Err(super::late(deadline));
        }
        timeout(deadline, Box::pin(self.open_watch(request))).await.map_err(|_| super::late(deadline))?
    }

    /// Watchers at this moment.
    #[must_use]
    pub fn watchers(&self) -> usize {
        self.feed.watchers()
    }

    /// Tells all watchers that the process will end.
    pub fn stop_watches(&self) {
        self.feed.stop(Stop::Shutdown);
    }

    /// Returns when there is no watch and the end of each is recorded.
    pub async fn watches_ended(&self) {
        let mut open = self.watching.subscribe();
        // The sender is in `self`.
        let _ = open.wait_for(|open| *open == 0).await;
    }

    async fn open_watch(self: &Arc<Self>, request: WatchRequest) -> Result<Watch> {
        let prefix = request.prefix.clone().unwrap_or_else(Path::root);
        let mut entry = audit::Entry::new(request.id.clone(), self.clock.now(), OPERATION, &prefix);
        entry.door = Some(Door::Native);
        entry.remote_address = request.peer.address;
        entry.proxy_address = request.peer.via;
        entry.token.clone_from(&request.credential);
        if !self.is_open() {
            return self.refuse(entry, self.closed()).await;
        }
        match self.joined(request, &prefix, &mut entry).await {
            Ok(mut watch) => {
                self.sys.audit.record(Record::open(&entry)).await?;
                self.watching.send_modify(|open| *open += 1);
                watch.entry = Some(entry);
                Ok(watch)
            }
            Err(error) => self.refuse(entry, error).await,
        }
    }

    async fn joined(self: &Arc<Self>, request: WatchRequest, prefix: &Path, entry: &mut audit::Entry) -> Result<Watch> {
        let prefix = prefix.as_str().trim_end_matches('/');
        let reach = self.reach(prefix).await?;
        let identified = match &request.credential {
            Some(token) => self.sys.tokens.identify(token).await,
            None => Err(unknown()),
        };
        let folder = reach.last().map_or("", String::as_str);
        self.watch_within_limits(&request, folder, identified.as_ref().ok()).await?;
        let (identity, credential) = (identified?, request.credential.ok_or_else(unknown)?);
        entry.identity = Some(identity.clone());
        let acl = self.sys.policies.acl_for(&identity.policies).await?;
        // A use is a use, allowed or not.
        if identity.counted {
            self.sys.tokens.spend(&identity).await?;
        }
        if !reach.iter().any(|folder| acl.reaches(folder)) {
            return Err(Error::denied());
        }
        let current = self.storage.snapshot().await?.revision();
        let holder = holder(&identity, &credential);
        let joining =
            feed::Joining { holder: &holder, stored: !identity.digest.is_empty(), prefix, from: request.from, current };
        let (place, known) = self.feed.join(&joining)?;
        self.start_fan_out();
        let seen = place.seen;
        let first = Some(if known { Told::Ready(seen) } else { Told::Lagged(seen) });
        let until = request.lasts.map(|lasts| self.clock.now().after(lasts));
        Ok(Watch { broker: self.clone(), credential, entry: None, place, first, standing: None, until })
    }

    /// Counts the opening as a request of the folder.
    async fn watch_within_limits(
        &self,
        request: &WatchRequest,
        folder: &str,
        identity: Option<&Arc<Identity>>,
    ) -> Result<()> {
        let quotas = &self.sys.quotas;
        if quotas.is_empty().await? {
            return Ok(());
        }
        let (address, credential) = (request.peer.address, request.credential.as_ref());
        let holder = identity.zip(credential).map(|(identity, credential)| holder(identity, credential));
        let counted = quotas.admit(folder, address).await?;
        quotas.admit_token(folder, address, holder.as_deref().map(str::as_bytes), counted).await
    }

    async fn reach(&self, prefix: &str) -> Result<Vec<String>> {
        let table = self.sys.mounts.table().await?;
        let routes = |mount: &Mount| self.loaded.of(mount).ok().map(|plugin| plugin.routes.clone());
        Ok(route::reach(&table, prefix, &routes))
    }

    /// One task wakes all watchers; it ends with the broker.
    fn start_fan_out(&self) {
        let mut fanning = self.fanning.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if fanning.as_ref().is_none_or(tokio::task::JoinHandle::is_finished) {
            let feed = self.feed.clone();
            *fanning = Some(tokio::spawn(async move { feed.fan_out().await }));
        }
    }
}

/// What the token is called in the feed: its digest, or for those that are not stored that of its text.
fn holder(identity: &Identity, credential: &Secret) -> String {
    if !identity.digest.is_empty() {
        return identity.digest.clone();
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, credential.expose());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Watch {
    /// What the watcher is told next. After [`Told::End`] there is nothing more.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Told {
        if let Some(first) = self.first.take() {
            return first;
        }
        match self.told().await {
            Ok(told) => told,
            Err(error) => {
                let error = self.named(error);
                self.close(Outcome::failed(&error)).await;
                Told::End(error)
            }
        }
    }

    async fn told(&mut self) -> Result<Told> {
        loop {
            if let Some(stop) = self.place.slot.stopped() {
                return Err(stop.error());
            }
            let acl = self.acl().await?;
            // Before looking: all up to it has been handed out then.
            let beat = self.place.slot.take_beat().then(|| self.broker.feed.newest());
            match self.place.next(AT_ONCE) {
                Next::Items(mut items) => {
                    if let Some((last, _)) = items.last() {
                        self.place.seen = last.revision;
                    }
                    items.retain(|(item, _)| item.is_visible(&acl));
                    if !items.is_empty() {
                        return Ok(Told::Changes(items));
                    }
                }
                Next::Lost => {
                    let epoch = self.place.epoch();
                    let current = self.broker.storage.snapshot().await?.revision();
                    self.place.go_on(current, epoch);
                    return Ok(Told::Lagged(current));
                }
                Next::Nothing => match beat {
                    Some(newest) => {
                        self.place.seen = self.place.seen.max(newest);
                        return Ok(Told::Beat(self.place.seen));
                    }
                    None => self.place.slot.woken().await,
                },
            }
        }
    }

    /// The rules of the caller as they are now; an error when the token is no more.
    async fn acl(&mut self) -> Result<Arc<Acl>> {
        let now = self.broker.clock.now();
        if self.until.is_some_and(|until| now >= until) {
            return Err(Error::new(ErrorKind::DeadlineExceeded, "the time that was set for this watch is over"));
        }
        // Before looking: what changes meanwhile is looked at again.
        let changes = self.broker.feed.changes();
        if let Some(standing) = &self.standing
            && standing.changes == changes
            && !self.place.slot.is_over(now)
        {
            return Ok(standing.acl.clone());
        }
        let sys = &self.broker.sys;
        let identity = sys.tokens.identify(&self.credential).await?;
        let acl = sys.policies.acl_for(&identity.policies).await?;
        let over = [identity.expires, self.until].into_iter().flatten().min();
        self.place.slot.set_over(over);
        self.standing = Some(Standing { changes, acl: acl.clone() });
        Ok(acl)
    }

    /// Words for somebody who was let in before.
    fn named(&self, error: Error) -> Error {
        match error.kind {
            ErrorKind::Unauthenticated => {
                Error::new(ErrorKind::Unauthenticated, "the token of this watch was revoked or has expired")
            }
            _ => error,
        }
    }

    async fn close(&mut self, outcome: Outcome) {
        if let Some(entry) = self.entry.take() {
            ended(&self.broker, &entry, outcome).await;
        }
    }
}

/// Records the end of a watch. Nobody waits for what it says: a sink that does not take it is told
/// in the log.
async fn ended(broker: &Broker, entry: &audit::Entry, outcome: Outcome) {
    if let Err(error) = broker.sys.audit.record(Record::close(entry, outcome)).await {
        tracing::error!(request.id = &*entry.id, error.chain = %error.chain(), "the end of a watch was not recorded");
    }
    broker.watching.send_modify(|open| *open -= 1);
}

impl Drop for Watch {
    /// The caller went away.
    fn drop(&mut self) {
        let Some(entry) = self.entry.take() else { return };
        let broker = self.broker.clone();
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move { ended(&broker, &entry, Outcome::done(None)).await })),
            Err(_) => broker.watching.send_modify(|open| *open -= 1),
        }
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("place", &self.place).finish_non_exhaustive()
    }
}

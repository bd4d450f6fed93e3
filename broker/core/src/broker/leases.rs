//! Leases and the plugins that issued them: intent before the call, renewal, revocation, and the
//! housekeeping that revokes what is due.
//!
//! Invariants: a plugin's `revoke` is called only for a lease that is doomed, so nothing renews it
//! meanwhile; a lease goes in the commit of what its plugin stored when it revoked.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::task::JoinSet;

use super::{
    Broker,
    admit::{Admission, Place, Spot},
    plugin::Plugin,
};
use crate::{
    audit::{Entry, Outcome, Record},
    error::{Error, ErrorKind, Result},
    identity::Peer,
    lease::{self, Due, Held, Intent, Leases, Pending, Walk},
    path::Path,
    port::{
        backend::{Caller, LeaseGrant, Leased, PluginAnswer, PluginReply},
        storage::Batch,
        usage::Export,
    },
    random,
    request::{Answer, LeaseShown, Operation, Reply},
    route::Mount,
    sys::LeaseOrder,
};

/// Revocations at once, of one mount and of all.
const HANDS: (usize, usize) = (8, 64);
/// Keys read at a time, and how often in one round: a mount that is busy hides no other behind it.
const PAGE: (usize, usize) = (512, 16);
/// Wall time of one call.
const CALL: Duration = Duration::from_secs(30);
/// The longest pause between two rounds.
const IDLE: Duration = Duration::from_secs(1);
/// Tries of an intent that meets a conflict.
const ATTEMPTS: u32 = 32;

impl Broker {
    /// Writes down that this request is about to issue something, where its route says so.
    pub(super) async fn intend(&self, admission: &Admission) -> Result<Option<Pending>> {
        let Place::Plugin(spot) = &admission.place else { return Ok(None) };
        if !spot.route.issues_lease || !mints(admission.operation) {
            return Ok(None);
        }
        let Some(identity) = &admission.identity else {
            return Err(blamed(spot, "issues leases on a route for strangers"));
        };
        let mount = (&*spot.mount.uuid, spot.mount.path.as_str(), spot.mount.scope.plugin.as_str());
        for _ in 0..ATTEMPTS {
            let token = self.sys.tokens.standing(identity).await?;
            let checks = token.into_iter().chain([self.sys.mounts.standing(&spot.mount).await?]).collect();
            let intent = Intent { path: admission.path.as_str(), mount, identity };
            if let Some(pending) = self.sys.leases.intend(intent, checks).await? {
                return Ok(Some(pending));
            }
        }
        Err(Error::new(ErrorKind::Conflict, "the token or the mount was changed too often meanwhile: try again"))
    }

    /// Gives up what was not confirmed; what cannot be written down now is given up in time.
    pub(super) async fn abandon(&self, pending: &Pending, acted: bool) {
        if let Err(error) = self.sys.leases.abandon(pending, acted).await {
            tracing::warn!(error = %error.chain(), "a lease that was not confirmed could not be given up yet");
        }
    }

    /// Carries out what plugins must do about leases.
    pub(super) async fn order(self: &Arc<Self>, order: LeaseOrder, admission: &Admission) -> Result<Reply> {
        let reply = || admission.reply(Answer::Nothing, Vec::new(), false);
        match order {
            LeaseOrder::Renew { id, increment } => {
                let lease = Some(self.renew(&id, increment, admission).await?);
                Ok(Reply { lease, ..reply() })
            }
            LeaseOrder::Revoke { id } => {
                if self.sys.leases.doom(&id).await?.is_some() {
                    self.give_back(&id, false).await?;
                }
                Ok(reply())
            }
            LeaseOrder::RevokeBelow { prefix, force } => {
                self.revoke_below(&prefix, force).await?;
                Ok(reply())
            }
        }
    }

    /// Revokes everything below a path, a page at a time; stops after a page with failures.
    pub(super) async fn revoke_below(self: &Arc<Self>, prefix: &str, force: bool) -> Result<()> {
        let mut walk = Walk::below(prefix);
        while let Some(ids) = self.sys.leases.walk(&mut walk).await? {
            self.sys.leases.doom_all(&ids).await?;
            let (mut under_way, mut failed) = (JoinSet::new(), Vec::new());
            for id in ids {
                if under_way.len() >= HANDS.0 {
                    failed.extend(under_way.join_next().await.and_then(failure));
                }
                let this = self.clone();
                under_way.spawn(async move { this.give_back(&id, force).await });
            }
            while let Some(ended) = under_way.join_next().await {
                failed.extend(failure(ended));
            }
            let count = failed.len();
            if let Some(first) = failed.into_iter().next() {
                let words = format!("{count} or more leases are not revoked yet and are tried again: {}", first.detail);
                return Err(Error { detail: words.into(), ..first });
            }
        }
        Ok(())
    }

    async fn renew(&self, id: &str, increment: Duration, admission: &Admission) -> Result<LeaseShown> {
        for attempt in 0.. {
            let held = self.sys.leases.renewable(id).await?;
            let Some((mount, plugin)) = self.issuer(&held).await? else { return Err(lease::unknown()) };
            let room = self.gates.enter(&mount, admission.asker())?;
            let _running = room.call(admission.until).await?;
            let run = self.invocation(&mount, nobody(), CALL, None).await?;
            let renewed = plugin.backend.renew(run, leased(&held, increment));
            let ran = self.told(&mount.scope, Export::Renew, renewed).await;
            let granted = ran.result?;
            if granted.is_zero() {
                let error = Error::new(ErrorKind::UpstreamProtocol, "the plugin renewed the lease for no time at all");
                return Err(error.in_plugin(mount.scope.plugin.as_str(), mount.path.as_str()));
            }
            let txn = ran.txn.ok_or_else(|| Error::internal("the sandbox lost its transaction"))?;
            if let Some(shown) = self.sys.leases.renew(&held, granted, txn.finish()).await? {
                return Ok(shown);
            }
            if let Some(error) = Leases::raced(attempt) {
                return Err(error);
            }
        }
        Err(Error::internal("renewals have no end"))
    }

    /// Has a doomed lease revoked, recorded. With `force` it goes whatever its plugin says.
    pub(super) async fn give_back(&self, id: &str, force: bool) -> Result<()> {
        let Some(held) = self.sys.leases.held(id).await? else { return Ok(()) };
        let entry = self.lease_entry(&held).await?;
        self.sys.audit.record(Record::open(&entry)).await?;
        let result = self.revoked(id, force).await;
        let outcome = result.as_ref().map_or_else(Outcome::failed, |()| Outcome::done(None));
        if let Err(error) = self.sys.audit.record(Record::close(&entry, outcome)).await {
            // Nothing is shown to anybody, and a revocation is not taken back.
            tracing::error!(error = %error.chain(), "the end of a lease has no closing record");
        }
        result
    }

    async fn revoked(&self, id: &str, force: bool) -> Result<()> {
        for attempt in 0.. {
            let Some(held) = self.sys.leases.held(id).await? else { return Ok(()) };
            let batch = match self.ask_to_revoke(&held).await {
                Ok(batch) => batch,
                Err(error) if force => {
                    tracing::warn!(lease.path = held.record.issuing_path(), error = %error.chain(), "lease removed by force, not revoked");
                    Batch::default()
                }
                Err(error) => {
                    self.sys.leases.failed(&held, &error).await?;
                    let (path, attempts) = (held.record.issuing_path(), held.record.attempts + 1);
                    tracing::warn!(lease.path = path, lease.attempts = attempts, error = %error.chain(), "lease not revoked; trying again");
                    return Err(error);
                }
            };
            if self.sys.leases.removed(&held, batch).await? {
                return Ok(());
            }
            if let Some(error) = Leases::raced(attempt) {
                return Err(error);
            }
        }
        Ok(())
    }

    /// What the plugin stored when it revoked, not committed yet.
    async fn ask_to_revoke(&self, held: &Held) -> Result<Batch> {
        let Some((mount, plugin)) = self.issuer(held).await? else {
            // Its storage is gone: there is nobody who knows what it stood for.
            tracing::warn!(lease.path = held.record.issuing_path(), "lease of a mount that is gone");
            return Ok(Batch::default());
        };
        let run = self.invocation(&mount, nobody(), CALL, None).await?;
        let revoked = plugin.backend.revoke(run, leased(held, Duration::ZERO));
        let ran = self.told(&mount.scope, Export::Revoke, revoked).await;
        ran.result?;
        Ok(ran.txn.ok_or_else(|| Error::internal("the sandbox lost its transaction"))?.finish())
    }

    /// The mount that issued it and its plugin; none when the mount is gone.
    async fn issuer(&self, held: &Held) -> Result<Option<(Arc<Mount>, Plugin)>> {
        let table = self.sys.mounts.table().await?;
        let Some(mount) = table.at(&held.record.mount_path).filter(|mount| *mount.uuid == *held.record.mount) else {
            return Ok(None);
        };
        Ok(Some((mount.clone(), self.loaded.of(mount)?)))
    }

    async fn lease_entry(&self, held: &Held) -> Result<Entry> {
        let record = &held.record;
        let word = if record.timed_out { "expire" } else { "revoke" };
        let mut entry = Entry::new(random::name()?, self.clock.now(), word, record.issuing_path());
        let mut fields = crate::request::Fields::default();
        fields.set_string("lease_id", &record.id);
        (entry.fields, entry.effects) = (Some(Arc::new(fields)), true);
        let table = self.sys.mounts.table().await?;
        entry.mount = table.at(&record.mount_path).map(|mount| mount.scope.clone());
        Ok(entry)
    }

    /// Takes a mount's leases back before it goes.
    ///
    /// # Errors
    /// Those of its plugin: then it stays mounted.
    pub(super) async fn clear(self: &Arc<Self>, path: &Path) -> Result<()> {
        let folder = path.to_folder();
        if self.sys.mounts.table().await?.at(folder.as_str()).is_none() {
            return Ok(());
        }
        self.revoke_below(folder.as_str(), false).await.map_err(|error| {
            let words = format!(
                "the mount has leases that cannot be revoked, so it stays; sys/leases/revoke-force/{path} gives them up: {}",
                error.detail
            );
            Error { detail: words.into(), ..error }
        })
    }

    /// Revokes what is due, as far as there are hands for it. Answers with how long there is nothing
    /// to do, unless [`Broker::leases_woken`] comes first.
    pub async fn revoke_due(self: &Arc<Self>) -> Duration {
        if !self.is_open() {
            return IDLE;
        }
        match self.round().await {
            Ok(pause) => pause,
            Err(error) => {
                if self.is_open() {
                    tracing::warn!(error = %error.chain(), "leases that are due could not be looked at; trying again");
                }
                IDLE
            }
        }
    }

    /// Waits until there may be a lease to revoke at once.
    pub async fn leases_woken(&self) {
        self.sys.leases.woken().await;
    }

    /// Leases now, and what happened to leases since the start.
    #[must_use]
    pub fn lease_counts(&self) -> lease::Counts {
        self.sys.leases.counts()
    }

    async fn round(self: &Arc<Self>) -> Result<Duration> {
        while self.sys.leases.doom_ended().await? {}
        let mut after: Option<Due> = None;
        for _ in 0..PAGE.1 {
            let page = self.sys.leases.due(after.as_ref(), PAGE.0).await?;
            let (mut hands, mut due) = (HashMap::new(), Vec::new());
            for one in &page.due {
                if let Some(hand) = self.hands.lend(one) {
                    hands.insert(hand.lease.clone(), hand);
                    due.push(one.clone());
                }
            }
            for held in self.sys.leases.taken(&due).await? {
                let hand = hands.remove(held.suffix());
                let this = self.clone();
                tokio::spawn(async move { this.handled(held, hand).await });
            }
            if !page.more {
                let now = self.clock.now();
                return Ok(page.next.map_or(IDLE, |next| now.until(next).clamp(Duration::from_millis(10), IDLE)));
            }
            after = page.due.into_iter().next_back();
        }
        Ok(IDLE)
    }

    async fn handled(&self, held: Held, hand: Option<Hand>) {
        let ended = self.give_back(&held.record.id, false).await;
        drop(hand);
        if ended.is_ok() {
            // There is a hand for another one.
            self.sys.leases.look_again();
        }
    }
}

/// Whether an operation mints a lease where its route issues them.
const fn mints(operation: Operation) -> bool {
    matches!(operation, Operation::Create | Operation::Read | Operation::Update)
}

/// The grant of an answer, if it is as the route says.
pub(super) fn granted(reply: &PluginReply, pending: Option<&Pending>, spot: &Spot) -> Result<Option<LeaseGrant>> {
    match (reply.grant, pending) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(blamed(spot, "granted a lease where its description says that there is none")),
        (None, Some(_)) => Err(blamed(spot, "answered without a lease where its description says that there is one")),
        (Some(_), Some(_)) if !matches!(reply.answer, PluginAnswer::Document { .. }) => {
            Err(blamed(spot, "granted a lease on nothing"))
        }
        (Some(grant), Some(_)) => Ok(Some(grant)),
    }
}

fn blamed(spot: &Spot, words: &str) -> Error {
    let (plugin, mount) = (spot.mount.scope.plugin.as_str(), spot.mount.path.as_str());
    Error::new(ErrorKind::Internal, format!("plugin {plugin} in mount {mount} {words}")).in_plugin(plugin, mount)
}

fn leased(held: &Held, increment: Duration) -> Leased {
    let record = &held.record;
    Leased { id: record.id.clone(), path: record.path().to_owned(), issued: record.issued, increment }
}

fn nobody() -> Caller {
    Caller { identity: None, peer: Peer::default() }
}

fn failure(ended: Result<Result<()>, tokio::task::JoinError>) -> Option<Error> {
    ended.map_err(Error::internal).and_then(|result| result).err()
}

/// Those who revoke: so many at once, and each lease by one of them.
#[derive(Default)]
pub(super) struct Hands(Arc<Mutex<Lent>>);

#[derive(Default)]
struct Lent {
    leases: HashSet<String>,
    mounts: HashMap<String, usize>,
}

/// One of them; free again when it drops.
pub(super) struct Hand {
    lease: String,
    mount: String,
    hands: Arc<Mutex<Lent>>,
}

impl Hands {
    /// None while all are busy, or somebody is at this lease.
    fn lend(&self, due: &Due) -> Option<Hand> {
        let mut lent = lock(&self.0);
        let busy = lent.mounts.get(&due.mount).copied().unwrap_or_default();
        if busy >= HANDS.0 || lent.leases.len() >= HANDS.1 || !lent.leases.insert(due.lease().to_owned()) {
            return None;
        }
        *lent.mounts.entry(due.mount.clone()).or_default() += 1;
        Some(Hand { lease: due.lease().to_owned(), mount: due.mount.clone(), hands: self.0.clone() })
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        let mut lent = lock(&self.hands);
        lent.leases.remove(&self.lease);
        if let Some(busy) = lent.mounts.get_mut(&self.mount) {
            *busy -= 1;
        }
        lent.mounts.retain(|_, busy| *busy > 0);
    }
}

fn lock(lent: &Mutex<Lent>) -> MutexGuard<'_, Lent> {
    lent.lock().unwrap_or_else(PoisonError::into_inner)
}

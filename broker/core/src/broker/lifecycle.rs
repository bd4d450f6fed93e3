//! From a closed store to an open broker and back, and the housekeeping in between.

use std::{sync::atomic::Ordering, time::Duration};

use ring::rand::{SecureRandom, SystemRandom};
use tokio::{sync::MutexGuard, time::Instant};

use super::Broker;
use crate::{
    audit::{Entry, Outcome, Record},
    error::{Error, Result},
    identity::Peer,
    port::{
        keyring::Step,
        seal::SealStatus,
        snapshots::{Found, Receiving},
        storage,
    },
    secret::Secret,
};

const SALTS: &str = "core/audit/salt/";
/// Expired tokens removed by one tick.
const EXPIRED_AT_ONCE: usize = 1000;
/// Until somebody looks again whether values must be moved to a newer term.
const REWRAP_IDLE: Duration = Duration::from_secs(1);
/// Until somebody looks again whether those who are waited for are done.
const REWRAP_WAIT: Duration = Duration::from_millis(100);
/// After a step that failed.
const REWRAP_FAILED: Duration = Duration::from_secs(5);

/// What `init` shows once and keeps nowhere.
#[derive(Debug)]
pub struct Initialized {
    /// Shares of the root key; empty for a seal that opens by itself.
    pub shares: Vec<Secret>,
    /// A token with the root policy.
    pub root_token: Secret,
}

impl Broker {
    /// Makes the keyring, the first mounts and a root token, and opens the broker.
    ///
    /// # Errors
    /// `conflict` when already initialized, `invalid_request` for bad numbers.
    pub async fn initialize(
        &self,
        id: &str,
        peer: Peer,
        shares: u8,
        threshold: u8,
        root_token: Option<Secret>,
    ) -> Result<Initialized> {
        let _turn = self.turning.lock().await;
        let entry = self.event(id, &peer, "sys/init");
        self.sys.audit.record(Record::open(&entry)).await?;
        let result = async {
            let shares = self.sys.seal.initialize(shares, threshold).await?;
            self.opened().await?;
            for mount in &self.config.mounts {
                self.sys.mounts.mount(mount).await?;
            }
            let root_token = self.sys.tokens.create_root(root_token).await?.auth.token;
            Ok(Initialized { shares, root_token })
        }
        .await;
        self.close(&entry, result).await
    }

    /// Gives one share of the root key; opens the broker when it was the last one needed.
    ///
    /// # Errors
    /// As [`crate::port::seal::Seal::unseal`].
    pub async fn unseal(&self, id: &str, peer: Peer, share: Secret) -> Result<SealStatus> {
        let _turn = self.turning.lock().await;
        let entry = self.event(id, &peer, "sys/unseal");
        self.sys.audit.record(Record::open(&entry)).await?;
        let result = async {
            let status = self.sys.seal.unseal(share).await?;
            if !status.sealed && !self.is_open() {
                self.opened().await?;
            }
            Ok(status)
        }
        .await;
        self.close(&entry, result).await
    }

    /// Puts a snapshot that was received in the place of all that is stored; with `dry_run` only
    /// looks at it. What is under way ends first; nothing is served meanwhile.
    ///
    /// # Errors
    /// As [`Receiving::commit`] and [`Receiving::check`]: then everything is as it was.
    pub async fn restore(
        &self,
        id: &str,
        peer: Peer,
        mut received: Box<dyn Receiving>,
        force: bool,
        dry_run: bool,
    ) -> Result<Found> {
        let path = if force { "sys/storage/raft/snapshot-force" } else { "sys/storage/raft/snapshot" };
        let mut entry = self.event(id, &peer, path);
        entry.effects = !dry_run;
        let _turn = self.turning.lock().await;
        self.sys.audit.record(Record::open(&entry)).await?;
        if dry_run {
            return self.close(&entry, received.check().await).await;
        }
        self.turn(false);
        let result = received.commit(force).await;
        let result = match self.sys.seal.status().sealed {
            true => {
                self.sys.attempts.forget().await;
                self.sys.audit.clear_salt();
                self.closings.send_modify(|closings| *closings += 1);
                result
            }
            // Also after a refusal: everything is as it was.
            false => self.opened().await.and(result),
        };
        if let Ok(found) = &result {
            tracing::warn!(snapshot.revision = found.revision, snapshot.records = found.records, "snapshot restored");
        }
        self.close(&entry, result).await
    }

    /// Drops the shares given so far.
    pub fn reset_unseal(&self) -> SealStatus {
        self.sys.seal.reset()
    }

    /// Opens the broker over a store that opened by itself.
    ///
    /// # Errors
    /// What storage says; does nothing while sealed.
    pub async fn start(&self) -> Result<()> {
        let _turn = self.turning.lock().await;
        if self.sys.seal.status().sealed {
            return Ok(());
        }
        self.opened().await
    }

    /// Makes sure that this root token exists (development only: a known token).
    ///
    /// # Errors
    /// `sealed`, or what storage says.
    pub async fn ensure_root(&self, token: Secret) -> Result<()> {
        self.sys.tokens.create_root(Some(token)).await.map(|_| ())
    }

    /// Periodic housekeeping; cheap when there is nothing to do.
    pub async fn tick(&self) {
        self.feed.tick(self.clock.now());
        if !self.is_open() {
            return;
        }
        if let Err(error) = self.sys.tokens.expire(EXPIRED_AT_ONCE).await {
            tracing::warn!(error = %error.chain(), "expired tokens were not removed; trying again");
        }
    }

    /// One step of moving old values to the newest term of the keyring. Answers with how long to
    /// wait before the next: as long as the step took, so that at most half of the time is spent on
    /// it.
    pub async fn rewrap(&self) -> Duration {
        if !self.is_open() {
            return REWRAP_IDLE;
        }
        let started = Instant::now();
        match self.sys.keyring.rewrap().await {
            Ok(Step::Idle) => REWRAP_IDLE,
            Ok(Step::More) => started.elapsed().max(Duration::from_millis(1)),
            Ok(Step::Wait) => REWRAP_WAIT,
            Err(error) => {
                if self.is_open() {
                    tracing::warn!(error = %error.chain(), "values were not moved to the newest term; trying again");
                }
                REWRAP_FAILED
            }
        }
    }

    /// Stops serving before the barrier closes. Held until the seal has done its work.
    pub(super) async fn close_doors(&self) -> MutexGuard<'_, ()> {
        let turn = self.turning.lock().await;
        self.turn(false);
        turn
    }

    /// Sealing failed: the barrier is as open as it was.
    pub(super) fn reopen_doors(&self) {
        self.turn(true);
    }

    fn turn(&self, open: bool) {
        self.open.store(open, Ordering::Release);
        self.openness.send_replace(open);
    }

    async fn opened(&self) -> Result<()> {
        let mut salts = Vec::new();
        for sink in self.sys.audit.sinks() {
            let salt = self.salt(&sink.name).await?;
            salts.push((sink.name, salt));
        }
        let salt_of = |name: &str| salts.iter().find(|(had, _)| had == name).map(|(_, salt)| salt.clone());
        self.sys.audit.set_salt(&|name| salt_of(name).unwrap_or_else(|| Secret::from("")));
        self.sys.mounts.resume().await?;
        self.sys.tokens.resume().await?;
        self.sys.leases.resume().await?;
        self.feed.begin(self.storage.snapshot().await?.revision());
        self.turn(true);
        Ok(())
    }

    async fn salt(&self, sink: &str) -> Result<Secret> {
        let key = format!("{SALTS}{sink}");
        if let Some(entry) = storage::get(&*self.storage, &key).await? {
            return Ok(entry.value);
        }
        let mut fresh = [0; 32];
        SystemRandom::new().fill(&mut fresh).map_err(|_| Error::internal("the system's random source failed"))?;
        let salt = Secret::from(fresh.as_slice());
        storage::put(&*self.storage, &key, salt.clone()).await?;
        Ok(salt)
    }

    fn event(&self, id: &str, peer: &Peer, path: &'static str) -> Entry {
        let mut entry = Entry::new(id, self.clock.now(), "update", path);
        entry.remote_address = peer.address;
        entry.proxy_address = peer.via;
        entry.effects = true;
        entry
    }

    async fn close<T>(&self, entry: &Entry, result: Result<T>) -> Result<T> {
        let outcome = match &result {
            Ok(_) => Outcome::done(None),
            Err(error) => Outcome::failed(error),
        };
        match self.sys.audit.record(Record::close(entry, outcome)).await {
            Ok(()) => result,
            // The keyring stands and its shares exist nowhere else: show them, say so in the log.
            Err(error) => {
                tracing::error!(error = %error.chain(), "an administrative answer left without its closing record");
                result
            }
        }
    }
}

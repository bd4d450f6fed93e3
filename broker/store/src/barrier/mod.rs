//! The barrier: core's storage port over an engine, with every value encrypted. Core rooms reach
//! it through the port; the seals open and close it.
//!
//! Invariants: no plain value reaches an engine; without the root key nothing opens; a record
//! moved to another key does not open; the prefix [`RESERVED`] is not reachable through the port;
//! no lock is held while bytes are encrypted or decrypted.
//!
//! What it does not hide: key names and value sizes. A record put back as it was before, under
//! its own key, is not recognized as old.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use async_trait::async_trait;
use warder_core::{
    error::{Error, ErrorKind, Result},
    news::News,
    port::{
        keyring::{KeyStatus, Keyring as Keys, Step},
        storage::{
            Batch, Change, Check, Entry, Observer, Outcome, Revision, Snapshot, Storage, Watch, WatchEnd, Write,
        },
    },
    secret::Secret,
};

use crate::engine::{Engine, EngineError, Hold, RawBatch, RawWrite, Source, Stored, Tally, View};

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod keyring;
mod rewrap;
mod term;

pub(crate) use self::keyring::RootKey;
use self::{
    keyring::Keyring,
    rewrap::{Holds, Rewrapping},
};
pub use self::{rewrap::PAGE, term::BrokenRecord};

/// The prefix of keys that the barrier keeps to itself.
pub const RESERVED: &str = "barrier/";
/// The keyring, encrypted under the root key.
pub(crate) const KEYRING_KEY: &str = "barrier/keyring";
/// The seal's numbers, plain; authenticated by the keyring record.
pub(crate) const SEAL_KEY: &str = "barrier/seal";

/// Encryption around an engine.
pub struct Barrier {
    engine: Arc<dyn Engine>,
    /// None while sealed.
    open: Arc<RwLock<Option<Arc<Keyring>>>>,
    observers: Mutex<Vec<Arc<dyn Observer>>>,
    /// Who works with what, so that no term is dropped under anybody.
    holds: Holds,
    rewrapping: Rewrapping,
    /// Told of another record at [`SEAL_KEY`].
    resealed: Mutex<Option<Resealed>>,
}

/// Takes the new record of the seal.
type Resealed = Box<dyn Fn(&[u8]) + Send + Sync>;

/// How long requests under way may take to end before a snapshot takes their place: 40 s.
const ALONE_TRIES: u32 = 2_000;
const ALONE_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

/// The keyring of a snapshot, opened.
pub(crate) struct Known(Keyring);

impl Known {
    /// Whether this keyring made the record at `key` out of `bytes`.
    pub(crate) fn marked(&self, key: &str, bytes: &[u8], record: &[u8]) -> bool {
        self.0.decrypt(key, record.to_vec()).is_ok_and(|plain| plain.ct_eq(bytes))
    }
}

/// Why the barrier did not open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnsealError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("there is no keyring")]
    Uninitialized,
    #[error("the key does not open the keyring")]
    WrongKey,
}

impl Barrier {
    /// Sealed, over `engine`.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self {
            engine,
            open: Arc::default(),
            observers: Mutex::default(),
            holds: Holds::default(),
            rewrapping: Rewrapping::default(),
            resealed: Mutex::default(),
        }
    }

    /// Whether nothing can be read.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        keyring(&self.open).is_err()
    }

    /// What the engine has done so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.engine.tally()
    }

    /// Makes a keyring under `root` and opens it; `seal` is what will stand at [`SEAL_KEY`].
    /// False: there is one already.
    pub(crate) async fn initialize(&self, root: RootKey, seal: Vec<u8>) -> Result<bool> {
        let keyring = Keyring::generate(root, seal.clone())?;
        let absent = |key: &str| Check::Unchanged { key: key.to_owned(), revision: None };
        let batch = RawBatch {
            checks: vec![absent(KEYRING_KEY), absent(SEAL_KEY)],
            writes: vec![raw(KEYRING_KEY, keyring.seal_up()?), raw(SEAL_KEY, seal)],
            ..RawBatch::default()
        };
        match self.engine.commit(batch).await? {
            Outcome::Conflict => Ok(false),
            Outcome::Committed(revision) => {
                self.install(keyring.stored_at(revision));
                Ok(true)
            }
        }
    }

    /// Opens the keyring with `root`.
    pub(crate) async fn unseal(&self, root: RootKey) -> Result<(), UnsealError> {
        let view = self.engine.view().await?;
        let record = view.get(KEYRING_KEY).await?.ok_or(UnsealError::Uninitialized)?;
        let seal = view.get(SEAL_KEY).await?.ok_or(UnsealError::Uninitialized)?;
        let stored = Keyring::open(root, seal.bytes, &record.bytes).map_err(|_| UnsealError::WrongKey)?;
        self.install(stored.stored_at(record.revision));
        // A full or read-only disk must not keep a store from being read.
        if let Ok(keyring) = keyring(&self.open) {
            self.upkeep(&keyring).await;
        }
        Ok(())
    }

    /// Whether `root` opens the keyring that is stored.
    pub(crate) async fn proves(&self, root: RootKey) -> Result<(), UnsealError> {
        let view = self.engine.view().await?;
        let record = view.get(KEYRING_KEY).await?.ok_or(UnsealError::Uninitialized)?;
        let seal = view.get(SEAL_KEY).await?.ok_or(UnsealError::Uninitialized)?;
        Keyring::open(root, seal.bytes, &record.bytes).map(|_| ()).map_err(|_| UnsealError::WrongKey)
    }

    /// Stores the keyring under `root` from now on, with `seal` at [`SEAL_KEY`], in one commit.
    pub(crate) async fn change_root(&self, root: RootKey, seal: Vec<u8>) -> Result<()> {
        loop {
            let current = keyring(&self.open)?;
            let next = current.under(&root, seal.clone())?;
            if self.replace_with(&current, next, vec![raw(SEAL_KEY, seal.clone())]).await? {
                return Ok(());
            }
        }
    }

    /// Registers who is told of another seal.
    pub(crate) fn on_reseal(&self, told: Resealed) {
        *self.resealed.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
    }

    /// # Errors
    /// `sealed`.
    pub(crate) fn is_open(&self) -> Result<()> {
        keyring(&self.open).map(|_| ())
    }

    /// `bytes` as a record at `key`, which says that this keyring made it.
    pub(crate) fn mark(&self, key: &str, bytes: &[u8]) -> Result<Vec<u8>> {
        keyring(&self.open)?.encrypt(key, bytes)
    }

    /// The keyring of a snapshot, when the root key in use opens it.
    ///
    /// # Errors
    /// `sealed`.
    pub(crate) fn known(&self, seal: &[u8], record: &[u8]) -> Result<Option<Known>> {
        let current = keyring(&self.open)?;
        Ok(current.opened(seal, record).ok().map(|other| Known(other.counting(&current))))
    }

    /// Puts all records of `source` in the place of what is stored. With the keyring that the
    /// snapshot has, when it is known, the barrier is open afterwards; otherwise it is sealed, and
    /// opened by what sealed the snapshot.
    pub(crate) async fn replace_all(
        &self,
        floor: Revision,
        seal: &[u8],
        known: Option<Known>,
        source: Source,
    ) -> Result<()> {
        let instead = match &known {
            Some(Known(next)) => vec![raw(KEYRING_KEY, next.seal_up()?)],
            None => Vec::new(),
        };
        let current = self.open.write().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(Error::sealed)?;
        let done = match self.alone().await {
            Ok(()) => self.engine.replace(source, floor, instead).await.map_err(Error::from),
            Err(error) => Err(error),
        };
        let revision = match done {
            Ok(revision) => revision,
            Err(error) => {
                *self.open.write().unwrap_or_else(PoisonError::into_inner) = Some(current);
                return Err(error);
            }
        };
        drop(current);
        if let Some(told) = &*self.resealed.lock().unwrap_or_else(PoisonError::into_inner) {
            told(seal);
        }
        match known {
            Some(Known(next)) => self.install(next.stored_at(revision)),
            None => self.observers().iter().for_each(|observer| observer.forget()),
        }
        Ok(())
    }

    /// Waits until nobody works with what is stored; nobody can begin to.
    async fn alone(&self) -> Result<()> {
        self.holds.fence();
        for _ in 0..ALONE_TRIES {
            if self.holds.are_gone() {
                return Ok(());
            }
            tokio::time::sleep(ALONE_PAUSE).await;
        }
        Err(Error::new(ErrorKind::Unavailable, "requests under way did not end: try again"))
    }

    /// Forgets the keys and tells the observers to forget what they know.
    pub(crate) fn seal(&self) {
        // The last reader that is just decrypting drops and overwrites them.
        drop(self.open.write().unwrap_or_else(PoisonError::into_inner).take());
        self.observers().iter().for_each(|observer| observer.forget());
    }

    pub(crate) fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    fn install(&self, keyring: Keyring) {
        self.rewrapping.restart();
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(keyring));
    }

    /// Stores `next` and uses it, unless `current` is not the stored one any more.
    async fn replace(&self, current: &Arc<Keyring>, next: Keyring) -> Result<bool> {
        self.replace_with(current, next, Vec::new()).await
    }

    /// The same, with more in the same commit.
    async fn replace_with(&self, current: &Arc<Keyring>, next: Keyring, mut writes: Vec<RawWrite>) -> Result<bool> {
        let check = Check::Unchanged { key: KEYRING_KEY.to_owned(), revision: Some(current.revision()) };
        writes.push(raw(KEYRING_KEY, next.seal_up()?));
        let batch = RawBatch { checks: vec![check], writes, ..RawBatch::default() };
        let Outcome::Committed(revision) = self.engine.commit(batch).await? else {
            self.reload().await?;
            return Ok(false);
        };
        self.install_newer(next.stored_at(revision));
        Ok(true)
    }

    /// Lost to another change of the keyring: usually installed by whoever made it, but that
    /// future may have been dropped in between.
    async fn reload(&self) -> Result<()> {
        let current = keyring(&self.open)?;
        let Some(record) = self.engine.view().await?.get(KEYRING_KEY).await? else { return Ok(()) };
        let stored = current.reopen(&record.bytes).map_err(|_| Error::internal("the keyring was replaced"))?;
        self.install_newer(stored.stored_at(record.revision));
        Ok(())
    }

    /// Not when it was sealed meanwhile, or when a newer one is there.
    fn install_newer(&self, next: Keyring) {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if open.as_ref().is_some_and(|open| open.revision() < next.revision()) {
            *open = Some(Arc::new(next));
        }
    }

    /// Keeps the count of encryptions durable, and rotates long before a term wears out. When
    /// that fails, writing goes on until the margin is used up.
    async fn upkeep(&self, current: &Arc<Keyring>) {
        if !current.is_due() {
            return;
        }
        let done = match current.successor() {
            Ok(next) => self.replace(current, next).await,
            Err(error) => Err(error),
        };
        current.was_due();
        if let Err(error) = done {
            tracing::warn!(error = %error.chain(), "the keyring was not stored");
        }
    }

    /// Encrypts on the caller's thread.
    fn encrypted(keyring: &Keyring, write: Write) -> Result<RawWrite> {
        Ok(match write {
            Write::Delete { key } => RawWrite { key, bytes: None },
            Write::Put { key, value } => {
                let bytes = keyring.encrypt(&key, value.expose())?;
                RawWrite { key, bytes: Some(bytes) }
            }
        })
    }

    fn observers(&self) -> MutexGuard<'_, Vec<Arc<dyn Observer>>> {
        self.observers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Keys for Barrier {
    fn key_status(&self) -> Result<KeyStatus> {
        Ok(KeyStatus { rewrap: self.rewrapping.progress(), ..keyring(&self.open)?.status() })
    }

    async fn rotate(&self) -> Result<u32> {
        loop {
            let current = keyring(&self.open)?;
            let next = current.with_new_term()?;
            let term = next.term();
            if self.replace(&current, next).await? {
                self.rewrapping.restart();
                return Ok(term);
            }
        }
    }

    async fn rewrap(&self) -> Result<Step> {
        self.step().await
    }
}

#[async_trait]
impl Storage for Barrier {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        keyring(&self.open)?;
        // Before the view: see `Holds`.
        let hold = self.holds.take();
        Ok(Box::new(BarrierSnapshot { view: self.engine.view().await?, open: Arc::clone(&self.open), _hold: hold }))
    }

    async fn announce(&self, batch: Batch, news: Option<Arc<News>>) -> Result<Outcome> {
        let keyring = keyring(&self.open)?;
        let checks = batch.checks.iter().map(|check| match check {
            Check::Unchanged { key, .. } => key,
            Check::Children { prefix, .. } => prefix,
        });
        batch.writes.iter().map(Write::key).chain(checks.map(String::as_str)).try_for_each(reachable)?;
        self.upkeep(&keyring).await;
        // Before the keyring: see `Holds`.
        let hold = Some(self.holds.take());
        let keyring = self::keyring(&self.open)?;
        let writes = batch.writes.into_iter().map(|write| Self::encrypted(&keyring, write)).collect::<Result<_>>()?;
        let checks = batch.checks.into_iter().map(unfiltered).collect();
        Ok(self.engine.announce(RawBatch { checks, writes, hold, ..RawBatch::default() }, news).await?)
    }

    fn observe(&self, observer: Arc<dyn Observer>) {
        self.observers().push(Arc::clone(&observer));
        self.engine.observe(observer);
    }

    async fn watch(&self, from: Revision) -> Result<Box<dyn Watch>, WatchEnd> {
        keyring(&self.open).map_err(|_| WatchEnd::Closed)?;
        let watch = self.engine.watch(from).await?;
        Ok(Box::new(BarrierWatch { watch, open: Arc::clone(&self.open) }))
    }
}

/// A view that decrypts while the barrier is open.
struct BarrierSnapshot {
    view: Arc<dyn View>,
    open: Arc<RwLock<Option<Arc<Keyring>>>>,
    /// As long as it lives, the terms of its view are kept.
    _hold: Hold,
}

#[async_trait]
impl Snapshot for BarrierSnapshot {
    fn revision(&self) -> Revision {
        self.view.revision()
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        let keyring = keyring(&self.open)?;
        reachable(key)?;
        let Some(Stored { bytes, revision }) = self.view.get(key).await? else { return Ok(None) };
        Ok(Some(Entry { value: decrypted(&keyring, key, bytes)?, revision }))
    }

    async fn children(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>> {
        keyring(&self.open)?;
        reachable(prefix)?;
        if !prefix.is_empty() {
            return Ok(self.view.children(prefix, after, limit).await?);
        }
        // The reserved folder is not there for anybody: one more is asked for in its place.
        let mut names = self.view.children(prefix, after, limit.saturating_add(1)).await?;
        names.retain(|name| name != RESERVED);
        names.truncate(limit);
        Ok(names)
    }
}

/// Changes of the reserved prefix are nobody's business; a sealed barrier ends the watch.
struct BarrierWatch {
    watch: Box<dyn Watch>,
    open: Arc<RwLock<Option<Arc<Keyring>>>>,
}

#[async_trait]
impl Watch for BarrierWatch {
    async fn next(&mut self) -> Result<Change, WatchEnd> {
        loop {
            let change = self.watch.next().await?;
            keyring(&self.open).map_err(|_| WatchEnd::Closed)?;
            if !change.key.starts_with(RESERVED) {
                return Ok(change);
            }
        }
    }
}

/// The check as the engine sees it: a listing of the root has the reserved folder in it, which
/// [`BarrierSnapshot::children`] left out.
fn unfiltered(check: Check) -> Check {
    match check {
        Check::Children { prefix, after, limit, mut seen }
            if prefix.is_empty() && after.as_deref() < Some(RESERVED) =>
        {
            let at = seen.partition_point(|name| name.as_str() < RESERVED);
            // Otherwise the listing was full before it came to the reserved folder.
            let inside = at < seen.len() || seen.len() < limit;
            if inside {
                seen.insert(at, RESERVED.to_owned());
            }
            Check::Children { prefix, after, limit: limit.saturating_add(usize::from(inside)), seen }
        }
        check => check,
    }
}

fn keyring(open: &RwLock<Option<Arc<Keyring>>>) -> Result<Arc<Keyring>> {
    open.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(Error::sealed)
}

fn reachable(key: &str) -> Result<()> {
    if key.starts_with(RESERVED) {
        return Err(Error::internal("the barrier's own keys are not reachable through storage"));
    }
    Ok(())
}

fn decrypted(keyring: &Keyring, key: &str, record: Vec<u8>) -> Result<Secret> {
    keyring.decrypt(key, record).map_err(|broken| {
        Error::new(ErrorKind::UpstreamProtocol, "stored record failed its integrity check").because(broken)
    })
}

fn raw(key: &str, bytes: Vec<u8>) -> RawWrite {
    RawWrite { key: key.to_owned(), bytes: Some(bytes) }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").field("sealed", &self.is_sealed()).finish_non_exhaustive()
    }
}

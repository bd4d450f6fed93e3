//! The mount table: which plugin serves which path prefix. Stored below `core/mount/`, one
//! record a mount, and remembered whole until one of them changes.

use std::{collections::BTreeMap, fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::{
    clock::{Clock, Timestamp},
    error::{Error, ErrorKind, Result},
    memo::{Forget, Memo},
    news::News,
    path::Path,
    port::{
        backend::MountScope,
        storage::{self, Batch, Check, Outcome, Storage, Write},
    },
    secret::Secret,
};

use super::{
    secrets::DEFAULT_MOUNT,
    settings::{self, Lockout, OwnBounds},
};

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;

const PREFIX: &str = "core/mount/";
const REMOVING: &str = "core/unmount/";
const PAGE: usize = 500;
const MAX_MOUNTS: usize = 10_000;
/// Most options of a mount.
const MAX_OPTIONS: usize = 64;
/// First segments that the broker itself serves.
const RESERVED: [&str; 5] = ["sys", "auth", "cubbyhole", "identity", "api"];

/// One mount.
#[derive(Clone, Debug)]
pub struct Mount {
    /// Path with a trailing slash.
    pub path: String,
    /// Names its storage: `mnt/<uuid>/`.
    pub uuid: Arc<str>,
    /// For people and for templates, e.g. `kv_3f9a1c22`.
    pub accessor: String,
    /// For people.
    pub description: String,
    /// What clients are told of it, e.g. `version`; the broker reads [`super::OPTIONS`].
    pub options: BTreeMap<String, String>,
    /// Bounds of its calls, out of the options.
    pub bounds: OwnBounds,
    /// When logging in by a name is locked, out of the options.
    pub lockout: Lockout,
    /// When it was made.
    pub created: Timestamp,
    /// What plugin calls run in.
    pub scope: Arc<MountScope>,
}

impl Mount {
    /// Prefix of everything it stores.
    #[must_use]
    pub fn storage_prefix(&self) -> String {
        format!("mnt/{}/", self.uuid)
    }
}

/// What an operator asks for.
#[derive(Clone, Debug, Default)]
pub struct NewMount {
    /// Where; a missing trailing slash is added.
    pub path: String,
    /// Plugin name.
    pub plugin: String,
    /// For people.
    pub description: String,
    /// What clients are told of it.
    pub options: BTreeMap<String, String>,
}

/// What an operator changes of a mount.
#[derive(Clone, Debug, Default)]
pub struct Tuning {
    /// For people; none leaves it.
    pub description: Option<String>,
    /// Options to set, or to remove where there is none.
    pub options: BTreeMap<String, Option<String>>,
}

/// All mounts, longest path first where one could hold another.
#[derive(Clone, Debug, Default)]
pub struct MountTable(BTreeMap<String, Arc<Mount>>);

impl MountTable {
    /// Shares nothing that a request counts references of with the original.
    fn copy(original: &Arc<Self>) -> Arc<Self> {
        let copy = |mount: &Mount| Mount {
            uuid: Arc::from(&*mount.uuid),
            scope: Arc::new(MountScope::clone(&mount.scope)),
            ..mount.clone()
        };
        Arc::new(Self(original.0.iter().map(|(path, mount)| (path.clone(), Arc::new(copy(mount)))).collect()))
    }

    /// The mount with the longest path that `path` starts with.
    #[must_use]
    pub fn resolve(&self, path: &str) -> Option<&Arc<Mount>> {
        let mut end = path.len();
        while let Some(at) = path[..end].rfind('/') {
            if let Some(mount) = self.0.get(&path[..=at]) {
                return Some(mount);
            }
            end = at;
        }
        None
    }

    /// Every mount, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Mount>> {
        self.0.values()
    }

    /// The mount at exactly this path (with its slash).
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Arc<Mount>> {
        self.0.get(path)
    }
}

/// Makes, finds and removes mounts.
pub struct Mounts {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    random: SystemRandom,
    memo: Arc<Memo<(), Arc<MountTable>>>,
}

impl Mounts {
    /// Registers its memo as an observer of `storage`.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>) -> Self {
        let memo = Arc::new(Memo::new(PREFIX, Forget::All, 1, MountTable::copy));
        storage.observe(memo.clone());
        Self { storage, clock, random: SystemRandom::new(), memo }
    }

    /// The table as of now.
    ///
    /// # Errors
    /// What storage says; `internal` for a record that does not parse.
    pub async fn table(&self) -> Result<Arc<MountTable>> {
        if let Some(table) = self.memo.find(&()) {
            return Ok(table);
        }
        let ticket = self.memo.ticket();
        let table = Arc::new(Box::pin(self.load()).await?);
        self.memo.keep(ticket, (), table.clone());
        Ok(table)
    }

    /// Mounts a plugin. The caller has checked that the plugin exists.
    ///
    /// # Errors
    /// `invalid_request` for a reserved path; `conflict` when the path is in use, holds or lies
    /// in another mount.
    pub async fn mount(&self, wanted: &NewMount) -> Result<Arc<Mount>> {
        let path = Path::parse(&wanted.path).map_err(|e| Error::invalid("path", e.to_string()))?.to_folder();
        if RESERVED.contains(&path.as_str().split('/').next().unwrap_or_default()) {
            return Err(Error::invalid("path", format!("'{path}' is reserved: mount elsewhere")));
        }
        let snapshot = self.storage.snapshot().await?;
        let names = snapshot.children(PREFIX, None, MAX_MOUNTS).await?;
        if names.len() >= MAX_MOUNTS {
            return Err(Error::new(ErrorKind::TooLarge, format!("there are {MAX_MOUNTS} mounts already")));
        }
        if let Some(other) = names.iter().filter_map(|name| decode_name(name)).find(|had| overlaps(had, path.as_str()))
        {
            return Err(Error::new(ErrorKind::Conflict, format!("path is already in use at {other}")).at("path"));
        }
        let record = self.record(path.as_str(), wanted)?;
        let batch = Batch {
            checks: vec![Check::Children { prefix: PREFIX.to_owned(), after: None, limit: MAX_MOUNTS, seen: names }],
            writes: vec![Write::Put { key: key(path.as_str()), value: record.encode()? }],
        };
        match self.storage.commit(batch).await? {
            Outcome::Committed(_) => Ok(Arc::new(record.into_mount()?)),
            Outcome::Conflict => {
                Err(Error::new(ErrorKind::Conflict, "another mount was made at the same time: try again"))
            }
        }
    }

    /// Changes what is told of the mount at `path`, from the next request on.
    ///
    /// # Errors
    /// `not_found` when nothing is mounted there; `invalid_request` for a bad option; `conflict`
    /// when it was changed at the same time.
    pub async fn tune(&self, path: &Path, tuning: Tuning) -> Result<()> {
        let path = path.to_folder();
        let key = key(path.as_str());
        let Some(entry) = storage::get(&*self.storage, &key).await? else { return Err(absent(&path)) };
        let mut record: Record = serde_json::from_slice(entry.value.expose()).map_err(|_| bad_record(path.as_str()))?;
        if let Some(description) = tuning.description {
            record.description = description;
        }
        for (name, value) in tuning.options {
            match value {
                Some(value) => _ = record.options.insert(name, value),
                None => _ = record.options.remove(&name),
            }
        }
        check(&record.options)?;
        let checks = vec![Check::Unchanged { key: key.clone(), revision: Some(entry.revision) }];
        let writes = vec![Write::Put { key, value: record.encode()? }];
        match self.storage.commit(Batch { checks, writes }).await? {
            Outcome::Committed(_) => Ok(()),
            Outcome::Conflict => {
                Err(Error::new(ErrorKind::Conflict, "the mount was changed at the same time: try again"))
            }
        }
    }

    /// What holds as long as this very mount stands and nobody changes it. To be checked by a batch
    /// that must not come after its end.
    ///
    /// # Errors
    /// `not_found` when it is gone.
    pub async fn standing(&self, mount: &Mount) -> Result<Check> {
        let gone = || Error::new(ErrorKind::NotFound, "the mount was removed meanwhile");
        let key = key(&mount.path);
        let entry = storage::get(&*self.storage, &key).await?.ok_or_else(gone)?;
        let record: Record = serde_json::from_slice(entry.value.expose()).map_err(|_| bad_record(&mount.path))?;
        if *record.uuid != *mount.uuid {
            return Err(gone());
        }
        Ok(Check::Unchanged { key, revision: Some(entry.revision) })
    }

    /// Removes the mount at `path` and everything it stored, on the condition that `check` holds.
    ///
    /// # Errors
    /// `not_found` when nothing is mounted there; `conflict` when the condition does not hold.
    pub async fn unmount(&self, path: &Path, check: Check) -> Result<()> {
        let path = path.to_folder();
        let table = self.table().await?;
        let Some(mount) = table.at(path.as_str()) else {
            return Err(absent(&path));
        };
        let batch = Batch {
            checks: vec![check],
            writes: vec![
                Write::Delete { key: key(path.as_str()) },
                Write::Put { key: format!("{REMOVING}{}", mount.uuid), value: Secret::from("") },
            ],
        };
        let news = News::unmounted(path.as_str(), path.as_str() == DEFAULT_MOUNT, self.clock.now());
        if self.storage.announce(batch, Some(Arc::new(news))).await? == Outcome::Conflict {
            return Err(Error::new(ErrorKind::Conflict, "something was issued from it meanwhile: try again"));
        }
        self.wipe(&mount.uuid).await
    }

    /// Finishes removals that a crash interrupted.
    ///
    /// # Errors
    /// What storage says.
    pub async fn resume(&self) -> Result<()> {
        let snapshot = self.storage.snapshot().await?;
        for uuid in snapshot.children(REMOVING, None, MAX_MOUNTS).await? {
            self.wipe(&uuid).await?;
        }
        Ok(())
    }

    async fn load(&self) -> Result<MountTable> {
        let snapshot = self.storage.snapshot().await?;
        let mut table = BTreeMap::new();
        for name in snapshot.children(PREFIX, None, MAX_MOUNTS).await? {
            let Some(entry) = snapshot.get(&format!("{PREFIX}{name}")).await? else { continue };
            let record: Record = serde_json::from_slice(entry.value.expose()).map_err(|_| bad_record(&name))?;
            let mount = record.into_mount()?;
            table.insert(mount.path.clone(), Arc::new(mount));
        }
        Ok(MountTable(table))
    }

    async fn wipe(&self, uuid: &str) -> Result<()> {
        let mut folders = vec![format!("mnt/{uuid}/")];
        while let Some(folder) = folders.pop() {
            let names = self.storage.snapshot().await?.children(&folder, None, PAGE).await?;
            if names.is_empty() {
                continue;
            }
            let (inner, leaves): (Vec<_>, Vec<_>) =
                names.into_iter().map(|name| format!("{folder}{name}")).partition(|key| key.ends_with('/'));
            let writes = leaves.into_iter().map(|key| Write::Delete { key }).collect();
            self.storage.commit(Batch { checks: Vec::new(), writes }).await?;
            folders.push(folder);
            folders.extend(inner);
        }
        let marker = Write::Delete { key: format!("{REMOVING}{uuid}") };
        self.storage.commit(Batch { checks: Vec::new(), writes: vec![marker] }).await?;
        Ok(())
    }

    fn record(&self, path: &str, wanted: &NewMount) -> Result<Record> {
        check(&wanted.options)?;
        let mut id = [0; 16];
        let mut fingerprint = zeroize::Zeroizing::new([0; 32]);
        self.random
            .fill(&mut id)
            .and_then(|()| self.random.fill(fingerprint.as_mut()))
            .map_err(|_| Error::internal("the system's random source failed"))?;
        let uuid = id.iter().map(|b| format!("{b:02x}")).collect::<String>();
        Ok(Record {
            path: path.to_owned(),
            accessor: format!("{}_{}", wanted.plugin, &uuid[..8]),
            uuid,
            plugin: wanted.plugin.clone(),
            description: wanted.description.clone(),
            options: wanted.options.clone(),
            created: self.clock.now(),
            fingerprint_key: STANDARD.encode(fingerprint.as_ref()),
        })
    }
}

/// What is stored. Its `Debug` is left out on purpose: it holds a key.
#[derive(Serialize, Deserialize)]
struct Record {
    path: String,
    uuid: String,
    accessor: String,
    plugin: String,
    description: String,
    #[serde(default)]
    options: BTreeMap<String, String>,
    created: Timestamp,
    fingerprint_key: String,
}

impl Record {
    fn encode(&self) -> Result<Secret> {
        serde_json::to_vec(self).map(Secret::new).map_err(Error::internal)
    }

    fn into_mount(self) -> Result<Mount> {
        let key = STANDARD.decode(&self.fingerprint_key).map_err(|_| bad_record(&self.path))?;
        let scope =
            MountScope { path: self.path.clone(), plugin: self.plugin.clone(), fingerprint_key: Secret::new(key) };
        Ok(Mount {
            path: self.path,
            uuid: self.uuid.into(),
            accessor: self.accessor,
            description: self.description,
            bounds: settings::bounds(&self.options)?,
            lockout: settings::lockout(&self.options)?,
            options: self.options,
            created: self.created,
            scope: Arc::new(scope),
        })
    }
}

fn check(options: &BTreeMap<String, String>) -> Result<()> {
    if options.len() > MAX_OPTIONS {
        return Err(Error::invalid("options", format!("expected at most {MAX_OPTIONS}")));
    }
    settings::bounds(options).map(|_| ())?;
    settings::lockout(options).map(|_| ())
}

fn absent(path: &Path) -> Error {
    Error::new(ErrorKind::NotFound, format!("nothing is mounted at {path}"))
}

fn bad_record(name: &str) -> Error {
    Error::internal(format!("mount record {name:?} does not parse"))
}

/// `a/b/` is stored as the one leaf `a%2Fb%2F`, so that the table is one folder.
fn key(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('%', "%25").replace('/', "%2F"))
}

fn decode_name(name: &str) -> Option<String> {
    Some(name.replace("%2F", "/").replace("%25", "%")).filter(|path| path.ends_with('/'))
}

fn overlaps(a: &str, b: &str) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

impl fmt::Debug for Mounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mounts").finish_non_exhaustive()
    }
}

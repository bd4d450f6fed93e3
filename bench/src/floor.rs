//! The floor of a durable write: what it puts on the disk and nothing else. One commit of the
//! engine with the reads and writes of a KV write, and, if wanted, two audit records in a file:
//! one on the disk before the commit, one in the kernel after it. Both share syncs among all who
//! wait, as the real ones do.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use tokio::sync::oneshot;
use warder_core::port::storage::{Check, Outcome, Revision};
use warder_store::{
    EngineConfig,
    engine::{self, Engine, RawBatch, RawWrite},
};
use warder_testkit::{Failure, Result, Warder};

use crate::server;

/// Sizes in bytes of what one write leaves on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    meta: usize,
    version: usize,
    /// Versions kept; one more removes the oldest.
    kept: u64,
    open: usize,
    close: usize,
}

impl Shape {
    /// Learnt from a real server: writes one secret often, stops, and looks at what is stored.
    pub(crate) async fn learn(directory: &Path, body: &str) -> Result<Self> {
        let (warder, root) = server::serve(directory, "effects")?;
        for _ in 0..15 {
            let call = root.put("/api/v1/secrets/bench/1").header("Content-Type", "application/json").body(body);
            _ = call.send()?.header("etag").ok_or("a write was not answered with a version")?;
        }
        Warder::stop(warder)?;
        let path = directory.join("warder.redb");
        let engine = engine::open(&EngineConfig::Redb { path }).map_err(|why| why.to_string())?;
        let view = engine.view().await.map_err(|why| why.to_string())?;
        let records = view.scan(Some("mnt/"), 1000).await.map_err(|why| why.to_string())?;
        let sizes = |part: &str| {
            let of = records.iter().filter(|(key, _)| key.contains(part));
            of.map(|(_, stored)| stored.bytes.len()).collect::<Vec<_>>()
        };
        let (metas, versions) = (sizes("/s/meta/"), sizes("/s/ver/"));
        let log = std::fs::read_to_string(directory.join("audit.log"))?;
        let line = |kind: &str| log.lines().rfind(|line| line.contains(kind)).map(|line| line.len() + 1);
        match (&metas[..], &versions[..], line("\"type\":\"open\""), line("\"type\":\"close\"")) {
            (&[meta], &[version, ..], Some(open), Some(close)) => {
                Ok(Self { meta, version, kept: versions.len() as u64, open, close })
            }
            _ => Err(Failure::from(format!("{} metas, {} versions, in {log}", metas.len(), versions.len()))),
        }
    }

    /// As one argument of a command line.
    pub(crate) fn text(&self) -> String {
        format!("{},{},{},{},{}", self.meta, self.version, self.kept, self.open, self.close)
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        let numbers: Vec<usize> = text.split(',').filter_map(|number| number.parse().ok()).collect();
        let [meta, version, kept, open, close] = numbers[..] else {
            return Err(format!("{text:?} is not the shape of a write").into());
        };
        Ok(Self { meta, version, kept: kept as u64, open, close })
    }

    /// Bytes stored, and bytes of audit records.
    pub(crate) const fn bytes(&self) -> (usize, usize) {
        (self.meta + self.version, self.open + self.close)
    }
}

/// One secret as its writer knows it.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    name: String,
    pub(crate) number: u64,
    revision: Option<Revision>,
}

impl Written {
    pub(crate) const fn new(name: String) -> Self {
        Self { name, number: 0, revision: None }
    }
}

/// An engine, perhaps with a file of records beside it.
pub(crate) struct Floor {
    engine: Arc<dyn Engine>,
    records: Option<Records>,
    shape: Shape,
}

impl Floor {
    /// New ones in this directory.
    pub(crate) fn open(directory: &Path, shape: Shape, recorded: bool) -> Result<Self> {
        std::fs::create_dir_all(directory)?;
        let path = directory.join("floor.redb");
        let engine = engine::open(&EngineConfig::Redb { path }).map_err(|why| why.to_string())?;
        let records = if recorded { Some(Records::start(&directory.join("floor.log"))?) } else { None };
        Ok(Self { engine, records, shape })
    }

    /// Writes one more version.
    pub(crate) async fn write(&self, secret: &mut Written) -> Result {
        self.record(self.shape.open, true).await?;
        let outcome = self.engine.commit(self.batch(secret)).await.map_err(|why| why.to_string())?;
        let Outcome::Committed(revision) = outcome else {
            return Err(Failure::from("the only writer of a key met a conflict"));
        };
        (secret.number, secret.revision) = (secret.number + 1, Some(revision));
        self.record(self.shape.close, false).await
    }

    /// Reads the mount's settings and the secret's metadata; writes the metadata and one version.
    fn batch(&self, secret: &Written) -> RawBatch {
        let key = |part: &str| format!("mnt/00000000-0000-0000-0000-000000000000/s/{part}");
        let meta = key(&format!("meta/{}", secret.name));
        let version = |number: u64| key(&format!("ver/{}/{number}", secret.name));
        let put = |key, size| RawWrite { key, bytes: Some(vec![7; size]) };
        let mut writes = vec![put(meta.clone(), self.shape.meta), put(version(secret.number), self.shape.version)];
        if let Some(oldest) = secret.number.checked_sub(self.shape.kept) {
            writes.push(RawWrite { key: version(oldest), bytes: None });
        }
        let unchanged = |key, revision| Check::Unchanged { key, revision };
        RawBatch {
            checks: vec![unchanged(key("config"), None), unchanged(meta, secret.revision)],
            writes,
            ..RawBatch::default()
        }
    }

    async fn record(&self, bytes: usize, synced: bool) -> Result {
        let Some(records) = &self.records else { return Ok(()) };
        let (done, told) = oneshot::channel();
        records.0.send(Record { bytes, synced, done }).map_err(|_| "the records' thread has ended")?;
        told.await.map_err(|_| Failure::from("the records' thread failed"))
    }
}

/// A file that many append to.
struct Records(SyncSender<Record>);

struct Record {
    bytes: usize,
    synced: bool,
    done: oneshot::Sender<()>,
}

impl Records {
    fn start(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        let (records, queue) = sync_channel(4096);
        std::thread::spawn(move || append(file, &queue));
        Ok(Self(records))
    }
}

/// Takes what waits, appends it at once, syncs if one of them asks for it, tells them all. Ends
/// with the queue, or at the first error: who waits then hears nothing but that it ended.
fn append(mut file: File, queue: &Receiver<Record>) -> io::Result<()> {
    while let Ok(first) = queue.recv() {
        let group: Vec<Record> = std::iter::once(first).chain(queue.try_iter().take(1023)).collect();
        let bytes = group.iter().map(|record| record.bytes).sum();
        file.write_all(&vec![b'r'; bytes])?;
        if group.iter().any(|record| record.synced) {
            file.sync_data()?;
        }
        // A writer that went away needs no answer.
        group.into_iter().for_each(|record| _ = record.done.send(()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_floor_keeps_as_many_versions_as_the_shape_says() {
        let directory = warder_testkit::temp_dir().unwrap();
        let shape = Shape::parse("100,50,3,20,10").unwrap();
        assert_eq!(Shape::parse(&shape.text()).unwrap(), shape);
        let floor = Floor::open(directory.path(), shape, true).unwrap();
        let mut secret = Written::new("a".to_owned());
        for _ in 0..5 {
            floor.write(&mut secret).await.unwrap();
        }
        let records = floor.engine.view().await.unwrap().scan(None, 99).await.unwrap();
        assert_eq!(records.len(), 1 + 3, "{records:?}");
        assert_eq!(std::fs::metadata(directory.path().join("floor.log")).unwrap().len(), 5 * 30);
    }
}

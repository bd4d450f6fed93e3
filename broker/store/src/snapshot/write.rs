//! Taking a snapshot: two walks over one view, one to count and one to write.

use std::{io::Write as _, sync::Arc, time::Duration};

use flate2::{Compression, write::GzEncoder};
use ring::digest::{Context, SHA256};
use tokio::{sync::mpsc, time::timeout};
use warder_core::{
    clock::{Clock as _, SystemClock},
    error::{Error, Result},
    port::snapshots::Saving,
};

use super::{FORMAT, HEAD, MAX_BYTES, Meta, SUMS_KEY, tar};
use crate::{
    barrier::Barrier,
    engine::{Stored, View},
};

/// Pieces that wait for a slow reader.
const QUEUE: usize = 4;
/// A piece is sent when it has so many bytes.
const PIECE: usize = 256 << 10;
const PAGE: usize = 256;
/// How long a reader may take no piece: while it does, the engine keeps the state that it is shown.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn save(barrier: Arc<Barrier>) -> Result<Saving> {
    // Also proof that the barrier is open; its keyring is needed for the mark.
    barrier.is_open()?;
    let view = barrier.engine().view().await?;
    let (records, state_bytes) = measure(&*view).await?;
    if state_bytes > MAX_BYTES {
        return Err(Error::new(warder_core::error::ErrorKind::TooLarge, "the store is larger than a snapshot can be"));
    }
    let now = SystemClock.now();
    let meta = Meta {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        created_at: now.rfc3339(),
        revision: view.revision(),
        records,
        state_bytes,
    };
    let (sender, pieces) = mpsc::channel(QUEUE);
    let revision = view.revision();
    tokio::spawn(async move {
        let writer = Writer { out: GzEncoder::new(Vec::new(), Compression::fast()), sender, seconds: now.0 / 1000 };
        // Without its last piece the snapshot is cut off, and its reader sees that.
        if let Err(error) = writer.run(&barrier, &*view, &meta).await {
            tracing::warn!(error = %error.chain(), "a snapshot was not finished");
        }
    });
    Ok(Saving { revision, records, pieces })
}

/// How many records, and their bytes in `state.bin`.
async fn measure(view: &dyn View) -> Result<(u64, u64)> {
    let (mut records, mut bytes, mut after) = (0, 0, None::<String>);
    loop {
        let page = view.scan(after.as_deref(), PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok((records, bytes)) };
        after = Some(last.clone());
        records += page.len() as u64;
        bytes += page.iter().map(|(key, stored)| (HEAD + key.len() + stored.bytes.len()) as u64).sum::<u64>();
    }
}

struct Writer {
    out: GzEncoder<Vec<u8>>,
    sender: mpsc::Sender<Vec<u8>>,
    seconds: u64,
}

impl Writer {
    async fn run(mut self, barrier: &Barrier, view: &dyn View, meta: &Meta) -> Result<()> {
        let text = serde_json::to_vec_pretty(meta).map_err(Error::internal)?;
        self.file("meta.json", &text)?;
        let state = self.state(view, meta.state_bytes).await?;
        let sums = format!("{}  meta.json\n{}  state.bin\n", hex(&digest(&text)), hex(&state));
        self.file("SHA256SUMS", sums.as_bytes())?;
        self.file("SHA256SUMS.sealed", &barrier.mark(SUMS_KEY, sums.as_bytes())?)?;
        self.write(&[0; 2 * tar::BLOCK])?;
        self.out.try_finish().map_err(Error::internal)?;
        let rest = std::mem::take(self.out.get_mut());
        for piece in [rest, Vec::new()] {
            self.pass(piece).await?;
        }
        Ok(())
    }

    async fn state(&mut self, view: &dyn View, size: u64) -> Result<Vec<u8>> {
        self.write(&tar::header("state.bin", size, self.seconds))?;
        let (mut context, mut after) = (Context::new(&SHA256), None::<String>);
        loop {
            let page = view.scan(after.as_deref(), PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (key, Stored { bytes, revision }) in page {
                let mut head = [0; HEAD];
                head[..4].copy_from_slice(&length(key.len())?);
                head[4..8].copy_from_slice(&length(bytes.len())?);
                head[8..].copy_from_slice(&revision.to_be_bytes());
                for part in [&head[..], key.as_bytes(), &bytes] {
                    context.update(part);
                    self.write(part)?;
                }
                self.send().await?;
            }
        }
        self.write(&vec![0; tar::padding(size)])?;
        Ok(context.finish().as_ref().to_vec())
    }

    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let size = bytes.len() as u64;
        self.write(&tar::header(name, size, self.seconds))?;
        self.write(bytes)?;
        self.write(&vec![0; tar::padding(size)])
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(Error::internal)
    }

    async fn send(&mut self) -> Result<()> {
        if self.out.get_ref().len() < PIECE {
            return Ok(());
        }
        let piece = std::mem::take(self.out.get_mut());
        self.pass(piece).await
    }

    async fn pass(&self, piece: Vec<u8>) -> Result<()> {
        timeout(PATIENCE, self.sender.send(piece)).await.map_err(|_| gone())?.map_err(|_| gone())
    }
}

fn gone() -> Error {
    Error::new(warder_core::error::ErrorKind::Unavailable, "nobody takes the snapshot any more")
}

fn length(len: usize) -> Result<[u8; 4]> {
    u32::try_from(len).map(u32::to_be_bytes).map_err(Error::internal)
}

pub(super) fn digest(bytes: &[u8]) -> Vec<u8> {
    ring::digest::digest(&SHA256, bytes).as_ref().to_vec()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    warder_core::sys::hex(bytes)
}

//! Putting a snapshot back: received into a file without a name, looked at whole, then committed.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom, Write as _},
    path::Path,
    sync::Arc,
};

use async_trait::async_trait;
use flate2::bufread::GzDecoder;
use ring::digest::{Context, SHA256};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use warder_core::{
    error::{Error, ErrorKind, Result},
    port::snapshots::{Found, Receiving},
};

use super::{
    FORMAT, HEAD, MAX_BYTES, Meta, SUMS_KEY, tar,
    write::{digest, hex},
};
use crate::{
    barrier::{Barrier, KEYRING_KEY, Known, SEAL_KEY},
    engine::{EngineError, MAX_KEY_BYTES, MAX_VALUE_BYTES},
};

/// Largest of the small parts.
const SMALL: u64 = 64 << 10;
/// Received bytes after which its beginning is looked at, so that nobody sends a disk full of nothing.
const BEGINNING: u64 = 64 << 10;
/// What a file may have beside its records, before it was packed.
const BESIDE: u64 = 4 * SMALL;

/// What was received, in a file that nobody else can open.
pub(super) struct Spool {
    barrier: Arc<Barrier>,
    file: Option<File>,
    len: u64,
    /// What it may have, by its own words once those are known.
    most: u64,
    known: bool,
    _place: OwnedSemaphorePermit,
}

impl Spool {
    pub(super) fn new(barrier: Arc<Barrier>, folder: &Path, place: OwnedSemaphorePermit) -> Result<Self> {
        let file = tempfile::tempfile_in(folder).map_err(spooling)?;
        Ok(Self { barrier, file: Some(file), len: 0, most: MAX_BYTES, known: false, _place: place })
    }

    /// The file's work on a thread of its own.
    async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut File) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut file = self.file.take().ok_or_else(|| Error::internal("an earlier step was dropped"))?;
        let (file, done) = tokio::task::spawn_blocking(move || {
            let done = work(&mut file);
            (file, done)
        })
        .await
        .map_err(Error::internal)?;
        self.file = Some(file);
        done
    }

    /// How it fits here, with its keyring if that is known.
    fn compared(&self, parsed: &Parsed) -> Result<(Found, Option<Known>)> {
        let known = self.barrier.known(&parsed.seal, &parsed.keyring)?;
        let authentic = known.as_ref().is_some_and(|known| known.marked(SUMS_KEY, &parsed.sums, &parsed.sealed));
        Ok((Found { same_keyring: known.is_some(), authentic, ..parsed.found.clone() }, known))
    }

    async fn parsed(&mut self) -> Result<Parsed> {
        self.with(|file| rewound(file).and_then(parse).map_err(refused)).await
    }

    /// Looks at the beginning: whether it is one of a snapshot, and how much it says that follows.
    async fn begin(&mut self) -> Result<()> {
        let look = |file: &mut File| {
            let (_, size) = head(&mut unpacked(rewound(file)?))?;
            file.seek(SeekFrom::End(0))?;
            Ok(size)
        };
        let size = self.with(move |file| look(file).map_err(refused)).await?;
        // What does not pack grows by five bytes for each 16 KiB, at most.
        self.most = (size + size / 1024 + BESIDE).min(MAX_BYTES);
        self.known = true;
        Ok(())
    }
}

#[async_trait]
impl Receiving for Spool {
    async fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.len = self.len.saturating_add(bytes.len() as u64);
        if self.len > MAX_BYTES {
            return Err(Error::new(ErrorKind::TooLarge, format!("a snapshot has at most {MAX_BYTES} bytes")).at("body"));
        }
        if self.len > self.most {
            return Err(refused(bad("it goes on after its end")));
        }
        let bytes = bytes.to_vec();
        self.with(move |file| file.write_all(&bytes).map_err(spooling)).await?;
        if !self.known && self.len >= BEGINNING { self.begin().await } else { Ok(()) }
    }

    async fn check(&mut self) -> Result<Found> {
        let parsed = self.parsed().await?;
        Ok(self.compared(&parsed)?.0)
    }

    async fn commit(mut self: Box<Self>, force: bool) -> Result<Found> {
        let parsed = self.parsed().await?;
        let (found, known) = self.compared(&parsed)?;
        match &known {
            Some(_) if !found.authentic => {
                return Err(refused(bad("its checksums do not carry the mark of its keyring")));
            }
            None if !force => return Err(precondition(ANOTHER)),
            None if !parsed.seal_is("shamir") => return Err(precondition(SHARELESS)),
            _ => {}
        }
        let file = self.file.take().ok_or_else(|| Error::internal("an earlier step was dropped"))?;
        let records = Records::open(file, found.state_bytes).map_err(refused)?;
        self.barrier.replace_all(found.revision, &parsed.seal, known, records.source()).await?;
        Ok(Found { restored: true, ..found })
    }
}

const ANOTHER: &str = "the snapshot was taken under another root key: forced, it brings its own seal with it, and is opened \
                       by the shares of that time";
const SHARELESS: &str = "the snapshot was taken under a seal without shares, and its key is not in it";

fn precondition(words: &'static str) -> Error {
    Error::new(ErrorKind::PreconditionFailed, words)
}

fn spooling(error: io::Error) -> Error {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    let (kind, words) = match error.kind() {
        StorageFull | QuotaExceeded => (ErrorKind::StorageFull, "no space left for the snapshot"),
        _ => (ErrorKind::Unavailable, "the snapshot cannot be kept; the log has the reason"),
    };
    Error::new(kind, words).because(error)
}

fn refused(error: io::Error) -> Error {
    Error::invalid("body", format!("this is not a whole snapshot: {}", said(&error)))
}

/// Why a file is none, in words for people.
fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut off".to_owned(),
        // What unpacks it says.
        io::ErrorKind::InvalidInput => format!("it is damaged, or something else ({error})"),
        _ => error.to_string(),
    }
}

/// What a snapshot says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct About {
    /// The state that it shows.
    pub revision: u64,
    /// Records in it.
    pub records: u64,
    /// Their bytes, as stored.
    pub state_bytes: u64,
    /// When it was taken (RFC 3339).
    pub created_at: String,
}

/// Looks at all of a snapshot: its form, its numbers, its checksums. Not at who made it: for that one
/// needs its keyring.
///
/// # Errors
/// In words, what it has not, or why it cannot be read.
pub fn verify(input: impl Read) -> std::result::Result<About, String> {
    let Parsed { found, .. } = parse(input).map_err(|error| said(&error))?;
    let Found { revision, records, state_bytes, created_at, .. } = found;
    Ok(About { revision, records, state_bytes, created_at })
}

fn bad(words: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, words)
}

/// All that a snapshot says.
struct Parsed {
    found: Found,
    seal: Vec<u8>,
    keyring: Vec<u8>,
    sums: Vec<u8>,
    sealed: Vec<u8>,
}

impl Parsed {
    fn seal_is(&self, kind: &str) -> bool {
        crate::seal::is(&self.seal, kind)
    }
}

fn rewound(file: &mut File) -> io::Result<&mut File> {
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

fn unpacked<R: Read>(input: R) -> GzDecoder<BufReader<R>> {
    GzDecoder::new(BufReader::new(input))
}

/// All before the records: what it says of itself, as text and understood.
fn head(input: &mut impl Read) -> io::Result<((Vec<u8>, Meta), u64)> {
    let text = small(input, "meta.json")?;
    let meta: Meta = serde_json::from_slice(&text).map_err(|_| bad("meta.json is not what it should be"))?;
    if meta.format != FORMAT {
        return Err(bad("it has a format of another version"));
    }
    let size = entry(input, "state.bin")?;
    if size != meta.state_bytes || size > MAX_BYTES {
        return Err(bad("state.bin has another size than meta.json says"));
    }
    Ok(((text, meta), size))
}

fn parse(input: impl Read) -> io::Result<Parsed> {
    let mut input = unpacked(input);
    let ((text, meta), size) = head(&mut input)?;
    let (mut seal, mut keyring, mut records, mut last) = (None, None, 0_u64, String::new());
    let mut state = Hashed { input: input.by_ref().take(size), context: Context::new(&SHA256) };
    while let Some((key, value)) = record(&mut state)? {
        if key <= last && records > 0 {
            return Err(bad("its records are not in order"));
        }
        match &*key {
            SEAL_KEY => seal = Some(value),
            KEYRING_KEY => keyring = Some(value),
            _ => {}
        }
        (last, records) = (key, records + 1);
    }
    if state.input.limit() > 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let state = state.context.finish();
    pad(&mut input, size)?;
    if records != meta.records {
        return Err(bad("it has another number of records than meta.json says"));
    }
    let sums = small(&mut input, "SHA256SUMS")?;
    let expected = format!("{}  meta.json\n{}  state.bin\n", hex(&digest(&text)), hex(state.as_ref()));
    if sums != expected.as_bytes() {
        return Err(bad("its checksums are wrong"));
    }
    let sealed = small(&mut input, "SHA256SUMS.sealed")?;
    let mut end = Vec::new();
    input.by_ref().take(SMALL).read_to_end(&mut end)?;
    if end != [0; 2 * tar::BLOCK] || !input.into_inner().fill_buf()?.is_empty() {
        return Err(bad("something follows its end"));
    }
    let found = Found {
        revision: meta.revision,
        records,
        state_bytes: size,
        created_at: meta.created_at,
        same_keyring: false,
        authentic: false,
        restored: false,
    };
    let missing = || bad("there is no seal or no keyring in it");
    Ok(Parsed { found, seal: seal.ok_or_else(missing)?, keyring: keyring.ok_or_else(missing)?, sums, sealed })
}

/// The size of the next file, which must have this name.
fn entry(input: &mut impl Read, name: &str) -> io::Result<u64> {
    let mut block = [0; tar::BLOCK];
    input.read_exact(&mut block)?;
    match tar::parse(&block) {
        Some((found, size)) if found == name => Ok(size),
        _ => Err(bad("its parts are not meta.json, state.bin, SHA256SUMS, SHA256SUMS.sealed")),
    }
}

fn small(input: &mut impl Read, name: &str) -> io::Result<Vec<u8>> {
    let size = entry(input, name)?;
    if size > SMALL {
        return Err(bad("one of its small parts is large"));
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    input.read_exact(&mut bytes)?;
    pad(input, size)?;
    Ok(bytes)
}

fn pad(input: &mut impl Read, size: u64) -> io::Result<()> {
    let mut rest = vec![0; tar::padding(size)];
    input.read_exact(&mut rest)?;
    if rest.iter().any(|byte| *byte != 0) {
        return Err(bad("something is between its parts"));
    }
    Ok(())
}

/// The next record; none at the end.
fn record(input: &mut impl Read) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut head = [0; HEAD];
    let first = input.read(&mut head[..1])?;
    if first == 0 {
        return Ok(None);
    }
    input.read_exact(&mut head[1..])?;
    let length = |at: usize| head.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes);
    let (key, value) = (length(0) as usize, length(4) as usize);
    if key == 0 || key > MAX_KEY_BYTES || value > MAX_VALUE_BYTES {
        return Err(bad("a record is larger than records are"));
    }
    let (mut name, mut bytes) = (vec![0; key], vec![0; value]);
    input.read_exact(&mut name)?;
    input.read_exact(&mut bytes)?;
    Ok(Some((String::from_utf8(name).map_err(|_| bad("a key is not text"))?, bytes)))
}

struct Hashed<R> {
    input: R,
    context: Context,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = self.input.read(out)?;
        self.context.update(out.get(..len).unwrap_or_default());
        Ok(len)
    }
}

/// The records of a snapshot that was looked at, once more.
struct Records {
    input: io::Take<GzDecoder<BufReader<File>>>,
}

impl Records {
    fn open(mut file: File, size: u64) -> io::Result<Self> {
        rewound(&mut file)?;
        let mut input = unpacked(file);
        head(&mut input)?;
        Ok(Self { input: input.take(size) })
    }

    fn source(mut self) -> crate::engine::Source {
        Box::new(move || {
            record(&mut self.input)
                .map_err(|error| EngineError::Damaged { what: format!("the received snapshot: {error}") })
        })
    }
}

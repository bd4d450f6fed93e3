//! The keys of a store, worked out from its shares and its file as ARCHITECTURE.md writes both
//! down: what the broker must not keep after sealing can then be looked for.

use std::path::Path;

use redb::{Database, ReadableDatabase as _, TableDefinition};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use warder_testkit::{Failure, Result};

const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("warder.records");

/// Lagrange's interpolation at 0 over GF(2^8), byte by byte; a share is `y ‖ x`.
pub(crate) fn root(shares: &[Vec<u8>]) -> Vec<u8> {
    let points: Vec<(&[u8], u8)> = shares.iter().filter_map(|s| s.split_last().map(|(x, y)| (y, *x))).collect();
    let basis = |x: u8| {
        let others = points.iter().map(|(_, other)| *other).filter(|other| *other != x);
        others.fold(1, |product, other| multiply(product, multiply(other, inverse(other ^ x))))
    };
    let byte = |at: usize| points.iter().fold(0, |sum, (y, x)| sum ^ multiply(y[at], basis(*x)));
    (0..points.first().map_or(0, |(y, _)| y.len())).map(byte).collect()
}

/// Modulo x^8 + x^4 + x^3 + x + 1.
fn multiply(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b > 0 {
        product ^= a * (b & 1);
        a = (a << 1) ^ ((a >> 7) * 0x1b);
        b >>= 1;
    }
    product
}

fn inverse(a: u8) -> u8 {
    (0..254).fold(1, |power, _| multiply(power, a))
}

/// What stands in the file of a sealed or ended broker, opened with the root key of its shares.
pub(crate) struct Opened {
    database: Database,
    /// The keys of all terms, oldest first.
    pub(crate) terms: Vec<Vec<u8>>,
}

impl Opened {
    pub(crate) fn with(file: &Path, root: &[u8]) -> Result<Self> {
        let database = Database::open(file).map_err(|why| Failure::new("open the storage", why))?;
        let mut opened = Self { database, terms: Vec::new() };
        let about = [b"barrier/keyring\0".as_slice(), &opened.record("barrier/seal")?].concat();
        let plain = open(root, &about, &opened.record("barrier/keyring")?, 1)?;
        opened.terms = plain.as_chunks::<52>().0.iter().map(|term| term[20..].to_vec()).collect();
        Ok(opened)
    }

    /// The plain bytes under a storage key, where only one term was ever used.
    pub(crate) fn plain(&self, key: &str) -> Result<Vec<u8>> {
        let term = self.terms.first().ok_or("there is no term")?;
        open(term, key.as_bytes(), &self.record(key)?, 4)
    }

    fn record(&self, key: &str) -> Result<Vec<u8>> {
        let read = || -> Result<Option<Vec<u8>>, redb::Error> {
            let table = self.database.begin_read()?.open_table(RECORDS)?;
            // The revision stands before every record.
            Ok(table.get(key.as_bytes())?.map(|bytes| bytes.value()[8..].to_vec()))
        };
        read().map_err(|why| Failure::new(key, why))?.ok_or_else(|| format!("there is no record at {key}").into())
    }
}

/// `head ‖ nonce (12) ‖ ciphertext ‖ tag (16)`, AES-256-GCM.
fn open(key: &[u8], about: &[u8], record: &[u8], head: usize) -> Result<Vec<u8>> {
    let broken = |_| Failure::from(format!("the record about {:?} does not open", String::from_utf8_lossy(about)));
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).map_err(broken)?);
    let (nonce, body) = record[head..].split_at(12);
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(broken)?;
    let mut body = body.to_vec();
    Ok(key.open_in_place(nonce, Aad::from(about), &mut body).map_err(broken)?.to_vec())
}

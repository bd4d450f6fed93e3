//! The keyring: all terms, and how it is stored.
//!
//! Record at `barrier/keyring`: `version (1) ‖ nonce (12) ‖ ciphertext ‖ tag (16)` under the root
//! key, AAD = `barrier/keyring ‖ 0x00 ‖ record at barrier/seal`; plain: for each term, oldest
//! first, `number u32 BE ‖ made at (ms) u64 BE ‖ values encrypted u64 BE ‖ key (32)`. Version 1 had
//! no times; it is still read. So the seal's numbers cannot be changed without the root key noticing.

use warder_core::{
    clock::Timestamp,
    error::{Error, Result},
    port::keyring::{KeyStatus, Rewrap},
    secret::{Secret, wiping_stack_of_keys},
};
use zeroize::Zeroizing;

use super::{
    KEYRING_KEY,
    term::{self, BrokenRecord, KEY_LEN, MARGIN, Term, WORN},
};

const VERSION: u8 = 2;
/// Without the time.
const VERSION_1: u8 = 1;
const TERM_RECORD_1: usize = 4 + 8 + KEY_LEN;
const TERM_RECORD: usize = TERM_RECORD_1 + 8;
/// Most terms kept; rewrapping drops those that nothing needs, so it bounds rotations in a row.
const MAX_TERMS: usize = 100_000;
/// A stored count beyond this is taken for this: worn out long ago, and far from where it would wrap.
const MOST_USED: u64 = 1 << 62;

/// What a seal opens the barrier with. In a place of its own, so that moving it copies nothing.
pub(crate) type RootKey = Box<Zeroizing<[u8; KEY_LEN]>>;

/// All terms, newest last.
pub(super) struct Keyring {
    terms: Vec<Term>,
    root: RootKey,
    seal: Vec<u8>,
    revision: u64,
}

/// The record does not open.
#[derive(Debug)]
pub(super) struct WrongKey;

impl Keyring {
    pub(super) fn generate(root: RootKey, seal: Vec<u8>) -> Result<Self> {
        let terms = wiping_stack_of_keys(|| Term::generate(1).map(|term| vec![term]))?;
        Ok(Self { terms, root, seal, revision: 0 })
    }

    pub(super) fn open(root: RootKey, seal: Vec<u8>, record: &[u8]) -> Result<Self, WrongKey> {
        let terms = wiping_stack_of_keys(|| Self::terms(&root, &seal, record))?;
        Ok(Self { terms, root, seal, revision: 0 })
    }

    fn terms(root: &RootKey, seal: &[u8], record: &[u8]) -> Result<Vec<Term>, WrongKey> {
        let mut bytes = Zeroizing::new(record.to_vec());
        let version =
            bytes.first().copied().filter(|version| matches!(*version, VERSION | VERSION_1)).ok_or(WrongKey)?;
        let cipher = term::cipher(root).map_err(|_| WrongKey)?;
        let len = term::open(&cipher, &mut bytes, 1, &aad(seal)).ok_or(WrongKey)?;
        let plain = bytes.get(1 + 12..1 + 12 + len).ok_or(WrongKey)?;
        let size = if version == VERSION { TERM_RECORD } else { TERM_RECORD_1 };
        if plain.is_empty() || plain.len() % size != 0 {
            return Err(WrongKey);
        }
        let terms = plain.chunks_exact(size).map(parse).collect::<Option<Vec<_>>>().ok_or(WrongKey)?;
        if terms.is_sorted_by(|older, newer| older.number < newer.number) { Ok(terms) } else { Err(WrongKey) }
    }

    /// The record to store.
    pub(super) fn seal_up(&self) -> Result<Vec<u8>> {
        let mut plain = Zeroizing::new(Vec::with_capacity(self.terms.len() * TERM_RECORD));
        for term in &self.terms {
            plain.extend_from_slice(&term.number.to_be_bytes());
            plain.extend_from_slice(&term.installed.0.to_be_bytes());
            plain.extend_from_slice(&term.used().to_be_bytes());
            plain.extend_from_slice(&*term.key);
        }
        wiping_stack_of_keys(|| term::seal(&term::cipher(&self.root)?, &[VERSION], &aad(&self.seal), &plain))
    }

    /// The same, known to be stored at `revision`.
    pub(super) fn stored_at(mut self, revision: u64) -> Self {
        self.revision = revision;
        self
    }

    pub(super) const fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn status(&self) -> KeyStatus {
        let newest = self.newest();
        KeyStatus {
            term: newest.number,
            installed: newest.installed,
            used: newest.used(),
            oldest: self.terms.first().map_or(newest.number, |oldest| oldest.number),
            terms: self.terms.len(),
            rewrap: Rewrap::default(),
        }
    }

    /// The number of the newest term.
    pub(super) fn term(&self) -> u32 {
        self.newest().number
    }

    pub(super) fn is_due(&self) -> bool {
        self.newest().is_due()
    }

    pub(super) fn was_due(&self) {
        self.newest().was_due();
    }

    /// The same root key and seal, for reading the stored keyring again.
    pub(super) fn reopen(&self, record: &[u8]) -> Result<Self, WrongKey> {
        Self::open(copied(&self.root), self.seal.clone(), record)
    }

    /// With its count brought up to date, and a new term if the newest is worn.
    pub(super) fn successor(&self) -> Result<Self> {
        if self.newest().used() >= WORN { self.with_new_term() } else { self.copy() }
    }

    pub(super) fn with_new_term(&self) -> Result<Self> {
        if self.terms.len() >= MAX_TERMS {
            return Err(Error::internal("the keyring is full"));
        }
        let number =
            self.newest().number.checked_add(1).ok_or_else(|| Error::internal("terms have no more numbers"))?;
        let mut next = self.copy()?;
        wiping_stack_of_keys(|| Term::generate(number).map(|term| next.terms.push(term)))?;
        Ok(next)
    }

    /// Another keyring under the same root key.
    pub(super) fn opened(&self, seal: &[u8], record: &[u8]) -> Result<Self, WrongKey> {
        Self::open(copied(&self.root), seal.to_vec(), record)
    }

    /// With no count below that of the same key in `other`: what it encrypted since is not forgotten.
    pub(super) fn counting(mut self, other: &Self) -> Self {
        for term in &mut self.terms {
            let same = other.terms.iter().find(|had| had.number == term.number && *had.key == *term.key);
            if let Some(more) = same.map(Term::used).filter(|used| *used > term.used()) {
                term.count(more);
            }
        }
        self
    }

    /// The same terms under another root key, with the seal's record that belongs to it.
    pub(super) fn under(&self, root: &RootKey, seal: Vec<u8>) -> Result<Self> {
        Ok(Self { root: copied(root), seal, ..self.copy()? })
    }

    /// Without the terms before `first`, which is kept.
    pub(super) fn without_before(&self, first: u32) -> Result<Self> {
        let mut next = self.copy()?;
        next.terms.retain(|term| term.number >= first);
        Ok(next)
    }

    pub(super) fn encrypt(&self, key: &str, plain: &[u8]) -> Result<Vec<u8>> {
        self.newest().encrypt(key, plain)
    }

    pub(super) fn decrypt(&self, key: &str, record: Vec<u8>) -> Result<Secret, BrokenRecord> {
        let number = term::number(key, &record)?;
        let found = self.terms.binary_search_by_key(&number, |term| term.number).ok().map(|at| &self.terms[at]);
        let term = found.ok_or_else(|| BrokenRecord { key: key.to_owned(), why: "its term is unknown" })?;
        term.decrypt(key, record)
    }

    #[expect(
        clippy::expect_used,
        reason = "generate makes one term, open refuses none, and the newest is never removed"
    )]
    fn newest(&self) -> &Term {
        self.terms.last().expect("a keyring has a term")
    }

    /// To be stored. The newest term's count is ahead by what this keyring may still encrypt
    /// before the copy takes over: [`Term::encrypt`] stops a margin after the stored count.
    fn copy(&self) -> Result<Self> {
        let newest = self.newest().number;
        let terms = self.terms.iter().map(|term| {
            let used = if term.number == newest { term.used().saturating_add(MARGIN) } else { term.used() };
            Term::new(term.number, term.installed, term.key.clone(), used, used)
        });
        let terms = wiping_stack_of_keys(|| terms.collect::<Result<_>>())?;
        Ok(Self { terms, root: copied(&self.root), seal: self.seal.clone(), revision: self.revision })
    }
}

/// Nobody knows what was encrypted since the count was stored: it can be anything up to the
/// margin, so nothing may be encrypted before a newer count is stored (`Keyring::successor`).
fn parse(record: &[u8]) -> Option<Term> {
    let (number, rest) = record.split_first_chunk()?;
    let (installed, rest) = match record.len() {
        TERM_RECORD => rest.split_first_chunk()?,
        _ => (&[0; 8], rest),
    };
    let (stored, key) = rest.split_first_chunk()?;
    let stored = u64::from_be_bytes(*stored).min(MOST_USED);
    let key = Zeroizing::new(key.try_into().ok()?);
    let installed = Timestamp(u64::from_be_bytes(*installed));
    Term::new(u32::from_be_bytes(*number), installed, key, stored.saturating_add(MARGIN), stored).ok()
}

fn copied(root: &RootKey) -> RootKey {
    wiping_stack_of_keys(|| root.clone())
}

fn aad(seal: &[u8]) -> Vec<u8> {
    [KEYRING_KEY.as_bytes(), &[0], seal].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(used: u64, stored: u64) -> Keyring {
        let mut keyring = Keyring::generate(RootKey::default(), b"seal".to_vec()).unwrap();
        let key = keyring.terms[0].key.clone();
        keyring.terms[0] = Term::new(1, Timestamp(7), key, used, stored).unwrap();
        keyring
    }

    #[test]
    fn a_worn_term_is_followed_by_a_new_one_and_still_read() {
        let worn = keyring(WORN, WORN);
        let record = worn.encrypt("k", b"old").unwrap();
        assert!(worn.is_due() && !worn.is_due(), "one caller is asked");
        let next = worn.successor().unwrap();
        assert_eq!((next.status().term, next.status().used, next.status().terms), (2, 0, 2));
        assert!(next.decrypt("k", record).unwrap().ct_eq(b"old"));
        assert_eq!(keyring(WORN - 1, WORN - 1).successor().unwrap().status().term, 1);
    }

    #[test]
    fn a_count_that_cannot_be_stored_stops_encryption_at_the_margin() {
        let keyring = keyring(MARGIN / 2 - 1, 0);
        assert!(!keyring.is_due());
        for _ in MARGIN / 2 - 1..MARGIN {
            keyring.encrypt("k", b"v").unwrap();
        }
        assert!(keyring.is_due());
        assert_eq!(keyring.encrypt("k", b"v").unwrap_err().kind, warder_core::error::ErrorKind::Unavailable);
        assert!(keyring.successor().unwrap().encrypt("k", b"v").is_ok());
    }

    /// Found by fuzzing: terms out of order were taken, and could not all be read; the number after
    /// the last one overflowed; a count at its end wrapped, and the term encrypted again.
    #[test]
    fn impossible_terms_are_refused_or_worn() {
        let open = |terms: &[(u32, u64)]| {
            let term =
                |(number, used): &(u32, u64)| [&number.to_be_bytes()[..], &used.to_be_bytes(), &[7; KEY_LEN]].concat();
            let plain: Vec<u8> = terms.iter().flat_map(term).collect();
            let cipher = term::cipher(&RootKey::default()).unwrap();
            let record = term::seal(&cipher, &[VERSION_1], &aad(b"seal"), &plain).unwrap();
            Keyring::open(RootKey::default(), b"seal".to_vec(), &record)
        };
        assert!(open(&[(1, 0), (2, 0)]).is_ok());
        assert!(open(&[(2, 0), (1, 0)]).is_err() && open(&[(1, 0), (1, 0)]).is_err());
        assert!(open(&[(u32::MAX, 0)]).unwrap().with_new_term().is_err());
        let endless = open(&[(1, u64::MAX)]).unwrap();
        assert!(endless.encrypt("k", b"v").is_err() && endless.encrypt("k", b"v").is_err());
        assert_eq!(endless.successor().unwrap().status().term, 2);
    }

    #[test]
    fn times_are_kept_and_a_keyring_without_them_is_still_read() {
        let stored = keyring(9, 9).with_new_term().unwrap().seal_up().unwrap();
        let open = |record: &[u8]| Keyring::open(RootKey::default(), b"seal".to_vec(), record);
        let opened = open(&stored).unwrap();
        assert_eq!(opened.terms[0].installed, Timestamp(7));
        assert!(opened.status().installed > Timestamp(7));
        let old = [&3_u32.to_be_bytes()[..], &5_u64.to_be_bytes(), &[7; KEY_LEN]].concat();
        let cipher = term::cipher(&RootKey::default()).unwrap();
        let record = term::seal(&cipher, &[VERSION_1], &aad(b"seal"), &old).unwrap();
        let opened = open(&record).unwrap();
        assert_eq!((opened.status().term, opened.status().installed), (3, Timestamp(0)));
        assert_eq!(&*opened.terms[0].key, &[7; KEY_LEN]);
        let again = open(&opened.seal_up().unwrap()).unwrap();
        assert_eq!((again.status().term, again.status().installed, &*again.terms[0].key), (3, Timestamp(0), &[7; 32]));
        // A version says what is inside: not both fit.
        let confused = term::seal(&cipher, &[VERSION], &aad(b"seal"), &old).unwrap();
        assert!(open(&confused).is_err());
    }

    #[test]
    fn a_stored_keyring_opens_with_its_root_key_and_its_seal_only() {
        let keyring = keyring(9, 9).with_new_term().unwrap();
        let record = keyring.seal_up().unwrap();
        let open = |root: u8, seal: &[u8], record: &[u8]| {
            Keyring::open(RootKey::new([root; 32].into()), seal.to_vec(), record)
        };
        let opened = open(0, b"seal", &record).unwrap();
        assert_eq!((opened.status().term, opened.status().terms), (2, 2));
        assert!(open(1, b"seal", &record).is_err() && open(0, b"laes", &record).is_err());
        for at in 0..record.len() {
            let mut changed = record.clone();
            changed[at] ^= 0x80;
            assert!(open(0, b"seal", &changed).is_err() && open(0, b"seal", &record[..at]).is_err(), "byte {at}");
        }
        // What was encrypted since it was stored is unknown, so it encrypts nothing yet.
        assert!(opened.encrypt("k", b"v").is_err() && opened.is_due());
        assert!(opened.successor().unwrap().encrypt("k", b"v").is_ok());
    }
}

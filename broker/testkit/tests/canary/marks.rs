//! Marked secrets, and every way one could be written down.
//!
//! Invariant: a form is looked for by each half of a secret on its own, so that a copy of which
//! the beginning or the end was overwritten is found as well.

use warder_testkit::Random;

const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// Characters of each half of a made mark: 95 bits, so nothing finds one by chance.
const HALF: usize = 16;
/// What stands between the halves of a value: each encoding writes it in its own way.
const BETWEEN: &str = "/+ \"\u{e9}\n%";

/// One secret of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// What it was, such as `the value of a bad JSON body`.
    pub(crate) kind: String,
    halves: [Vec<u8>; 2],
}

/// All secrets of a run.
#[derive(Debug)]
pub(crate) struct Marks {
    random: Random,
    all: Vec<Mark>,
}

impl Marks {
    pub(crate) const fn new(random: Random) -> Self {
        Self { random, all: Vec::new() }
    }

    /// A new secret with characters that encodings change.
    pub(crate) fn value(&mut self, kind: &str) -> String {
        let (first, second) = (self.letters(), self.letters());
        self.all.push(Mark { kind: kind.to_owned(), halves: [first.clone().into(), second.clone().into()] });
        first + BETWEEN + &second
    }

    /// A new secret of letters and digits.
    pub(crate) fn word(&mut self, kind: &str) -> String {
        let word = self.letters() + &self.letters();
        self.given(kind, word.as_bytes());
        word
    }

    /// A secret that the broker made.
    pub(crate) fn given(&mut self, kind: &str, bytes: &[u8]) {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        self.all.push(Mark { kind: kind.to_owned(), halves: [first.to_vec(), second.to_vec()] });
    }

    /// A token that the broker made; its prefix is no secret.
    pub(crate) fn token(&mut self, kind: &str, text: &str) {
        self.given(kind, text.split_once('.').map_or(text, |(_, secret)| secret).as_bytes());
    }

    pub(crate) fn all(&self) -> &[Mark] {
        &self.all
    }

    fn letters(&mut self) -> String {
        (0..HALF).map(|_| char::from(*self.random.one_of(LETTERS))).collect()
    }
}

impl Mark {
    /// Name and bytes of each form of each half.
    pub(crate) fn forms(&self) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
        self.halves.iter().flat_map(|half| forms(half))
    }
}

/// What is known to write a byte string down, and how it writes this one.
pub(crate) fn forms(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let each = |write: &dyn Fn(u8) -> String| bytes.iter().map(|byte| write(*byte)).collect::<String>().into_bytes();
    let listed = |between: &str| {
        let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
        numbers.join(between).into_bytes()
    };
    let wide = |order: fn(u16) -> [u8; 2]| bytes.iter().flat_map(|byte| order(u16::from(*byte))).collect();
    let mut forms = vec![
        ("raw", bytes.to_vec()),
        ("lower case", bytes.to_ascii_lowercase()),
        ("upper case", bytes.to_ascii_uppercase()),
        ("hex", each(&|byte| format!("{byte:02x}"))),
        ("hex, upper case", each(&|byte| format!("{byte:02X}"))),
        ("hex with colons", each(&|byte| format!("{byte:02x}:"))[..bytes.len() * 3 - 1].to_vec()),
        ("URL-encoded", each(&|byte| format!("%{byte:02x}"))),
        ("URL-encoded, upper case", each(&|byte| format!("%{byte:02X}"))),
        ("JSON-escaped", each(&|byte| format!("\\u{byte:04x}"))),
        ("JSON-escaped, upper case", each(&|byte| format!("\\u{byte:04X}"))),
        ("escaped as in Debug", each(&|byte| format!("\\x{byte:02x}"))),
        ("a list of numbers", listed(",")),
        ("a list of numbers as in Debug", listed(", ")),
        ("UTF-16, little end first", wide(u16::to_le_bytes)),
        ("UTF-16, big end first", wide(u16::to_be_bytes)),
    ];
    for (name, alphabet) in [("base64", b"+/"), ("base64url", b"-_")] {
        forms.extend((0..3).map(|shift| (name, base64(bytes, shift, *alphabet))));
    }
    forms
}

/// The characters that `bytes` alone decide when `shift` other bytes stand before them: so it is
/// found at every alignment, whatever follows, padded or not.
fn base64(bytes: &[u8], shift: usize, [plus, slash]: [u8; 2]) -> Vec<u8> {
    let whole: Vec<u8> = std::iter::repeat_n(0, shift).chain(bytes.iter().copied()).collect();
    let bit = |at: usize| whole[at / 8] >> (7 - at % 8) & 1;
    let (from, to) = ((shift * 8).div_ceil(6), whole.len() * 8 / 6);
    let letter = |at: usize| match (0..6).fold(0, |value, next| value << 1 | bit(at * 6 + next)) {
        62 => plus,
        63 => slash,
        number @ 52.. => b'0' + number - 52,
        number @ 26.. => b'a' + number - 26,
        number => b'A' + number,
    };
    (from..to).map(letter).collect()
}

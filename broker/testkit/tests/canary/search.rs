//! Looking for all forms of all secrets in one pass, also inside what is compressed.

use std::{collections::BTreeSet, fmt, io::Read as _};

use aho_corasick::AhoCorasick;
use flate2::read::MultiGzDecoder;
use warder_testkit::{Failure, Result};

use crate::marks::Mark;

/// RFC 1952, section 2.3.1, with the one compression method there is.
const GZIP: &[u8] = b"\x1f\x8b\x08";
/// Most that is unpacked of one stream.
const MAX_UNPACKED: u64 = 256 << 20;

/// Knows all forms of all secrets of a run.
pub(crate) struct Search {
    automaton: AhoCorasick,
    /// What each pattern is: kind of the secret, and form.
    named: Vec<(String, &'static str)>,
}

/// A secret where none belongs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Find {
    /// Where it was found.
    pub(crate) place: String,
    /// What it was.
    pub(crate) kind: String,
    form: &'static str,
    around: String,
}

impl Search {
    pub(crate) fn new(marks: &[Mark]) -> Result<Self> {
        let (mut patterns, mut named) = (Vec::new(), Vec::new());
        for mark in marks {
            let mut own = BTreeSet::new();
            for (form, pattern) in mark.forms() {
                if own.insert(pattern.clone()) {
                    patterns.push(pattern);
                    named.push((mark.kind.clone(), form));
                }
            }
        }
        let automaton = AhoCorasick::new(&patterns).map_err(|why| Failure::new("prepare the search", why))?;
        Ok(Self { automaton, named })
    }

    /// Every secret in `bytes`, once for each form.
    pub(crate) fn look(&self, place: &str, bytes: &[u8]) -> Vec<Find> {
        let mut finds = BTreeSet::new();
        for hit in self.automaton.find_overlapping_iter(bytes) {
            let (kind, form) = &self.named[hit.pattern().as_usize()];
            let around = &bytes[hit.start().saturating_sub(48)..bytes.len().min(hit.end() + 48)];
            let find = Find { place: place.to_owned(), kind: kind.clone(), form, around: readable(around) };
            if !finds.iter().any(|had: &Find| had.kind == find.kind && had.form == find.form) {
                finds.insert(find);
            }
        }
        for (at, unpacked) in unpacked(bytes) {
            finds.extend(self.look(&format!("{place}, unpacked at {at}"), &unpacked));
        }
        finds.into_iter().collect()
    }
}

/// Where something may be compressed, and what it is then.
fn unpacked(bytes: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let starts = bytes.windows(GZIP.len()).enumerate().filter(|(_, window)| *window == GZIP).map(|(at, _)| at);
    let unpack = |at: usize| {
        let mut out = Vec::new();
        // What is torn or only looks like it is read as far as it goes.
        _ = MultiGzDecoder::new(&bytes[at..]).take(MAX_UNPACKED).read_to_end(&mut out);
        (at, out)
    };
    starts.map(unpack).filter(|(_, out)| !out.is_empty()).collect()
}

fn readable(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| if (b' '..=b'~').contains(byte) { char::from(*byte) } else { '.' }).collect()
}

impl fmt::Display for Find {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, kind, form, around } = self;
        write!(f, "{place}: {kind}, {form}: {around}")
    }
}

/// Fails with all finds in words.
pub(crate) fn nothing(finds: &[Find]) -> Result {
    if finds.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = finds.iter().take(200).map(ToString::to_string).collect();
    Err(Failure::from(format!("{} secrets where none belongs:\n{}", finds.len(), lines.join("\n"))))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use base64::{
        Engine as _,
        engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
    };
    use warder_testkit::{Random, temp_dir};

    use super::*;
    use crate::{marks::Marks, places};

    /// Written by others than the search: the standard ways of base64, JSON, URLs and UTF-16.
    fn planted(value: &str) -> Vec<(String, Vec<u8>)> {
        let mut planted = vec![
            ("raw".to_owned(), value.as_bytes().to_vec()),
            ("lower".to_owned(), value.to_lowercase().into()),
            ("upper".to_owned(), value.to_uppercase().into()),
            ("json".to_owned(), serde_json::json!({ "a": value }).to_string().into()),
            ("debug".to_owned(), format!("{value:?}").into()),
            ("debug-bytes".to_owned(), format!("{:?}", value.as_bytes()).into()),
            ("escape-ascii".to_owned(), value.as_bytes().escape_ascii().to_string().into()),
            ("numbers".to_owned(), serde_json::json!(value.as_bytes()).to_string().into()),
            (
                "u-escapes".to_owned(),
                value.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect::<String>().into(),
            ),
            ("url".to_owned(), value.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>().into()),
            ("url-lower".to_owned(), value.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>().into()),
            ("hex".to_owned(), value.bytes().map(|byte| format!("{byte:02x}")).collect::<String>().into()),
            ("hex-upper".to_owned(), value.bytes().map(|byte| format!("{byte:02X}")).collect::<String>().into()),
            ("utf16le".to_owned(), value.encode_utf16().flat_map(u16::to_le_bytes).collect()),
            ("utf16be".to_owned(), value.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        ];
        for (name, engine) in [
            ("base64", &STANDARD),
            ("base64-unpadded", &STANDARD_NO_PAD),
            ("base64url", &URL_SAFE),
            ("base64url-unpadded", &URL_SAFE_NO_PAD),
        ] {
            for before in ["", "x", "xy"] {
                for after in ["", "z"] {
                    let name = format!("{name}-{before}-{after}");
                    planted.push((name, engine.encode(format!("{before}{value}{after}")).into()));
                }
            }
        }
        planted
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(b"before".to_vec(), flate2::Compression::best());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn every_form_that_is_planted_in_a_file_is_found_whole_halved_and_packed() -> Result {
        let folder = temp_dir()?;
        let mut marks = Marks::new(Random::new(7));
        let value = marks.value("a planted value");
        let search = Search::new(marks.all())?;
        for (name, bytes) in planted(&value) {
            let (first, second) = bytes.split_at(bytes.len() / 2);
            let places = [("whole", bytes.clone()), ("packed", gzip(&bytes))];
            // With some of the other half, for base64 shares characters at the seam.
            let torn = [("first", [first, b"\0\0\0"].concat()), ("second", [b"\0\0\0", second].concat())];
            for (part, bytes) in places.into_iter().chain(torn) {
                let file = folder.path().join("deep").join(format!("{name}.{part}"));
                std::fs::create_dir_all(file.parent().unwrap())?;
                std::fs::write(&file, bytes)?;
                let finds = places::files(&search, folder.path())?;
                assert!(!finds.is_empty(), "{name}, {part}: not found");
                std::fs::remove_file(file)?;
            }
        }
        assert_eq!(places::files(&search, folder.path())?, []);
        Ok(())
    }

    #[test]
    fn other_text_is_not_found() -> Result {
        let mut marks = Marks::new(Random::new(7));
        marks.value("one");
        let other = Marks::new(Random::new(8)).value("another");
        let search = Search::new(marks.all())?;
        for (name, bytes) in planted(&other) {
            assert_eq!(search.look(&name, &bytes), [], "{name}");
        }
        Ok(())
    }
}

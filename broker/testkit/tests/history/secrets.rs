//! Secrets as registers with check-and-set: plain and conditional writes, merges, deletions,
//! restorations and reads (from memory or not) through both HTTP doors, version numbers included.

mod door;
mod model;

use std::collections::HashMap;

use warder_testkit::{Random, Result, Suite, Warder};

use crate::{clients, story};
use door::Way;
use model::{Answer, Ask, Secrets, What};

/// What a run must have met.
const NEEDED: [&str; 14] = [
    "about about",
    "delete done",
    "destroy done",
    "patch gone",
    "patch mismatch",
    "patch written",
    "put mismatch",
    "put unknown",
    "put written",
    "read absent",
    "read gone",
    "read value",
    "undelete done",
    "wipe done",
];

/// Operations of one client: the short and the long form.
const OPERATIONS: [usize; 2] = [100, 4_000];

#[test]
fn check_and_set_reads_and_deletions_have_an_order() -> Result {
    let suite = Suite::new("history", "secrets::check_and_set_reads_and_deletions_have_an_order", 0x0005_ec2e);
    let warder = Warder::dev().start()?;
    let operations = suite.pick(OPERATIONS[0], OPERATIONS[1]);
    let histories = clients::run(&suite, |client| {
        let http = warder.http();
        let mut writer = Writer::new(client.number);
        (0..operations).try_for_each(|turn| {
            let key = key(&mut client.random, turn);
            let ask = writer.ask(&mut client.random, &key);
            let answer = client.act(&key, ask, |ask| door::send(&http, &key, ask))?;
            writer.learn(&key, answer.as_ref());
            Ok(())
        })
    })?;
    story::explain(&suite, &Secrets, &histories)?;
    clients::met(&histories, |ask| ask.what.word(), Answer::word).needs(&NEEDED)?;
    clients::needs_cache_hits(&warder, 20)
}

/// Eight keys at a time, one of them everybody's. They move on, so that no history of one key
/// becomes too long to be searched.
fn key(random: &mut Random, turn: usize) -> String {
    let wave = turn / 25;
    let number = if random.below(3) == 0 { 0 } else { random.below(8) };
    format!("history/{wave}-{number}")
}

/// What one client asks next.
struct Writer {
    /// Makes every value a different one.
    value: u32,
    /// Version that it last saw, by key.
    seen: HashMap<String, u32>,
}

impl Writer {
    fn new(client: usize) -> Self {
        Self { value: u32::try_from(client).unwrap_or_default() * 100_000, seen: HashMap::new() }
    }

    fn ask(&mut self, random: &mut Random, key: &str) -> Ask {
        let current = self.seen.get(key).copied().unwrap_or_default();
        let near = |random: &mut Random| (current + 1).saturating_sub(u32::try_from(random.below(4)).unwrap_or(0));
        let some = |random: &mut Random| vec![near(random).max(1)];
        self.value += 1;
        let value = self.value;
        // What dozens at once do blindly, or without waiting, could be in any order, and the search
        // would try them all: that is for the calm keys.
        let calm = !key.ends_with("-0");
        let what = match random.below(if calm { 100 } else { 84 }) {
            0..30 => What::Read { version: None },
            30..36 => What::Read { version: Some(near(random).max(1)) },
            36..42 => What::About,
            42..50 => What::Put { value, expect: None },
            50..72 => What::Put { value, expect: Some(current) },
            72..76 => What::Put { value, expect: Some(near(random)) },
            76..80 => What::Patch { value, expect: None },
            80..84 => What::Patch { value, expect: Some(current.max(1)) },
            84..88 => What::Delete { versions: Vec::new() },
            88..91 => What::Delete { versions: some(random) },
            91..97 => What::Undelete { versions: some(random) },
            97..99 => What::Destroy { versions: some(random) },
            _ => What::Wipe,
        };
        let way = match random.below(40) {
            0 if calm && !matches!(what, What::Read { .. } | What::About) => Way::HangUp,
            1..5 => Way::NativeFresh,
            5..22 => Way::Native,
            _ => Way::Vault,
        };
        Ask { what, way }
    }

    fn learn(&mut self, key: &str, answer: Option<&Answer>) {
        let version = match answer {
            Some(
                Answer::Value { version, .. }
                | Answer::Gone { version }
                | Answer::Written { version, .. }
                | Answer::About { current: version, .. },
            ) => *version,
            Some(Answer::Absent) => 0,
            _ => return,
        };
        self.seen.insert(key.to_owned(), version);
    }
}

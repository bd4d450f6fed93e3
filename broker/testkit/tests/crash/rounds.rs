//! Kill -9 in the middle of 256-way writes, again and again on one directory: every acknowledged
//! write is there, no unacknowledged one is half there, revisions never go back, the audit chain
//! verifies, and whatever had an effect has its record.

use std::{path::Path, sync::Mutex, thread, time::Duration};

use serde_json::json;
use warder_testkit::{Random, Result, Suite, Warder};

use crate::{
    client::{Client, Shared},
    directory::Directory,
    hot::Hot,
    raw::Raw,
    records::Log,
    token::Strays,
};

const CLIENTS: u32 = 256;
/// Rounds on one directory; the long form lives more lives.
const ROUNDS: u32 = 50;
/// Acknowledged writes before the kill: fewer than this.
const WRITES: u64 = 400;
/// Secrets that all clients write, apart from the one that lives through all rounds.
const HOT: usize = 4;
/// Threads that ask the restarted Warder.
const READERS: usize = 16;
/// A round whose target is not met by then is killed all the same.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn acknowledged_writes_survive_kills_in_the_middle_of_writing() -> Result {
    let suite = Suite::new("crash", "rounds::acknowledged_writes_survive_kills_in_the_middle_of_writing", 7);
    for number in 0..suite.pick(1, 20) {
        Life::new(suite.random().fork(number as u64))?.live()?;
    }
    Ok(())
}

/// One directory and all that is known of what lies in it.
struct Life {
    directory: Directory,
    random: Random,
    clients: Vec<Client>,
    strays: Strays,
    log: Log,
    raw: Raw,
    /// Acknowledged so far, and aimed for.
    acknowledged: usize,
    aimed: usize,
}

impl Life {
    fn new(random: Random) -> Result<Self> {
        let directory = Directory::new()?;
        let log = Log::new(directory.path().join("audit.log"));
        let clients = (0..CLIENTS).map(|number| Client::new(number, random.fork(u64::from(number) + 1))).collect();
        let (strays, raw) = (Strays::default(), Raw::default());
        Ok(Self { directory, random, clients, strays, log, raw, acknowledged: 0, aimed: 0 })
    }

    fn live(mut self) -> Result {
        let mut warder = start(self.directory.path())?;
        let limits = json!({ "max_versions": 100_000 });
        warder.http().post("/v1/secret/config").json(&limits).send()?.expect_status(204)?;
        let mut lasting = Hot::new("crash/hot/lasting".to_owned());
        for round in 0..ROUNDS {
            let mut hot: Vec<Hot> = (0..HOT).map(|n| Hot::new(format!("crash/hot/{round}/{n}"))).collect();
            hot.insert(0, lasting);
            let shared = self.round(round, warder, hot)?;
            warder = start(self.directory.path())?;
            self.check(round, &warder, &shared)?;
            lasting = shared.hot.into_iter().next().expect("the lasting one is the first");
        }
        assert!(self.acknowledged * 2 > self.aimed, "{} of {} writes were answered", self.acknowledged, self.aimed);
        warder.stop()?;
        self.log.verify()
    }

    /// Lets all clients write, and kills the process after some acknowledged writes.
    fn round(&mut self, round: u32, warder: Warder, hot: Vec<Hot>) -> Result<Shared> {
        let target = 1 + usize::try_from(self.random.below(WRITES)).unwrap();
        let shared = Shared::new(hot);
        thread::scope(|scope| {
            let start = |client| {
                let (http, shared) = (warder.http(), &shared);
                let run = move || Client::run(client, round, &http, shared);
                thread::Builder::new().stack_size(512 << 10).spawn_scoped(scope, run).expect("a thread")
            };
            let running: Vec<_> = self.clients.iter_mut().map(start).collect();
            shared.wait(target, running.len(), PATIENCE);
            warder.kill()
        })?;
        let acknowledged = shared.acknowledged();
        (self.acknowledged, self.aimed) = (self.acknowledged + acknowledged, self.aimed + target);
        let raw = Raw::of(&self.directory.path().join("warder.redb"))?;
        raw.follows(&self.raw, acknowledged);
        raw.has_no_half_versions();
        self.raw = raw;
        Ok(shared)
    }

    /// Asks the restarted process for everything of this round, and after the last for all.
    fn check(&mut self, round: u32, warder: &Warder, shared: &Shared) -> Result {
        self.log.read()?;
        self.log.verify()?;
        let (http, log, all) = (warder.http(), &self.log, round + 1 == ROUNDS);
        shared.hot.iter().try_for_each(|hot| hot.check(&http, log))?;
        let clients = Mutex::new(self.clients.iter_mut());
        thread::scope(|scope| {
            let read = |_: usize| {
                scope.spawn(|| {
                    let http = warder.http();
                    while let Some(client) = { clients.lock().unwrap().next() } {
                        client.check(&http, log, all)?;
                    }
                    Ok::<(), warder_testkit::Failure>(())
                })
            };
            let readers: Vec<_> = (0..READERS).map(read).collect();
            readers.into_iter().try_for_each(|reader| reader.join().expect("a check failed"))
        })?;
        let asked = self.clients.iter_mut().filter_map(|client| client.asked.take()).collect();
        let tokens = self.clients.iter().flat_map(|client| &client.tokens);
        self.strays.check(&http, tokens, &asked, &self.log)
    }
}

fn start(directory: &Path) -> Result<Warder> {
    Warder::dev().data_dir(directory).argument("--log").argument("warn").start()
}

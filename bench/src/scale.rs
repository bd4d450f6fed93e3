//! `scale`: what a second core brings. The whole broker in one process, no sockets: with two
//! cores there would be none left for a load generator, and on one it would only measure itself.
//!
//! A child of this program is pinned to one core with one worker thread, then to two with two.
//! Audit and storage threads live on the same cores. What it cannot show: contention between more
//! than two threads, how sockets scale, and what the product pays for wiping freed memory.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;
use warder_core::{
    audit::{Audit, SinkConfig},
    broker::{Broker, BrokerConfig, Parts},
    clock::SystemClock,
    identity::Peer,
    path::Path,
    request::{Address, Answer, Door, Fields, Operation, Reply, Request},
    route::NewMount,
    secret::Secret,
};
use warder_runtime::{Catalog, Runtime, RuntimeConfig};
use warder_store::{EngineConfig, SealConfig, StoreConfig, sink};
use warder_testkit::{Failure, Result, temp_dir};

use crate::machine;

const CALLERS: usize = 64;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(1);
const BODY: &str = "{\"data\":{\"username\":\"admin\",\"password\":\"secure123\"}}";

/// What is done again and again.
#[derive(Clone, Copy, Debug)]
enum Work {
    Cached,
    Uncached,
    Put,
}

const WORKS: [(Work, &str); 3] =
    [(Work::Cached, "cached GET"), (Work::Uncached, "uncached GET"), (Work::Put, "durable PUT")];

/// Requests a second, and microseconds of processor time a request.
type Rate = (f64, f64);

/// Measures and prints.
pub(crate) fn run() -> Result {
    let cores = cores()?;
    let [first, second, ..] = cores[..] else { return Err("it takes two processors to measure this".into()) };
    let mut rates: [Vec<[Rate; 3]>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        rates[0].push(child(&[first])?);
        rates[1].push(child(&[first, second])?);
    }
    println!(
        "The broker in one process without sockets, {CALLERS} callers, token, policy, audit file, median of {ROUNDS} \
         alternating rounds of {} s; the aim is 1.7:\n",
        ROUND.as_secs()
    );
    println!(
        "| | one core, one worker | two cores, two workers | scale | CPU a request on one | on two | scale if both cores were all ours |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (at, (_, name)) in WORKS.iter().enumerate() {
        let [(one, one_cpu), (two, two_cpu)] = rates.each_ref().map(|rounds| median(rounds, at));
        println!(
            "| {name} | {one:.0}/s | {two:.0}/s | {:.2} | {one_cpu:.1} us | {two_cpu:.1} us | {:.2} |",
            two / one,
            2.0 * one_cpu / two_cpu
        );
    }
    Ok(())
}

fn median(rounds: &[[Rate; 3]], at: usize) -> Rate {
    let middle = |pick: fn(&Rate) -> f64| {
        let mut numbers: Vec<f64> = rounds.iter().filter_map(|round| round.get(at)).map(pick).collect();
        numbers.sort_by(f64::total_cmp);
        numbers.get(numbers.len() / 2).copied().unwrap_or_default()
    };
    (middle(|rate| rate.0), middle(|rate| rate.1))
}

/// Processors that this process may use.
fn cores() -> Result<Vec<usize>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let mut cores = Vec::new();
    for range in list.unwrap_or_default().trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |text: &str| text.parse::<usize>().map_err(|why| Failure::new("Cpus_allowed_list", why));
        cores.extend(number(first)?..=number(last)?);
    }
    Ok(cores)
}

/// This program again, pinned; what it measured.
fn child(cores: &[usize]) -> Result<[Rate; 3]> {
    let list = cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &list]).arg(std::env::current_exe()?).args(["scaled", &cores.len().to_string()]);
    let told = command.output().map_err(|why| Failure::new("start taskset (Debian: util-linux)", why))?;
    let text = String::from_utf8_lossy(&told.stdout);
    let number = |word: Option<&str>| word.and_then(|word| word.parse::<f64>().ok());
    let rates: Vec<Rate> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((number(words.next())?, number(words.next())?))
        })
        .collect();
    let words = || format!("a pinned child said {text:?} and {:?}", String::from_utf8_lossy(&told.stderr));
    <[Rate; 3]>::try_from(rates).map_err(|_| Failure::from(words()))
}

/// The child: a line for each of [`WORKS`].
pub(crate) fn measured(cores: &str) -> Result {
    let workers = cores.parse().ok().filter(|workers| (1..=64).contains(workers)).ok_or("how many cores?")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    runtime.block_on(async {
        let directory = temp_dir()?;
        let subject = Arc::new(Subject::new(directory.path()).await?);
        for number in 0..CALLERS {
            subject.once(Work::Put, number).await?;
            subject.once(Work::Cached, number).await?;
        }
        for (work, _) in WORKS {
            subject.round(work, ROUND / 8).await?;
            let (rate, cpu) = subject.round(work, ROUND).await?;
            println!("{rate} {cpu}");
        }
        Ok(())
    })
}

/// A broker with a token that may use its secrets.
struct Subject {
    broker: Arc<Broker>,
    token: Secret,
    asked: AtomicU64,
}

impl Subject {
    async fn new(directory: &std::path::Path) -> Result<Self> {
        let broker = broker(directory).await?;
        let made = broker.initialize("init", Peer::default(), 1, 1, None).await.map_err(|why| why.chain())?;
        let mut subject = Self { broker, token: made.root_token, asked: AtomicU64::new(0) };
        let policy = "{\"policy\":\"path \\\"secret/data/*\\\" { capabilities = [\\\"create\\\", \\\"read\\\", \\\"update\\\"] }\"}";
        subject.told("sys/policies/acl/bench", policy).await?;
        let made = subject.told("auth/token/create", "{\"policies\":[\"bench\"]}").await?;
        subject.token = made.auth.ok_or("no token was made")?.token;
        Ok(subject)
    }

    async fn told(&self, path: &str, body: &str) -> Result<Reply> {
        self.ask(Operation::Update, path, body, false).await
    }

    async fn ask(&self, operation: Operation, path: &str, body: &str, refresh: bool) -> Result<Reply> {
        let path = Path::parse(path).map_err(|why| why.to_string())?;
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let request = Request {
            id: format!("00000000-0000-0000-0000-{number:012}").into(),
            door: Door::Vault,
            credential: Some(self.token.clone()),
            peer: Peer::default(),
            operation,
            address: Address::Canonical(path),
            fields: Fields::from_json(body.as_bytes()).map_err(|why| why.chain())?,
            refresh,
            deadline: Duration::from_secs(30),
        };
        Ok(self.broker.handle(request).await.map_err(|why| why.chain())?)
    }

    /// One request and a look at its answer.
    async fn once(&self, work: Work, caller: usize) -> Result {
        let path = format!("secret/data/bench/{caller}");
        let (operation, body, wanted) = match work {
            Work::Cached | Work::Uncached => (Operation::Read, "{}", "\"secure123\""),
            Work::Put => (Operation::Update, BODY, "\"version\":"),
        };
        let reply = self.ask(operation, &path, body, matches!(work, Work::Uncached)).await?;
        match &reply.answer {
            Answer::Document(text) if text.expose_str().is_some_and(|text| text.contains(wanted)) => Ok(()),
            other => Err(Failure::from(format!("{work:?} was answered {other:?}"))),
        }
    }

    async fn round(self: &Arc<Self>, work: Work, lasting: Duration) -> Result<Rate> {
        let (start, before) = (Instant::now(), machine::cpu_time(std::process::id())?);
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let subject = self.clone();
            callers.spawn(async move {
                let mut done = 0_u32;
                while start.elapsed() < lasting {
                    subject.once(work, caller).await?;
                    done += 1;
                }
                Result::<_>::Ok(done)
            });
        }
        let mut done = 0.0;
        while let Some(ended) = callers.join_next().await {
            done += f64::from(ended.map_err(|why| why.to_string())??);
        }
        let used = machine::cpu_time(std::process::id())?.saturating_sub(before);
        Ok((done / start.elapsed().as_secs_f64(), used.as_secs_f64() * 1e6 / done))
    }
}

/// As the composition root puts it together.
async fn broker(directory: &std::path::Path) -> Result<Arc<Broker>> {
    let words = |why: &dyn std::fmt::Display| Failure::from(why.to_string());
    let path = directory.join("warder.redb");
    let store = warder_store::open(&StoreConfig { engine: EngineConfig::Redb { path }, seal: SealConfig::Dev });
    let store = store.map_err(|why| words(&why))?;
    let log = directory.join("audit.log").to_string_lossy().into_owned();
    let file = sink::open("file", &[("file_path".to_owned(), log)].into()).map_err(|why| words(&why))?;
    let clock = Arc::new(SystemClock);
    let audit = Audit::start(vec![(SinkConfig::new("file", "file"), file)], clock.clone());
    let runtime = Runtime::new(RuntimeConfig::default(), clock.clone()).map_err(|why| words(&why))?;
    let plugins = warder_bundle::PLUGINS.iter().map(|plugin| (plugin.name, plugin.component));
    let plugins = Catalog::load(&runtime, plugins).await.map_err(|why| words(&why))?;
    let mount = NewMount {
        path: "secret/".to_owned(),
        plugin: "kv".to_owned(),
        description: String::new(),
        options: [("version".to_owned(), "2".to_owned())].into(),
    };
    Ok(Broker::new(Parts {
        storage: store.storage,
        seal: store.seal,
        keyring: store.keyring,
        quorum: store.quorum,
        snapshots: store.snapshots,
        plugins: Arc::new(plugins),
        audit: audit.map_err(|why| why.chain())?,
        clock,
        config: BrokerConfig { mounts: vec![mount], ..BrokerConfig::default() },
    }))
}

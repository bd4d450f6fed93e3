//! Clients, each with a habit of its own: always busy, a new connection for each request, silent for a
//! while, many requests at once.

use std::{io, pin::Pin, sync::atomic::Ordering, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use warder_client::Client;

use super::{
    Load,
    http1::Connection,
    http2::{self, Outcome},
    value,
};
use crate::place::{PATIENCE, Place, nobody};

/// Before a connection is tried again.
const AGAIN: Duration = Duration::from_millis(5);
/// Requests at once on a connection of HTTP/2.
const AT_ONCE: usize = 4;

pub(super) type Habit = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Every habit at every place, by a name that its writes begin with.
pub(super) fn all(load: &'static Load, places: [Place; 3], callers: [Client; 3]) -> Vec<(String, Habit)> {
    let mut all: Vec<(String, Habit)> = Vec::new();
    for (place, caller) in places.into_iter().zip(callers) {
        let name = |habit: &str| format!("{habit}-{}-", place.word());
        let (busy, fresh, silent) = (name("busy"), name("fresh"), name("silent"));
        let (streams, quiet, calls) = (name("streams"), name("quiet"), name("calls"));
        all.push((busy.clone(), Box::pin(http1(load, place.clone(), busy, Pace::Busy))));
        all.push((fresh.clone(), Box::pin(http1(load, place.clone(), fresh, Pace::Fresh))));
        all.push((silent.clone(), Box::pin(http1(load, place.clone(), silent, Pace::Silent))));
        all.push((streams.clone(), Box::pin(http2(load, place.clone(), streams, Pace::Busy))));
        all.push((quiet.clone(), Box::pin(http2(load, place.clone(), quiet, Pace::Silent))));
        all.push((calls.clone(), Box::pin(grpc(load, caller, calls))));
    }
    all
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    Busy,
    Fresh,
    /// Pauses between requests, of all lengths around those that a server bears while it ends.
    Silent,
}

impl Pace {
    async fn pause(self, n: usize) {
        if self == Self::Silent {
            sleep(Duration::from_millis([0, 250, 900, 990, 1010, 1500][n % 6])).await;
        }
    }
}

/// Connects again and again where nobody listens.
async fn connected<C, F: Future<Output = io::Result<C>>>(load: &Load, connect: impl Fn() -> F) -> C {
    let start = Instant::now();
    loop {
        match connect().await {
            Ok(connection) => return connection,
            Err(error) if nobody(&error) && start.elapsed() < PATIENCE => {
                load.turned_away.fetch_add(1, Ordering::Relaxed);
                sleep(AGAIN).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Writes one secret after the other, and reads each back.
async fn http1(load: &'static Load, place: Place, habit: String, pace: Pace) {
    let mut kept: Option<Connection> = None;
    let mut n = 0;
    while load.goes_on() {
        pace.pause(n).await;
        let name = format!("{habit}{n}");
        n += 1;
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => connected(load, || Connection::open(&place)).await,
        };
        let Some(written) = connection.ask("PUT", &name, &load.token, &value(&name)).await else {
            load.undone(name);
            continue;
        };
        assert_eq!(written.status, 201, "{name}: {}", written.head);
        load.done(name.clone());
        if connection.closing || pace == Pace::Fresh {
            continue;
        }
        // What was silent for too long may be closed.
        let Some(read) = connection.ask("GET", &name, &load.token, "").await else { continue };
        assert!(read.status == 200 && read.body.contains(&value(&name)), "{name}: {}{}", read.head, read.body);
        kept = Some(connection).filter(|connection| !connection.closing);
    }
}

/// Some writes at once, then some more, on a connection that is kept as long as the server takes requests.
async fn http2(load: &'static Load, place: Place, habit: String, pace: Pace) {
    let mut n = 0;
    while load.goes_on() {
        let sender = connected(load, || http2::open(&place)).await;
        let mut open = true;
        while open && load.goes_on() {
            let mut writes = JoinSet::new();
            for _ in 0..AT_ONCE {
                let (name, sender) = (format!("{habit}{n}"), sender.clone());
                writes.spawn(async move { (name.clone(), http2::put(sender, name, &load.token).await) });
                n += 1;
            }
            while let Some(write) = writes.join_next().await {
                match write.unwrap() {
                    (name, Outcome::Done) => load.done(name),
                    (name, Outcome::Refused) => {
                        load.undone(name);
                        open = false;
                    }
                }
            }
            pace.pause(n / AT_ONCE).await;
        }
    }
}

/// gRPC by a client that repeats what was not done: it never has to give up.
async fn grpc(load: &'static Load, caller: Client, habit: String) {
    let mut n = 0;
    while load.goes_on() {
        let name = format!("{habit}{n}");
        n += 1;
        let written = caller.put_if(format!("load/{name}"), &*value(&name), 0).await;
        let written = written.unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(written.version, Some(1), "{name}");
        load.done(name);
    }
}

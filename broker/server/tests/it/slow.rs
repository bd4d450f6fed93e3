//! Slow clients at each kind of listener: whatever is not said in time ends, the whole of it and not
//! only its silences, and neighbours are served meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{sleep, timeout},
};

use crate::{
    frames::{CONTINUATION, DATA, END_HEADERS, Frames, HEADERS, PREFACE, frame, headers, request},
    place::{Doors, PATIENCE, PROXIED, Place, Stream, rest},
    raw::Answer,
};

/// Of a server that has no time.
const HASTY: &str = "[limits]\nheader_time = \"5s\"\nbody_time = \"5s\"\n";
/// Between two bytes: far below every bound, so that silence alone would end nothing.
const TRICKLE: Duration = Duration::from_millis(50);
/// Of a trickle that nobody ends, longer than [`PATIENCE`].
const ENDLESS: usize = 1 << 16;

/// What is said at a beginning, and what is then said again and again.
struct Slow {
    first: Vec<u8>,
    again: &'static [u8],
    tls: bool,
}

impl Slow {
    fn new(first: impl Into<Vec<u8>>, again: &'static [u8]) -> Self {
        Self { first: first.into(), again, tls: true }
    }

    /// Before TLS, where that is spoken.
    fn below(first: impl Into<Vec<u8>>, again: &'static [u8]) -> Self {
        Self { tls: false, ..Self::new(first, again) }
    }
}

/// Everything that may be slow at the beginning of a connection to this place.
fn slow(place: &Place) -> Vec<Slow> {
    let head = "GET /livez HTTP/1.1\r\nHost: w\r\n";
    let body = "PUT /api/v1/secrets/a HTTP/1.1\r\nHost: w\r\nConnection: close\r\nContent-Type: application/json\r\n";
    let mut all = vec![
        Slow::new("", b""),
        Slow::new("G", b""),
        Slow::new("GET /", b"a"),
        Slow::new(head, b""),
        Slow::new(head, b"a: b\r\n"),
        Slow::new(&PREFACE[..9], b""),
        Slow::new(format!("{body}Content-Length: 100000\r\n\r\n{{"), b""),
        Slow::new(format!("{body}Content-Length: 100000\r\n\r\n{{"), b" "),
        Slow::new(format!("{body}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n"), b"1\r\n \r\n"),
    ];
    match place {
        Place::Proxied(_) => all.extend([
            Slow::below("", b""),
            Slow::below(&PROXIED[..7], b""),
            Slow::below(&PROXIED[..20], b""),
            Slow::below("PROXY TCP4 ", b" "),
        ]),
        // A hello of 512 bytes that begins rightly.
        Place::Tls(..) => all.extend([
            Slow::below("", b""),
            Slow::below(&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b""),
            Slow::below(&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"\0"),
        ]),
        _ => {}
    }
    all
}

/// Says it; what the server said before it closed.
async fn said(place: &Place, slow: &Slow) -> Answer {
    let opened = if slow.tls { place.connect("http/1.1").await } else { place.bare().await };
    let mut stream: Box<dyn Stream> = opened.unwrap();
    let _ = stream.write_all(&slow.first).await;
    let _ = stream.flush().await;
    if slow.again.is_empty() {
        return Answer::parse(&rest(&mut stream).await);
    }
    let (mut reading, mut writing) = tokio::io::split(stream);
    let mut all = Vec::new();
    let trickle = async {
        for _ in 0..ENDLESS {
            sleep(TRICKLE).await;
            if writing.write_all(slow.again).await.is_err() || writing.flush().await.is_err() {
                break;
            }
        }
    };
    let closed = timeout(PATIENCE, async {
        tokio::select! {
            _ = reading.read_to_end(&mut all) => {}
            () = trickle => {}
        }
    });
    assert!(closed.await.is_ok(), "no end after {PATIENCE:?}: {}", String::from_utf8_lossy(&all));
    Answer::parse(&all)
}

/// Neighbours at every place, until what this returns is told; how many were served.
fn neighbours(places: &[Place], over: &Arc<AtomicBool>) -> Vec<tokio::task::JoinHandle<usize>> {
    let served = |place: Place, over: Arc<AtomicBool>| async move {
        let mut served = 0;
        while !over.load(Ordering::Relaxed) {
            assert!(place.is_served().await, "{} is not served", place.word());
            served += 1;
            sleep(TRICKLE).await;
        }
        served
    };
    places.iter().map(|place| tokio::spawn(served(place.clone(), over.clone()))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_slow_at_the_beginning_ends_and_neighbours_are_served() {
    let doors = Doors::open(HASTY);
    let (places, over) = (doors.places(), Arc::new(AtomicBool::new(false)));
    let neighbours = neighbours(&places, &over);
    let ended = Arc::new(AtomicUsize::new(0));
    let mut clients = Vec::new();
    for place in &places {
        for slow in slow(place) {
            let (place, ended) = (place.clone(), ended.clone());
            clients.push(tokio::spawn(async move {
                let (begun, answer) = (Instant::now(), said(&place, &slow).await);
                let what = format!("{}: {:?} {:?}", place.word(), String::from_utf8_lossy(&slow.first), slow.again);
                // Closed, or told why.
                assert!([0, 400, 408].contains(&answer.status), "{what}: {} {}", answer.status, answer.head);
                assert!(begun.elapsed() > Duration::from_millis(500), "{what}: ended before it was slow");
                ended.fetch_add(1, Ordering::Relaxed);
            }));
        }
    }
    let count = clients.len();
    for client in clients {
        client.await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    for served in neighbours {
        assert!(served.await.unwrap() > 0);
    }
    assert_eq!(ended.load(Ordering::Relaxed), count);
    let refused = "GET /api/v1/secrets/a HTTP/1.1\r\nHost: w\r\nConnection: close\r\nX-Vault-Token: ";
    let get = format!("{refused}{}\r\n\r\n", doors.warder.token);
    assert_eq!(places[0].send(get.as_bytes()).await.status, 404, "nothing was stored");
    assert!(doors.metric("warder_edge_connections_dropped_total", "\"slow\"") > 0);
}

/// Streams of HTTP/2 whose bodies never end, and a head that never does.
#[tokio::test(flavor = "multi_thread")]
async fn slow_streams_of_http_2_end_and_others_on_the_same_connection_do_not() {
    let doors = Doors::open(HASTY);
    let (places, over) = (doors.places(), Arc::new(AtomicBool::new(false)));
    let neighbours = neighbours(&places, &over);
    let clients = places.clone().map(|place| {
        let token = doors.warder.token.clone();
        tokio::spawn(async move {
            // A body that trickles.
            let mut frames = Frames::open(&place, &[]).await;
            let put = request("PUT", "/api/v1/secrets/slow", &token);
            frames.send(&frame(HEADERS, END_HEADERS, 1, &put)).await;
            let begun = Instant::now();
            let answer = loop {
                frames.send(&frame(DATA, 0, 1, b" ")).await;
                let found = timeout(TRICKLE, frames.find(|came| came.kind == HEADERS && came.stream == 1));
                if let Ok(found) = found.await {
                    break found.expect("an answer");
                }
                assert!(begun.elapsed() < PATIENCE, "{}: a body goes on and on", place.word());
            };
            assert_eq!(answer.status().as_deref(), Some("408"), "{}: {answer:?}", place.word());
            // The connection is as good as before.
            let get = request("GET", "/livez", "");
            frames.send(&frame(HEADERS, END_HEADERS | 1, 3, &get)).await;
            let answer = frames.find(|came| came.kind == HEADERS && came.stream == 3).await.expect("an answer");
            assert_eq!(answer.status().as_deref(), Some("200"), "{}: {answer:?}", place.word());
            // A head in parts, the last of which never comes: nothing else may come before it, not even
            // the answer to a ping.
            let mut frames = Frames::open(&place, &[]).await;
            frames.send(&frame(HEADERS, 0, 1, &get)).await;
            frames.send(&frame(CONTINUATION, 0, 1, &headers([("a", "b")]))).await;
            while frames.next().await.is_some() {}
        })
    });
    for client in clients {
        client.await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    for served in neighbours {
        assert!(served.await.unwrap() > 0);
    }
}

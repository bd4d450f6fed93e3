//! Clients that take nothing of what they asked for, at each kind of listener: they are cut, and their
//! neighbours are served.

use std::time::Instant;

use futures_util::future::join_all;
use tokio::{
    io::AsyncWriteExt as _,
    time::{Duration, sleep, timeout},
};

use crate::{
    frames::{DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, frame, request},
    place::{Doors, PATIENCE, Place, Stream, rest},
};

const IMPATIENT: &str = "[limits]\nanswer_time = \"5s\"\n";
/// Of the secret that is asked for.
const LARGE: usize = 900_000;
/// So many of them fit into no buffer of any kernel.
const ASKED: usize = 64;

/// A server with a large secret.
async fn stage() -> Doors {
    let doors = Doors::open(IMPATIENT);
    let body = format!("{{\"a\":\"{}\"}}", "x".repeat(LARGE));
    let put = format!(
        "PUT /api/v1/secrets/large HTTP/1.1\r\nHost: w\r\nConnection: close\r\nX-Vault-Token: {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        doors.warder.token,
        body.len()
    );
    assert_eq!(doors.places()[0].send(put.as_bytes()).await.status, 201);
    doors
}

/// Waits until there are no more connections than the one that asks.
async fn all_cut(doors: &Doors) {
    let begun = Instant::now();
    while doors.metric("warder_edge_connections ", "") > 1 {
        assert!(begun.elapsed() < PATIENCE, "a connection is kept");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_none_of_its_answers_is_cut_and_one_that_reads_slowly_is_not() {
    let doors = stage().await;
    let get = format!("GET /api/v1/secrets/large HTTP/1.1\r\nHost: w\r\nX-Vault-Token: {}\r\n\r\n", doors.warder.token);
    let mut stuck = Vec::new();
    for place in doors.places() {
        let mut stream = place.connect("http/1.1").await.unwrap();
        stream.write_all(get.repeat(ASKED).as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        assert!(place.is_served().await, "{}", place.word());
        stuck.push((place.word(), stream));
    }
    all_cut(&doors).await;
    for (word, mut stream) in stuck {
        let came = rest(&mut stream).await.len();
        assert!(came < ASKED * LARGE, "{word}: all of it was kept for it");
    }
    assert!(doors.metric("warder_edge_connections_dropped_total", "\"slow\"") >= 4);
    let token = &doors.warder.token;
    join_all(doors.places().map(|place| async move { slow_and_served(token, &place).await })).await;
}

/// One that reads, if only now and then: it gets all, long after a stuck one would have been cut.
async fn slow_and_served(token: &str, place: &Place) {
    let mut slow: Box<dyn Stream> = place.connect("http/1.1").await.unwrap();
    let asked = 16;
    let ask = |n: usize| {
        let last = if n + 1 == asked { "Connection: close\r\n" } else { "" };
        format!("GET /api/v1/secrets/large HTTP/1.1\r\nHost: w\r\nX-Vault-Token: {token}\r\n{last}\r\n")
    };
    let asks: String = (0..asked).map(ask).collect();
    slow.write_all(asks.as_bytes()).await.unwrap();
    slow.flush().await.unwrap();
    let (begun, mut came) = (Instant::now(), 0);
    let mut some = vec![0; 2 << 20];
    loop {
        let read =
            timeout(PATIENCE, tokio::io::AsyncReadExt::read(&mut slow, &mut some)).await.expect("bytes, or the end");
        match read.unwrap_or(0) {
            0 => break,
            read => came += read,
        }
        // Ten seconds in all.
        sleep(Duration::from_millis((came * 10_000 / (asked * LARGE)) as u64).saturating_sub(begun.elapsed())).await;
    }
    assert!(came > asked * LARGE, "{}: {came} bytes came", place.word());
}

/// SETTINGS: a window of nothing for each stream (RFC 9113, section 6.5.2).
const NO_WINDOW: &[u8] = &[0, 4, 0, 0, 0, 0];

/// The connection lives and answers pings; only the answer is never taken. So is one that is taken in part.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_whose_window_stays_shut_ends_its_connection() {
    let doors = stage().await;
    let get = request("GET", "/api/v1/secrets/large", &doors.warder.token);
    let watch = request("GET", "/api/v1/watch", &doors.warder.token);
    join_all(doors.places().map(|place| {
        let (get, watch) = (&get, &watch);
        async move {
            // The window that clients have unless they say otherwise holds a part of the answer.
            let (nothing, part) = (untaken(&place, NO_WINDOW, get), untaken(&place, &[], get));
            tokio::join!(nothing, part, untaken(&place, NO_WINDOW, watch));
            assert!(place.is_served().await, "{}", place.word());
        }
    }))
    .await;
    all_cut(&doors).await;
}

/// Asks, and lives, and takes no more than these settings let in, until the connection is over.
async fn untaken(place: &Place, settings: &[u8], request: &[u8]) {
    let mut frames = Frames::open(place, settings).await;
    frames.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, request)).await;
    let head = frames.find(|came| came.kind == HEADERS).await.expect("the head needs no window");
    assert_eq!(head.status().as_deref(), Some("200"), "{}", place.word());
    let taking = timeout(PATIENCE, async {
        let mut taken = 0;
        while let Some(came) = frames.find(|came| matches!(came.kind, DATA | GOAWAY)).await {
            taken += if came.kind == DATA { came.payload.len() } else { 0 };
        }
        taken
    });
    let taken = taking.await.unwrap_or_else(|_| panic!("{}: the answer is kept", place.word()));
    assert!(taken < LARGE, "{}: {taken} bytes without a window", place.word());
}

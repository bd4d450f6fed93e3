//! Greedy clients at each kind of listener: heads, frames, streams and connections beyond their bounds
//! get a clear answer or an end, and neighbours are served meanwhile.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    frames::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, FRAME_SIZE_ERROR, Frames, GOAWAY, HEADERS,
        PING, REFUSED_STREAM, RESET, frame, headers, request,
    },
    place::{Doors, Place, Stream},
};

fn get(headers: &str) -> Vec<u8> {
    format!("GET /livez HTTP/1.1\r\nHost: w\r\nConnection: close\r\n{headers}\r\n").into_bytes()
}

/// Resident memory of the server in MiB.
fn resident(doors: &Doors) -> u64 {
    doors.metric("process_resident_memory_bytes", "") >> 20
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_and_bodies_over_their_bounds_are_refused_in_words() {
    let doors = Doors::open("");
    let long = |length: usize| "a".repeat(length);
    let put = |length: usize| {
        let head = format!(
            "PUT /api/v1/secrets/a HTTP/1.1\r\nHost: w\r\nConnection: close\r\nX-Vault-Token: {}\r\n",
            doors.warder.token
        );
        format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{}", long(length)).into_bytes()
    };
    for place in doors.places() {
        for (what, request, status) in [
            ("a long line", get("").replacen_path(&long(100_000)), &[400, 414, 431][..]),
            ("a line without an end", format!("GET /{}", long(2_000_000)).into_bytes(), &[0, 400, 414, 431]),
            ("a header", get(&format!("X-A: {}\r\n", long(70_000))), &[431]),
            (
                "a header without an end",
                format!("GET / HTTP/1.1\r\nX-A: {}", long(2_000_000)).into_bytes(),
                &[0, 400, 431],
            ),
            ("many headers", get(&"X-A: b\r\n".repeat(10_000)), &[431]),
            (
                "headers without an end",
                format!("GET / HTTP/1.1\r\n{}", "X-A: b\r\n".repeat(300_000)).into_bytes(),
                &[0, 400, 431],
            ),
            ("a body", put(2 << 20), &[413]),
        ] {
            let answer = place.send(&request).await;
            assert!(status.contains(&answer.status), "{}: {what}: {} {}", place.word(), answer.status, answer.head);
        }
        assert!(place.is_served().await, "{}", place.word());
    }
    assert!(resident(&doors) < 1024);
}

/// A request with this path instead.
trait Repath {
    fn replacen_path(&self, path: &str) -> Vec<u8>;
}

impl Repath for Vec<u8> {
    fn replacen_path(&self, path: &str) -> Vec<u8> {
        String::from_utf8(self.clone()).unwrap().replacen("/livez", &format!("/{path}"), 1).into_bytes()
    }
}

/// The end of a connection that was greedy: the word of its GOAWAY, or none where it was just closed.
async fn end(frames: &mut Frames) -> Option<u32> {
    let goaway = frames.find(|came| came.kind == GOAWAY && came.why() != Some(0)).await;
    goaway.and_then(|came| came.why())
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_over_their_bounds_end_their_connection_or_their_stream() {
    let doors = Doors::open("");
    let live = request("GET", "/livez", "");
    for place in doors.places() {
        let word = place.word();
        // One byte more than a frame may have.
        let mut frames = Frames::open(&place, &[]).await;
        frames.send(&frame(DATA, 0, 1, &vec![0; (16 << 10) + 1])).await;
        assert_eq!(end(&mut frames).await, Some(FRAME_SIZE_ERROR), "{word}: a frame");
        // A head of 80 KiB, which is over the bound of 64: the stream is refused, others are not.
        let mut frames = Frames::open(&place, &[]).await;
        let (mut large, value) = (live.clone(), "a".repeat(16_000));
        (0..5).for_each(|_| large.extend(headers([("x-a", value.as_str())])));
        let parts: Vec<_> = large.chunks(16 << 10).collect();
        for (n, part) in parts.iter().enumerate() {
            let kind = if n == 0 { HEADERS } else { CONTINUATION };
            let flags = if n == 0 { END_STREAM } else { 0 } | if n + 1 == parts.len() { END_HEADERS } else { 0 };
            frames.send(&frame(kind, flags, 1, part)).await;
        }
        let answer = frames.find(|came| came.stream == 1 && matches!(came.kind, HEADERS | RESET)).await;
        let answer = answer.unwrap_or_else(|| panic!("{word}: a large head ends the connection"));
        assert!(answer.kind == RESET || answer.status().as_deref() == Some("431"), "{word}: {answer:?}");
        frames.send(&frame(HEADERS, END_HEADERS | END_STREAM, 3, &live)).await;
        let answer = frames.find(|came| came.kind == HEADERS && came.stream == 3).await.unwrap();
        assert_eq!(answer.status().as_deref(), Some("200"), "{word}");
        // A head in parts without an end.
        let mut frames = Frames::open(&place, &[]).await;
        frames.send(&frame(HEADERS, END_STREAM, 1, &live)).await;
        let part = frame(CONTINUATION, 0, 1, &headers([("a", "b")]));
        let (mut sent, most, part) = (0, 64 << 20, part.repeat(4096));
        while sent < most && frames.send(&part).await {
            sent += part.len();
        }
        assert!(sent < most, "{word}: {sent} bytes of one head were taken");
        assert!(place.is_served().await, "{word}");
    }
    assert!(resident(&doors) < 1024);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_over_their_bound_are_refused_and_those_below_it_are_answered() {
    let doors = Doors::open("[limits]\nstreams = 8\n");
    let put = request("PUT", "/api/v1/secrets/streams", &doors.warder.token);
    for place in doors.places() {
        let word = place.word();
        let mut frames = Frames::open(&place, &[]).await;
        // Requests that have no body yet.
        for n in 0..20 {
            frames.send(&frame(HEADERS, END_HEADERS, 2 * n + 1, &put)).await;
        }
        for _ in 8..20 {
            let refused = frames.find(|came| came.kind == RESET).await.unwrap_or_else(|| panic!("{word}: the end"));
            assert_eq!((refused.why(), refused.stream > 16), (Some(REFUSED_STREAM), true), "{word}: {refused:?}");
        }
        for n in 0..8 {
            frames.send(&frame(DATA, END_STREAM, 2 * n + 1, b"{}")).await;
        }
        for _ in 0..8 {
            let answer = frames.find(|came| came.kind == HEADERS).await.unwrap_or_else(|| panic!("{word}: the end"));
            assert!(matches!(answer.status().as_deref(), Some("200" | "201")), "{word}: {answer:?}");
        }
        assert!(place.is_served().await, "{word}");
    }
}

/// CVE-2023-44487: requests that are begun and given up without an end.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_gives_up_request_after_request_is_sent_away() {
    let doors = Doors::open("");
    let get = request("GET", "/livez", "");
    for place in doors.places() {
        let mut frames = Frames::open(&place, &[]).await;
        let (mut sent, most) = (0, 1 << 17);
        while sent < most {
            let some: Vec<u8> = (sent..sent + 512)
                .flat_map(|n| {
                    let begun = frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &get);
                    [begun, frame(RESET, 0, 2 * n + 1, &8_u32.to_be_bytes())].concat()
                })
                .collect();
            if !frames.send(&some).await {
                break;
            }
            sent += 512;
        }
        assert!(sent < most, "{}: {sent} requests were begun and given up", place.word());
        // What it said may be lost with the connection.
        assert!(matches!(end(&mut frames).await, None | Some(ENHANCE_YOUR_CALM)), "{}", place.word());
        assert!(place.is_served().await, "{}", place.word());
    }
}

/// A connection whose client has said nothing, half a head, all of a request, or the beginning of HTTP/2.
async fn idle(place: &Place, n: usize) -> Option<Box<dyn Stream>> {
    if n.is_multiple_of(4) {
        return place.bare().await.ok();
    }
    let mut stream = place.connect(if n % 4 == 3 { "h2" } else { "http/1.1" }).await.ok()?;
    match n % 4 {
        1 => _ = stream.write_all(b"GET /livez HTTP/1.1\r\nHost:").await,
        2 => {
            let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nHost: w\r\n\r\n").await;
            let mut some = [0; 16];
            let answered = tokio::time::timeout(crate::place::PATIENCE, stream.read(&mut some)).await;
            assert!(answered.is_ok(), "{}: no room for one more", place.word());
        }
        _ => {
            let hello =
                [crate::frames::PREFACE, &frame(crate::frames::SETTINGS, 0, 0, &[]), &frame(PING, 0, 0, &[0; 8])];
            let _ = stream.write_all(&hello.concat()).await;
        }
    }
    let _ = stream.flush().await;
    Some(stream)
}

/// More connections than there is room for, all of them idle, in every way of being so: whoever comes to
/// ask gets the place of one of them, at once, and who is busy keeps his.
#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_make_room_for_those_that_ask() {
    let most = 40;
    // Nothing but the crowd ends an idle connection.
    let doors = Doors::open(&format!(
        "[limits]\nconnections = {most}\nheader_time = \"10m\"\nbody_time = \"10m\"\nrequest_time = \"10m\"\n"
    ));
    let token = doors.warder.token.clone();
    let places = doors.places();
    let mut busy = Vec::new();
    for place in &places {
        // A watch, and a body that is under way.
        let mut watch = place.connect("http/1.1").await.unwrap();
        let asked =
            format!("GET /api/v1/watch?prefix={} HTTP/1.1\r\nHost: w\r\nX-Vault-Token: {token}\r\n\r\n", place.word());
        watch.write_all(asked.as_bytes()).await.unwrap();
        let mut some = [0; 16];
        watch.read_exact(&mut some).await.unwrap();
        assert!(some.starts_with(b"HTTP/1.1 200"), "{}", place.word());
        let mut put = place.connect("http/1.1").await.unwrap();
        let asked = format!(
            "PUT /api/v1/secrets/{}/a HTTP/1.1\r\nHost: w\r\nConnection: close\r\nX-Vault-Token: {token}\r\n\
             Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{",
            place.word()
        );
        put.write_all(asked.as_bytes()).await.unwrap();
        busy.push((place.word(), watch, put));
    }
    let mut crowd = Vec::new();
    for n in 0..3 * most {
        crowd.push(idle(&places[n % 4], n / 4).await);
        if n % 10 == 0 {
            for place in &places {
                assert!(place.is_served().await, "{} beside {n} that are idle", place.word());
            }
        }
    }
    // One more may be about to be.
    assert!(doors.metric("warder_edge_connections ", "") <= most as u64);
    assert!(doors.metric("warder_edge_connections_dropped_total", "\"crowded\"") >= most as u64);
    for (word, mut watch, mut put) in busy {
        put.write_all(b"}").await.unwrap();
        put.flush().await.unwrap();
        let answer = String::from_utf8(crate::place::rest(&mut put).await).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{word}: {answer}");
        let told = tokio::time::timeout(crate::place::PATIENCE, async {
            let (mut all, mut some) = (Vec::new(), [0; 1024]);
            while !String::from_utf8_lossy(&all).contains("event: change") {
                let read = watch.read(&mut some).await.unwrap();
                assert!(read > 0, "{word}: the watch was sent away");
                all.extend_from_slice(&some[..read]);
            }
        });
        told.await.unwrap_or_else(|_| panic!("{word}: the watch says nothing"));
    }
    drop(crowd);
}

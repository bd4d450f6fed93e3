//! Clients that mean harm, or are broken: each gets a clear refusal or is served right, within
//! its bounds, and nothing panics.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::Shutdown,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    raw::{self, Answer},
    running::Running,
};

/// A server whose log goes to a file.
fn logged(folder: &Path) -> Running {
    let log = File::create(folder.join("log")).unwrap();
    Running::dev_telling(log.into(), &["--root-token", "root"])
}

/// It still serves, and never panicked.
fn unharmed(warder: &Running, folder: &Path) {
    assert_eq!(raw::send(warder.address, b"GET /livez HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n").status, 200);
    let log = std::fs::read_to_string(folder.join("log")).unwrap();
    assert!(!log.contains("panicked"), "{log}");
}

fn get(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: w\r\nConnection: close\r\n{headers}\r\n")
}

fn put(headers: &str, body: &str) -> String {
    format!(
        "PUT /api/v1/secrets/a HTTP/1.1\r\nHost: w\r\nConnection: close\r\nX-Vault-Token: root\r\n{headers}\r\n{body}"
    )
}

#[test]
fn odd_requests_are_refused_or_served_right() {
    let folder = tempfile::tempdir().unwrap();
    let warder = logged(folder.path());
    let own = "/api/v1/auth/self";
    let token = "X-Vault-Token: root\r\n";
    let long = |length: usize| "a".repeat(length);
    let mut wrong = Vec::new();
    for (request, expected) in [
        // Credentials.
        (get(own, "Authorization: Bearer root\r\nX-Vault-Token: root\r\n"), &[200][..]),
        (get(own, "Authorization: Bearer root\r\nX-Vault-Token: other\r\n"), &[400]),
        (get(own, "Authorization: Bearer root\r\nAuthorization: Bearer root\r\n"), &[400]),
        (get(own, "X-Vault-Token: root\r\nx-vault-token: root\r\n"), &[400]),
        (get(own, "Authorization: Basic cm9vdDo=\r\n"), &[400]),
        (get(own, "Authorization: root\r\n"), &[400]),
        (get(own, "Authorization: Bearer\r\n"), &[400, 401]),
        (get(own, "Authorization: Bearer root root\r\n"), &[400]),
        (get(own, "X-Vault-Token: r\u{f6}\u{f6}t\r\n"), &[400]),
        (get(own, &format!("X-Vault-Token: {}\r\n", long(8000))), &[401]),
        (get(own, &format!("X-Vault-Token: {}\r\n", long(9000))), &[400]),
        (get(own, &format!("X-Vault-Token: hvb.{}\r\n", long(4000))), &[401]),
        // Queries and targets.
        (get(&format!("{own}?{}", "a=1&".repeat(65)), token), &[400]),
        (get(&format!("{own}?{}", "a&".repeat(5000)), token), &[414]),
        (get(&format!("{own}?{}", long(70_000)), token), &[414]),
        (get(&format!("/api/v1/secrets/{}", long(70_000)), token), &[400, 414]),
        (get(&format!("{own}?a=%zz"), token), &[400]),
        (get("/api/v1/secrets/a?version=99999999999999999999", token), &[400]),
        (get("http://w/livez", ""), &[200]),
        (get("http://other.example/api/v1/auth/self", token), &[200]),
        (get("livez", ""), &[400, 404]),
        ("CONNECT w:443 HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n".to_owned(), &[400, 404, 405]),
        ("OPTIONS * HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n".to_owned(), &[400, 404, 405]),
        ("TRACE /livez HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n".to_owned(), &[405]),
        ("get /livez HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n".to_owned(), &[405]),
        (format!("{} /livez HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n", long(10_000)), &[400, 405]),
        // Versions and hosts.
        ("GET /livez HTTP/1.0\r\n\r\n".to_owned(), &[200]),
        ("GET /livez HTTP/9.9\r\nHost: w\r\n\r\n".to_owned(), &[400, 505]),
        ("GET /livez\r\n\r\n".to_owned(), &[400]),
        ("GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(), &[400]),
        (get("/livez", "Host: other\r\n"), &[400]),
        (get("/livez", "Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"), &[200]),
        // Headers.
        (get("/livez", "X-Vault-Token : root\r\n"), &[400]),
        (get("/livez", "X-A: b\r\n folded\r\n"), &[400]),
        (get("/livez", "X(A): b\r\n"), &[400]),
        (get("/livez", ": b\r\n"), &[400]),
        (get("/livez", "X-A: a\0b\r\n"), &[400]),
        (get("/livez", &"X-A: b\r\n".repeat(500)), &[431]),
        (get("/livez", &format!("X-A: {}\r\n", long(70_000))), &[431]),
        (get("/livez", &format!("X-A: {}\r\n", long(300_000))), &[431]),
        (get("/livez", &format!("X-Request-Id: {}\r\n", long(5000))), &[200]),
        // Bodies.
        (put("Content-Length: 2\r\nContent-Length: 3\r\n", "{}"), &[400]),
        (put("Content-Length: -1\r\n", ""), &[400]),
        (put("Content-Length: 18446744073709551616\r\n", ""), &[400]),
        (put("Content-Length: 18446744073709551615\r\n", ""), &[400, 413, 431]),
        (put("Transfer-Encoding: gzip\r\n", "{}"), &[400, 501]),
        (put("Transfer-Encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n"), &[400]),
        (put("Transfer-Encoding: chunked\r\n", "ffffffffffffffff1\r\n{}\r\n0\r\n\r\n"), &[400]),
        (put("Transfer-Encoding: chunked\r\n", &format!("2;{}\r\n{{}}\r\n0\r\n\r\n", long(100_000))), &[400]),
        (put("Content-Type: text/plain\r\nContent-Length: 2\r\n", "{}"), &[415]),
        (put("Content-Encoding: gzip\r\nContent-Length: 2\r\n", "{}"), &[200, 201, 415]),
        (put("Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"), &[200, 201]),
    ] {
        let shown: String = request.chars().take(160).collect();
        let answer = raw::send(warder.address, request.as_bytes());
        if !expected.contains(&answer.status) {
            wrong.push(format!("{shown:?}: {} is not in {expected:?}: {}", answer.status, answer.json()));
        }
        // Refused by hyper itself, before there is a request to speak of, the answer is bare.
        if answer.status >= 400 && !answer.body.is_empty() {
            let problem = answer.json();
            assert_eq!(problem["status"], answer.status, "{shown:?}: {problem}");
            assert!(problem["detail"].as_str().is_some_and(|words| words.len() < 1000), "{shown:?}: {problem}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for noise in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense",
        b"\0\0\0\0\r\n\r\n",
    ] {
        let answer = raw::send(warder.address, &[noise, &b"x".repeat(64)].concat());
        assert!(answer.status == 0 || answer.status >= 400, "{noise:?}: {}", answer.status);
    }
    unharmed(&warder, folder.path());
}

#[test]
fn a_length_and_an_encoding_at_once_smuggle_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let warder = logged(folder.path());
    let inner = "DELETE /api/v1/secrets/a HTTP/1.1\r\nHost: w\r\nX-Vault-Token: root\r\n\r\n";
    let body = format!("0\r\n\r\n{inner}");
    let request = put(&format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n", body.len()), &body);
    let answer = raw::send(warder.address, request.as_bytes());
    assert_eq!(answer.status, 400, "an empty body is no secret");
    assert!(!String::from_utf8_lossy(&answer.body).contains("HTTP/1.1"), "one answer only: the rest is no request");
    unharmed(&warder, folder.path());
}

#[test]
fn requests_sent_at_once_are_answered_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let warder = logged(folder.path());
    let one = |id: usize, last: bool| {
        let end = if last { "Connection: close\r\n" } else { "" };
        format!("GET /api/v1/auth/self HTTP/1.1\r\nHost: w\r\nX-Vault-Token: root\r\nX-Request-Id: r-{id}\r\n{end}\r\n")
    };
    let mut stream = raw::connect(warder.address);
    let all: String = (0..50).map(|id| one(id, id == 49)).collect();
    stream.write_all(all.as_bytes()).unwrap();
    let text = String::from_utf8(raw::rest(&mut stream)).unwrap();
    let ids: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("x-request-id: ")).collect();
    assert_eq!(ids, (0..50).map(|id| format!("r-{id}")).collect::<Vec<_>>());
    unharmed(&warder, folder.path());
}

#[test]
fn a_client_that_waits_for_leave_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let warder = logged(folder.path());
    let mut stream = raw::connect(warder.address);
    stream.write_all(put("Expect: 100-continue\r\nContent-Length: 7\r\n", "").as_bytes()).unwrap();
    let mut leave = [0; 25];
    stream.read_exact(&mut leave).unwrap();
    assert_eq!(&leave, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"{\"a\":1}").unwrap();
    assert_eq!(Answer::parse(&raw::rest(&mut stream)).status, 201);
    unharmed(&warder, folder.path());
}

#[test]
fn slow_and_broken_senders_are_given_up_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let warder = logged(folder.path());
    let address = warder.address;
    let slow = |request: String, half: bool| {
        std::thread::spawn(move || {
            let began = Instant::now();
            let mut stream = raw::connect(address);
            stream.write_all(request.as_bytes()).unwrap();
            if half {
                stream.shutdown(Shutdown::Write).unwrap();
            }
            (Answer::parse(&raw::rest(&mut stream)), began.elapsed())
        })
    };
    let head = slow("GET /livez HTTP/1.1\r\nHost:".to_owned(), false);
    let nothing = slow(String::new(), false);
    let body = slow(put("Content-Length: 100\r\n", "{"), false);
    let chunk = slow(put("Transfer-Encoding: chunked\r\n", "5\r\n{"), false);
    let cut = slow(put("Content-Length: 100\r\n", "{"), true);
    for (sender, expected) in [(head, [0, 408]), (nothing, [0, 408]), (body, [408, 408]), (chunk, [408, 408])] {
        let (answer, took) = sender.join().unwrap();
        assert!(expected.contains(&answer.status), "{} {}", answer.status, answer.head);
        assert!(took < Duration::from_secs(20), "{took:?}");
        if answer.status == 408 && !answer.body.is_empty() {
            assert_eq!(answer.json()["field"], json!("body"));
        }
    }
    let (answer, took) = cut.join().unwrap();
    assert!([0, 400].contains(&answer.status) && took < Duration::from_secs(5), "{} {took:?}", answer.status);
    let get = get("/api/v1/secrets/a", "X-Vault-Token: root\r\n");
    assert_eq!(raw::send(address, get.as_bytes()).status, 404, "nothing was stored");
    unharmed(&warder, folder.path());
}

#[test]
fn many_idle_connections_do_not_keep_others_out() {
    let folder = tempfile::tempdir().unwrap();
    let warder = logged(folder.path());
    let idle: Vec<_> = (0..300).map(|_| raw::connect(warder.address)).collect();
    let began = Instant::now();
    unharmed(&warder, folder.path());
    assert!(began.elapsed() < Duration::from_secs(5));
    drop(idle);
}

/// Without it `unharmed` would look at nothing.
#[test]
fn a_log_kept_by_a_test_is_really_kept() {
    let folder = tempfile::tempdir().unwrap();
    let warder = logged(folder.path());
    warder.stop();
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("WARN"), "the dev seal warns at start: {log:?}");
}

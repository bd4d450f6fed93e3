//! Files that are none, sent by somebody who may send snapshots: they are refused early, and what is
//! received never grows beyond its bounds.

use std::{
    cell::RefCell,
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    thread,
    time::Duration,
};

use serde_json::json;
use warder_testkit::{Failure, Result, Suite};

use super::{Keys, Place, until};

/// Far more than any of it should be taken for, and than a connection holds by itself.
const MOST: usize = 96 << 20;
const RESTORE: &str = "/api/v1/sys/restore";

/// Begins a body that may go on for ever.
fn begun(place: &Place, keys: &Keys, path: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(place.warder()?.address())?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    stream.set_write_timeout(Some(Duration::from_secs(120)))?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: w\r\nX-Vault-Token: {}\r\nContent-Type: application/gzip\r\n\
         Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
        keys.token
    );
    stream.write_all(head.as_bytes())?;
    Ok(stream)
}

fn chunk(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(format!("{:x}\r\n", bytes.len()).as_bytes())?;
    stream.write_all(bytes)?;
    stream.write_all(b"\r\n")
}

/// Sends until the server has had enough: the answer, and the bytes that went out.
fn endless(
    place: &Place,
    keys: &Keys,
    path: &str,
    mut next: impl FnMut() -> Vec<u8> + Send,
) -> Result<(String, usize)> {
    let mut stream = begun(place, keys, path)?;
    let mut reading = stream.try_clone()?;
    thread::scope(|scope| {
        let sender = scope.spawn(move || {
            let mut sent = 0;
            while sent < MOST {
                let bytes = next();
                if chunk(&mut stream, &bytes).is_err() {
                    break;
                }
                sent += bytes.len();
            }
            sent
        });
        let (mut answer, mut some) = (Vec::new(), [0; 4096]);
        loop {
            match reading.read(&mut some) {
                Ok(0) => break,
                Ok(read) => answer.extend_from_slice(&some[..read]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => return Err(error.into()),
            }
        }
        let sent = sender.join().map_err(|_| "the sender panicked")?;
        Ok((String::from_utf8_lossy(&answer).into_owned(), sent))
    })
}

fn resident(place: &Place) -> Result<f64> {
    let text = place.http("")?.get("/metrics").send()?.text();
    let line = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    Ok(line.ok_or("no resident memory")?.parse().map_err(|_| "no number")?)
}

#[test]
fn what_never_ends_is_refused_early_and_leaves_nothing() -> Result {
    let suite = Suite::new("it", "seal::endless::what_never_ends_is_refused_early_and_leaves_nothing", 20_261_122);
    let mut random = suite.random();
    let place = Place::new()?;
    let keys = place.init(1, 1)?;
    let root = place.http(&keys.token)?;
    root.put("/api/v1/secrets/a").json(&json!({ "n": 1 })).send()?.expect_status(201)?;
    let whole = root.get("/api/v1/sys/snapshot").send()?.expect_status(200)?.body;
    let noise: Vec<u8> = (0..64 << 10).map(|_| u8::try_from(random.below(256)).unwrap_or_default()).collect();
    let mut zeros = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    let mut packed = move || {
        // Well-formed gzip of nothing but zeros, without an end.
        while zeros.get_ref().is_empty() {
            zeros.write_all(&[0; 64 << 10]).unwrap_or_default();
        }
        std::mem::take(zeros.get_mut())
    };
    let mut after = Some(whole.clone());
    let before = resident(&place)?;
    let paths = [RESTORE, "/api/v1/sys/restore?dry_run=true", "/v1/sys/storage/raft/snapshot-force"];
    for (path, words) in paths.iter().zip(["damaged", "parts are not", "goes on after its end"]) {
        let next: Box<dyn FnMut() -> Vec<u8> + Send + '_> = match words {
            "damaged" => Box::new(|| noise.clone()),
            "parts are not" => Box::new(&mut packed),
            _ => Box::new(|| after.take().unwrap_or_else(|| vec![0; 64 << 10])),
        };
        let (answer, sent) = endless(&place, &keys, path, next)?;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains(words), "{path}: {answer}");
        assert!(sent < MOST, "{path}: all was taken");
    }
    let grown = resident(&place)? - before;
    assert!(grown < 64e6, "{grown} bytes more");
    // A size that no snapshot has is refused by its announcement.
    let mut stream = TcpStream::connect(place.warder()?.address())?;
    let head = format!(
        "POST {RESTORE} HTTP/1.1\r\nHost: w\r\nX-Vault-Token: {}\r\nExpect: 100-continue\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n",
        keys.token,
        8_u64 << 30
    );
    stream.write_all(head.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(root.get("/api/v1/secrets/a").send()?.json()?["data"]["n"], 1);
    root.post(RESTORE).header("Content-Type", "application/gzip").body(whole).send()?.expect_status(200)?;
    Ok(())
}

#[test]
fn few_may_send_at_once() -> Result {
    let place = Place::with("[limits]\nbody_time = \"5m\"\n")?;
    let keys = place.init(1, 1)?;
    let root = place.http(&keys.token)?;
    let whole = root.get("/api/v1/sys/snapshot").send()?.expect_status(200)?.body;
    let dry = || {
        let asked = root.post("/api/v1/sys/restore?dry_run=true").header("Content-Type", "application/gzip");
        Ok::<_, Failure>(asked.body(whole.clone()).send()?.status)
    };
    assert_eq!(dry()?, 200);
    // One more each time: some may come while another has the last place.
    let silent = RefCell::new(Vec::new());
    until("all places are taken", || {
        let mut stream = begun(&place, &keys, RESTORE)?;
        chunk(&mut stream, &whole[..10])?;
        silent.borrow_mut().push(stream);
        Ok(dry()? == 503)
    })?;
    // Far fewer than requests of operators may be.
    assert!((4..40).contains(&silent.borrow().len()), "{}", silent.borrow().len());
    drop(silent);
    until("their places are free", || Ok(dry()? == 200))
}

#[test]
fn who_sends_nothing_is_given_up() -> Result {
    let place = Place::with("[limits]\nbody_time = \"1s\"\n")?;
    let keys = place.init(1, 1)?;
    let mut stream = begun(&place, &keys, RESTORE)?;
    chunk(&mut stream, &[0x1f, 0x8b])?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    assert!(answer.starts_with("HTTP/1.1 504 ") && answer.contains("too slowly"), "{answer}");
    Ok(())
}

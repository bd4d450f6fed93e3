//! A secret that was acknowledged is there after a power cut: the process is killed in the
//! middle of writing, started again on the same directory, and every acknowledged byte is back.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use warder_testkit::{Http, Result, Warder, temp_dir};

const WRITERS: usize = 4;
/// Acknowledged writes before the plug is pulled.
const WRITES: usize = 200;

#[test]
fn acknowledged_secrets_survive_a_kill_in_the_middle_of_writing() -> Result {
    let directory = temp_dir()?;
    let warder = Warder::dev().data_dir(directory.path()).start()?;
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (http, acknowledged) = (warder.http(), acknowledged.clone());
            std::thread::spawn(move || write_until_it_dies(&http, writer, &acknowledged))
        })
        .collect();
    while acknowledged.load(Ordering::SeqCst) < WRITES {
        assert!(writers.iter().all(|writer| !writer.is_finished()), "a writer stopped before the kill");
        std::thread::yield_now();
    }
    warder.kill()?;
    let written: Vec<usize> = writers.into_iter().map(|writer| writer.join().expect("a writer panicked")).collect();

    let warder = Warder::dev().data_dir(directory.path()).start()?;
    let http = warder.http();
    for (writer, versions) in written.into_iter().enumerate() {
        check(&http, writer, versions)?;
    }
    http.put("/api/v1/secrets/after/the/cut").json(&json!({"k": "v"})).send()?.expect_status(201)?;
    Ok(())
}

/// Writes version after version; returns how many were acknowledged.
fn write_until_it_dies(http: &Http, writer: usize, acknowledged: &AtomicUsize) -> usize {
    let target = format!("/api/v1/secrets/cut/{writer}");
    let mut count = 0;
    loop {
        let next = count + 1;
        let sent = http.put(&target).json(&json!({"writer": writer, "count": next})).send();
        let Ok(reply) = sent else { return count };
        assert!(matches!(reply.status, 200 | 201), "{} {}", reply.status, reply.text());
        count = next;
        acknowledged.fetch_add(1, Ordering::SeqCst);
    }
}

/// The newest version is the last acknowledged one, or the one whose answer the cut swallowed.
fn check(http: &Http, writer: usize, acknowledged: usize) -> Result {
    let read = http.get(&format!("/api/v1/secrets/cut/{writer}")).send()?.expect_status(200)?.json()?;
    let version = read["version"].as_u64().unwrap_or_default() as usize;
    assert!(
        version == acknowledged || version == acknowledged + 1,
        "writer {writer}: version {version} after {acknowledged} acknowledged writes"
    );
    assert_eq!(read["data"], json!({"writer": writer, "count": version}) as Value);
    Ok(())
}

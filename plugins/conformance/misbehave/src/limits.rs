//! Deeds against the bounds of the sandbox.

use std::{
    collections::HashMap,
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    Deed, Reply, answer,
    bind::exports::warder::plugin::backend::{Answer, Document, RawBody},
    bind::warder::plugin::{
        clock, http,
        sealed::{self, Form, Part},
        store, telemetry,
        types::ErrorKind,
    },
    error, told, word,
};

pub(crate) fn act(deed: &Deed) -> Option<Reply> {
    Some(match deed.what.as_str() {
        "behave" => behave(),
        "loop" => spin(),
        "memory" => memory(),
        "recurse" => told([deep(1).to_string()]),
        "recurse-shadow" => told([deep_shadow(1).to_string()]),
        "panic" => panic!("the sky fell"),
        "exit" => std::process::exit(0),
        "stdout" => {
            println!("hello");
            told([])
        }
        "big-answer" => raw(vec![b'x'; 20 << 20]),
        "big-argument" => word_of(sealed::seal(&vec![b'x'; 20 << 20], Form::Bytes).map(drop)),
        "call-flood" => loop {
            black_box(clock::reached(0));
        },
        "write-flood" => write_flood(),
        "log-flood" => log_flood(),
        "stderr-flood" => stderr_flood(),
        "handles" => handles(),
        "double" => double(deed),
        "escape" => escape(),
        "panic-midway" => {
            if put_two().is_none() {
                panic!("half done")
            }
            told([])
        }
        "error-midway" => put_two().unwrap_or_else(|| Err(error(ErrorKind::Conflict, "changed\u{7} my mind"))),
        "bad-pointer" => answer(Answer::Document(Document {
            data: "{}".into(),
            secrets: vec![("/nope".into(), deed.secret("/doc"))],
        })),
        "environment" => environment(),
        "absent" => told([word(http::send(http::Request::new("GET", "https://example.com")))]),
        _ => return None,
    })
}

fn word_of(result: Result<(), crate::Error>) -> Reply {
    told([word(result)])
}

fn behave() -> Reply {
    store::put("behaved", b"well")?;
    told(["well".to_owned()])
}

fn spin() -> Reply {
    let mut x = 1u64;
    loop {
        x = black_box(x.wrapping_mul(3));
    }
}

fn memory() -> Reply {
    let mut held = Vec::new();
    loop {
        held.push(black_box(vec![1u8; 1 << 20]));
    }
}

static STEP: AtomicU64 = AtomicU64::new(1);

/// Locals only: wasmtime's own stack overflows.
#[inline(never)]
fn deep(n: u64) -> u64 {
    match STEP.load(Ordering::Relaxed) {
        0 => n,
        step => deep(n + step).wrapping_mul(3) ^ n,
    }
}

/// Memory on Rust's stack inside the linear memory.
#[inline(never)]
fn deep_shadow(n: u64) -> u64 {
    let mut room = [n as u8; 4096];
    black_box(&mut room);
    match STEP.load(Ordering::Relaxed) {
        0 => n,
        step => deep_shadow(n + step).wrapping_mul(3) ^ u64::from(room[17]),
    }
}

fn raw(body: Vec<u8>) -> Reply {
    answer(Answer::Raw(RawBody { status: 200, content_type: "text/plain".into(), body }))
}

fn write_flood() -> Reply {
    for i in 0.. {
        store::put(&format!("flood/{i}"), b"x")?;
    }
    told([])
}

fn log_flood() -> Reply {
    for i in 0..10_000 {
        telemetry::log(telemetry::Level::Warn, &format!("line {i}\n{}", "x".repeat(2000)), &[]);
    }
    told(["logged".to_owned()])
}

fn stderr_flood() -> Reply {
    for i in 0..2_000 {
        eprintln!("line {i}");
    }
    told(["written".to_owned()])
}

fn handles() -> Reply {
    let mut held = Vec::new();
    loop {
        held.push(sealed::seal(b"x", Form::Text)?);
    }
}

/// A value that doubles until the host has enough of it.
fn double(deed: &Deed) -> Reply {
    let mut value = deed.secret("/doc");
    loop {
        value = sealed::concat(&[Part::Secret(&value), Part::Secret(&value)])?;
    }
}

fn escape() -> Reply {
    let keys = ["../k/key", "/k/key", "a/../../k/key", "", "a//b", "a\0b"];
    let mut words: Vec<String> = keys.iter().map(|key| word(store::get(key))).collect();
    words.extend(keys.iter().map(|key| word(store::put(key, b"x"))));
    words.push(word(store::children("../", None, 10)));
    words.push(word(store::children("a", None, 10)));
    told(words)
}

/// None when all went well, to be followed by a bad end.
fn put_two() -> Option<Reply> {
    let both = store::put("one", b"1").and_then(|()| store::put("two", b"2"));
    both.err().map(Err)
}

fn environment() -> Reply {
    let mut map = HashMap::new();
    map.insert("variables", std::env::vars().count());
    map.insert("arguments", std::env::args().count());
    let mut words: Vec<String> = map.iter().map(|(name, count)| format!("{name} {count}")).collect();
    words.sort();
    told(words)
}

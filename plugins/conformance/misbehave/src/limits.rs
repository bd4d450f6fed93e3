//! Deeds against the bounds of the sandbox.

use std::{
    collections::HashMap,
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    Deed, Reply, answer,
    bind::exports::warder::plugin::backend::{Answer, Document, RawBody, Response},
    bind::warder::plugin::{
        clock, crypto, http,
        sealed::{self, Form, Part},
        store, telemetry,
        types::ErrorKind,
    },
    error, told, word,
};

pub(crate) fn act(deed: &Deed) -> Option<Reply> {
    Some(match deed.what.as_str() {
        "behave" => behave(),
        "list" => store::children("", None, 1000).and_then(told),
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
        "store-flood" => loop {
            _ = black_box(store::get("nothing"));
        },
        "list-flood" => loop {
            _ = black_box(store::children("", None, u32::MAX));
        },
        "log-loop" => loop {
            telemetry::log(telemetry::Level::Error, &"x".repeat(4000), &[]);
        },
        "stderr-loop" => loop {
            eprintln!("{}", "x".repeat(4000));
        },
        "loop-midway" => put_two().unwrap_or_else(spin),
        "memory-midway" => put_two().unwrap_or_else(memory),
        "write-flood" => write_flood(),
        "big-write" => word_or_fail(store::put("big", &vec![b'x'; 4 << 20])),
        "big-writes" => big_writes(),
        "big-secrets" => big_secrets(deed),
        "big-names" => answer(Answer::Names(vec![String::new(); 1_500_000])),
        "big-error" => Err(error(ErrorKind::Denied, &"x".repeat(7 << 20))),
        "deep-answer" => answer(Answer::Document(Document { data: nested(100_000), secrets: Vec::new() })),
        "deep-pointer" => word_of(deed.secret("/doc").project(&"/a".repeat(500_000)).map(drop)),
        "deep-splice" => answer(Answer::Document(Document {
            data: "{}".into(),
            secrets: vec![("/a".repeat(500_000), deed.secret("/doc"))],
        })),
        "deep-seal" => word_or_fail(sealed::seal(nested(100_000).as_bytes(), Form::Document).map(drop)),
        "deep-compose" => deep_compose(deed),
        "deep-plain" => word_or_fail(crate::compose(&[("a", &nested(100_000))], &[]).map(drop)),
        "slow" => slow(deed),
        "warnings" => {
            told(["warned".to_owned()]).map(|answer| Response { warnings: vec!["x".repeat(100); 50_000], ..answer })
        }
        "status" => odd(deed.arg.parse().unwrap_or_default(), "text/plain"),
        "header" => odd(200, "text/plain\r\nX-Evil: 1"),
        "write-then-lie" => put_two()
            .unwrap_or_else(|| answer(Answer::Document(Document { data: "{\"no".into(), secrets: Vec::new() }))),
        "write-then-odd" => put_two().unwrap_or_else(|| odd(42, "text/plain")),
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

/// The refusal as the answer's own.
fn word_or_fail(result: Result<(), crate::Error>) -> Reply {
    result.and_then(|()| told(["ok".to_owned()]))
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

fn big_writes() -> Reply {
    let value = vec![b'x'; 1 << 20];
    for i in 0.. {
        store::put(&format!("big/{i}"), &value)?;
    }
    told([])
}

fn big_secrets(deed: &Deed) -> Reply {
    let mut value = deed.secret("/doc");
    while value.len() < 1 << 20 {
        value = sealed::concat(&[Part::Secret(&value), Part::Secret(&value)])?;
    }
    for i in 0.. {
        store::put_secret(&format!("big/{i}"), &value)?;
    }
    told([])
}

/// `[[...]]`
fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

/// A document in a document in a document.
fn deep_compose(deed: &Deed) -> Reply {
    let mut value = deed.secret("/doc");
    loop {
        value = crate::compose(&[], &[("a", &value)])?;
        value.shape(0)?;
    }
}

/// Host calls that take long by nature, until the host refuses them.
fn slow(deed: &Deed) -> Reply {
    let password = deed.secret("/doc").project("/password")?;
    loop {
        crypto::hash_password(&password)?;
    }
}

fn odd(status: u16, content_type: &str) -> Reply {
    answer(Answer::Raw(RawBody { status, content_type: content_type.into(), body: b"odd".to_vec() }))
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

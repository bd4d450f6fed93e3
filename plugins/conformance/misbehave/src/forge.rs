//! Handles that the host never gave out: made up, of another kind, or used after they were gone.

use std::mem::ManuallyDrop;

use crate::{
    Deed, Error, Reply,
    bind::warder::plugin::{
        http,
        keys::{Algorithm, Key},
        sealed::{self, Form, Value},
    },
    told,
};

pub(crate) fn act(deed: &Deed) -> Option<Reply> {
    Some(match deed.what.as_str() {
        "forge" => told([made_up(deed.arg.parse().unwrap_or(4711)).len().to_string()]),
        "forge-all" => told([(1..100_000).map(|n| made_up(n).len()).sum::<u64>().to_string()]),
        "forge-kind" => other_kind().and_then(|len| told([len.to_string()])),
        "forge-gone" => gone().and_then(|len| told([len.to_string()])),
        "forge-twice" => twice().and_then(|()| told(["dropped".to_owned()])),
        "key-handles" => keys(),
        "http-handles" => requests(),
        _ => return None,
    })
}

#[allow(unsafe_code, reason = "a hostile author takes any number for a handle")]
fn made_up(number: u32) -> ManuallyDrop<Value> {
    ManuallyDrop::new(unsafe { Value::from_handle(number) })
}

/// A key for a value.
fn other_kind() -> Result<u64, Error> {
    let key = Key::create("kind", Algorithm::Aes256Gcm, false)?;
    Ok(made_up(key.handle()).len())
}

/// A value that was dropped.
fn gone() -> Result<u64, Error> {
    let number = sealed::seal(b"gone", Form::Text)?.handle();
    Ok(made_up(number).len())
}

fn twice() -> Result<(), Error> {
    let value = sealed::seal(b"twice", Form::Text)?;
    drop(ManuallyDrop::into_inner(made_up(value.handle())));
    drop(value);
    Ok(())
}

fn keys() -> Reply {
    let mut held = Vec::new();
    loop {
        held.push(Key::open("kind")?.map_or_else(|| Key::create("kind", Algorithm::Aes256Gcm, false), Ok)?);
    }
}

fn requests() -> Reply {
    let mut held = Vec::new();
    loop {
        held.push(http::Request::new("GET", "https://example.com"));
    }
}

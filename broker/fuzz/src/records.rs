//! Stored records of core's rooms, inside the barrier: a kind, then the bytes.
//!
//! What is read is written again so that it reads the same, and a written form is stable.

use warder_core::{
    authn,
    authz::{Policy, PolicyRecord},
    clock::Timestamp,
    route::fuzzing as route,
    sealed::Content,
    secret::Secret,
};

use crate::parts;

/// Feeds one input.
pub fn run(mut data: &[u8]) {
    match parts::byte(&mut data) {
        b'c' => content(data),
        b't' => token(data),
        b'm' => mount(data),
        b'p' => policy(data),
        b'b' => batch(data),
        b'd' => digest(data),
        _ => {}
    }
}

fn content(data: &[u8]) {
    let Ok(content) = Content::decode(data) else { return };
    assert!(content.encode().ct_eq(data), "a record is not written as it was read");
}

/// The moment is the last eight bytes.
fn token(data: &[u8]) {
    let (record, now) = data.split_last_chunk::<8>().unwrap_or((data, &[0; 8]));
    let now = Timestamp(u64::from_be_bytes(*now));
    let Some(written) = authn::fuzzing::entry(record, now) else { return };
    let again = authn::fuzzing::entry(written.expose(), now).expect("a written entry is read");
    assert!(again.ct_eq(written.expose()), "a written entry is not stable");
    let _ = now.rfc3339();
}

fn mount(data: &[u8]) {
    let Some((mount, written)) = route::mount(data) else { return };
    let (again, twice) = route::mount(written.expose()).expect("a written mount is read");
    assert!(twice.ct_eq(written.expose()), "a written mount is not stable");
    assert_eq!((&again.path, &again.uuid, &again.options), (&mount.path, &mount.uuid, &mount.options));
    assert!(again.scope.fingerprint_key.ct_eq(mount.scope.fingerprint_key.expose()));
}

fn policy(data: &[u8]) {
    let Ok(record) = serde_json::from_slice::<PolicyRecord>(data) else { return };
    let written = serde_json::to_vec(&record).unwrap();
    assert_eq!(serde_json::from_slice::<PolicyRecord>(&written).unwrap(), record);
    let _ = Policy::parse(&record.name, &record.text);
}

/// Without the key nobody makes one.
fn batch(data: &[u8]) {
    assert!(!authn::fuzzing::is_batch(&Secret::from("32 random bytes that nobody has."), data));
}

fn digest(data: &[u8]) {
    let Ok(hex) = std::str::from_utf8(data) else { return };
    if let Some(written) = authn::fuzzing::digest(hex) {
        assert_eq!(written, hex);
    }
}

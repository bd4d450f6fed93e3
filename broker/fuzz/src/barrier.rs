//! Records as they lie on the disk. First byte `r`: a value's record. `k`: a keyring's record.
//! Else the plain inside of a keyring, sealed by somebody who has the root key.
//!
//! Nothing opens that was not sealed; what opens is written and opened again the same; a keyring
//! that opens can rotate and encrypt, and no damaged one is taken.

use warder_store::barrier::fuzzing::Ring;

use crate::parts;

const SEAL: &[u8] = br#"{"format":1,"kind":"shamir","split":{"shares":5,"threshold":3}}"#;
/// Term 1, never used, a key of zeroes.
const PLAIN: [u8; 44] = {
    let mut plain = [0; 44];
    plain[3] = 1;
    plain
};

/// Feeds one input.
pub fn run(mut data: &[u8]) {
    match parts::byte(&mut data) {
        b'r' => value(data),
        b'k' => assert!(Ring::open(SEAL, data).is_none(), "a keyring that nobody sealed opens"),
        _ => keyring(data),
    }
}

/// A position and a mask, a storage key, and the record or value.
fn value(mut data: &[u8]) {
    let (at, mask) = (usize::from(parts::byte(&mut data)), parts::byte(&mut data));
    let Some(key) = parts::text(&mut data) else { return };
    let ring = opened(&PLAIN).and_then(|ring| ring.successor()).expect("a sound keyring");
    assert!(ring.decrypt(key, data).is_none(), "a record that nobody sealed opens");
    let mut record = ring.encrypt(key, data).expect("a fresh count");
    assert!(ring.decrypt(key, &record).is_some_and(|value| value.ct_eq(data)));
    assert!(ring.decrypt(&format!("{key}/"), &record).is_none(), "a record opens at another key");
    assert_eq!(record.len(), data.len() + 32);
    let at = at % record.len();
    record[at] ^= mask;
    assert_eq!(ring.decrypt(key, &record).is_some(), mask == 0, "byte {at}");
    record[at] ^= mask;
    record.truncate(at);
    assert!(ring.decrypt(key, &record).is_none(), "half a record opens");
}

fn opened(plain: &[u8]) -> Option<Ring> {
    Ring::open(SEAL, &Ring::forge(SEAL, plain)?)
}

fn keyring(plain: &[u8]) {
    let Some(ring) = opened(plain) else { return };
    let (newest, terms) = ring.terms();
    assert_eq!(terms, plain.len() / 44);
    assert!(
        ring.encrypt("k", b"v").is_none() && ring.encrypt("k", b"v").is_none(),
        "encrypts before its count is known"
    );
    let Some(successor) = ring.successor() else {
        assert_eq!(newest, u32::MAX, "a keyring that opens has a successor");
        return;
    };
    let record = successor.encrypt("k", b"v").expect("a successor encrypts");
    assert!(successor.decrypt("k", &record).is_some_and(|value| value.ct_eq(b"v")));
    let again = Ring::open(SEAL, &successor.record().unwrap()).expect("what was stored opens");
    assert_eq!(again.terms(), successor.terms());
    assert!(again.decrypt("k", &record).is_some_and(|value| value.ct_eq(b"v")));
    if let Some(rotated) = ring.rotated() {
        assert!(rotated.terms().0 > newest && rotated.terms().1 == terms + 1, "rotation goes back");
    }
}

//! Shares. First byte `j`: the plain record of a seal. `s`: a secret, split and combined. Else
//! shares of a length each, combined.
//!
//! Shares combine when lengths agree and numbers are distinct and not zero, in any order to the
//! same bytes; any threshold of split shares makes the secret again.

use warder_core::secret::Secret;
use warder_store::seal::fuzzing;

use crate::parts;

/// Feeds one input.
pub fn run(mut data: &[u8]) {
    match parts::byte(&mut data) {
        b'j' => record(data),
        b's' => split(data),
        length => combine(usize::from(length), data),
    }
}

fn record(data: &[u8]) {
    let Some(written) = fuzzing::record(data) else { return };
    assert_eq!(fuzzing::record(&written).as_deref(), Some(written.as_slice()));
}

fn split(mut data: &[u8]) {
    let shares = parts::byte(&mut data).max(1) % 17;
    let threshold = parts::byte(&mut data) % (shares + 1);
    let (shares, threshold) = (shares.max(1), threshold.max(1));
    let first = usize::from(parts::byte(&mut data));
    let secret = &data[..data.len().min(64)];
    let mut made = fuzzing::split(secret, shares, threshold).expect("randomness");
    assert!(made.len() == usize::from(shares) && made.iter().all(|share| share.len() == secret.len() + 1));
    made.rotate_left(first % usize::from(shares));
    for count in usize::from(threshold)..=made.len() {
        assert_eq!(fuzzing::combine(&made[..count]).expect("genuine shares").as_slice(), secret);
    }
}

/// Lengths may differ by the last share: it is what is left.
fn combine(length: usize, data: &[u8]) {
    let shares: Vec<Secret> = data.chunks(length.max(1)).take(255).map(Secret::from).collect();
    let lengths = shares.iter().all(|share| share.len() == shares[0].len());
    let mut numbers: Vec<u8> = shares.iter().filter_map(|share| share.expose().last().copied()).collect();
    numbers.sort_unstable();
    let distinct = numbers.windows(2).all(|pair| pair[0] != pair[1]) && !numbers.contains(&0);
    let combined = fuzzing::combine(&shares);
    assert_eq!(combined.is_some(), !shares.is_empty() && lengths && distinct);
    let Some(combined) = combined else { return };
    assert_eq!(combined.len() + 1, shares[0].len());
    let backwards: Vec<Secret> = shares.iter().rev().cloned().collect();
    assert_eq!(fuzzing::combine(&backwards).as_deref(), Some(&*combined));
    if let [only] = &*shares {
        assert!(only.expose().starts_with(&combined), "one share of one is the secret");
    }
}

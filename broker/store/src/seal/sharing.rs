//! Shamir's secret sharing (Communications of the ACM 22(11), 1979), byte by byte over GF(2^8).
//! The shamir seal alone calls it.
//!
//! Share: `y for each byte of the secret ‖ x`, as HashiCorp's `shamir` package writes it. x is
//! random, distinct, not zero. Invariant: fewer than the threshold say nothing about the secret.

use ring::rand::{SecureRandom, SystemRandom};
use warder_core::secret::Secret;
use zeroize::Zeroizing;

use super::field::{inverse, mul};

/// The system has no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the system has no randomness")]
pub(super) struct NoRandomness;

/// Splits `secret` so that any `threshold` of `shares` make it again.
/// The caller has checked 1 <= threshold <= shares.
pub(super) fn split(secret: &[u8], shares: u8, threshold: u8) -> Result<Vec<Secret>, NoRandomness> {
    let random = SystemRandom::new();
    let degree = usize::from(threshold.max(1) - 1);
    // For each byte of the secret the coefficients above it.
    let mut coefficients = Zeroizing::new(vec![0; secret.len() * degree]);
    random.fill(&mut coefficients).map_err(|_| NoRandomness)?;
    let mut made = Vec::with_capacity(usize::from(shares));
    for x in distinct(&random, shares)? {
        let mut share = Vec::with_capacity(secret.len() + 1);
        for (at, byte) in secret.iter().enumerate() {
            share.push(evaluate(*byte, &coefficients[at * degree..(at + 1) * degree], x));
        }
        share.push(x);
        made.push(Secret::new(share));
    }
    Ok(made)
}

/// The secret that `shares` lie on; what comes out of too few or wrong ones is noise, which the
/// keyring refuses. None when lengths differ, or an x is zero or repeated.
pub(super) fn combine(shares: &[Secret]) -> Option<Zeroizing<Vec<u8>>> {
    let points = shares.iter().map(|share| share.expose().split_last()).collect::<Option<Vec<_>>>()?;
    let len = points.first()?.1.len();
    let fits = |(at, (x, ys)): (usize, &(&u8, &[u8]))| {
        **x != 0 && ys.len() == len && points[..at].iter().all(|(other, _)| other != x)
    };
    if !points.iter().enumerate().all(fits) {
        return None;
    }
    let mut secret = Zeroizing::new(vec![0; len]);
    for (at, (x, ys)) in points.iter().enumerate() {
        let weight = lagrange(**x, points.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, (x, _))| **x));
        secret.iter_mut().zip(ys.iter()).for_each(|(byte, y)| *byte ^= mul(weight, *y));
    }
    Some(secret)
}

/// Horner's rule, highest coefficient last.
fn evaluate(constant: u8, coefficients: &[u8], x: u8) -> u8 {
    coefficients.iter().rev().fold(0, |sum, coefficient| mul(sum ^ coefficient, x)) ^ constant
}

/// The weight of the share at `x` in the value at zero.
fn lagrange(x: u8, others: impl Iterator<Item = u8>) -> u8 {
    others.fold(1, |weight, other| mul(weight, mul(other, inverse(other ^ x))))
}

/// `count` distinct numbers from 1 to 255 in random order.
fn distinct(random: &SystemRandom, count: u8) -> Result<Vec<u8>, NoRandomness> {
    let mut chosen = Vec::with_capacity(usize::from(count));
    let mut byte = [0];
    while chosen.len() < usize::from(count) {
        random.fill(&mut byte).map_err(|_| NoRandomness)?;
        if byte[0] != 0 && !chosen.contains(&byte[0]) {
            chosen.push(byte[0]);
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_threshold_of_shares_makes_the_secret_again_and_fewer_do_not(
            secret in prop::array::uniform32(any::<u8>()),
            (shares, threshold) in (2u8..=12).prop_flat_map(|n| (Just(n), 2..=n)),
            order in any::<prop::sample::Index>(),
        ) {
            let mut made = split(&secret, shares, threshold).unwrap();
            prop_assert!(made.iter().all(|share| share.len() == 33));
            made.rotate_left(order.index(usize::from(shares)));
            let enough = combine(&made[..usize::from(threshold)]).unwrap();
            prop_assert_eq!(enough.as_slice(), &secret);
            let all = combine(&made).unwrap();
            prop_assert_eq!(all.as_slice(), &secret);
            let few = combine(&made[..usize::from(threshold) - 1]).unwrap();
            prop_assert_ne!(few.as_slice(), &secret);
        }
    }

    #[test]
    fn every_share_counts_up_to_the_most_there_can_be() {
        let made = split(&[7; 32], 255, 255).unwrap();
        assert_eq!(combine(&made).unwrap().as_slice(), &[7; 32]);
        assert_ne!(combine(&made[1..]).unwrap().as_slice(), &[7; 32]);
    }

    /// One share below the threshold fits every secret equally well: for each guess of a byte
    /// there is exactly one value of the missing share.
    #[test]
    fn too_few_shares_say_nothing() {
        let made = split(&[42], 2, 2).unwrap();
        let (x, known) = (made[1].expose()[1], &made[0]);
        let mut guesses: Vec<u8> =
            (0..=255).map(|y| combine(&[known.clone(), Secret::from(&[y, x][..])]).unwrap()[0]).collect();
        guesses.sort_unstable();
        assert!(guesses.iter().copied().eq(0..=255));
    }

    #[test]
    fn shares_that_cannot_belong_together_are_refused() {
        let share = |bytes: &[u8]| Secret::from(bytes);
        for shares in [
            vec![],
            vec![share(b"")],
            vec![share(b"a\x00")],
            vec![share(b"a\x01"), share(b"b\x01")],
            vec![share(b"a\x01"), share(b"bc\x02")],
        ] {
            assert!(combine(&shares).is_none());
        }
    }

    /// Made with HashiCorp's `shamir` in mind: f(x) = 0x42 + 0x05 x at x = 1, 2.
    #[test]
    fn the_format_is_y_then_x() {
        let shares = [Secret::from(&[0x47, 1][..]), Secret::from(&[0x48, 2][..])];
        assert_eq!(combine(&shares).unwrap().as_slice(), [0x42]);
    }
}

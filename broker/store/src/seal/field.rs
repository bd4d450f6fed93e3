//! GF(2^8) with the polynomial x^8+x^4+x^3+x+1 (AES's field, FIPS 197 section 4.2). `sharing`
//! alone calls it.
//!
//! Invariant: time and memory access do not depend on the values: no table, no branch on them.

use std::hint::black_box;

/// Product. Addition is `^`.
pub(super) fn mul(a: u8, b: u8) -> u8 {
    let (mut a, mut product) = (a, 0);
    for bit in 0..8 {
        product ^= a & black_box((b >> bit) & 1).wrapping_neg();
        let carry = black_box(a >> 7).wrapping_neg();
        a = (a << 1) ^ (carry & 0x1b);
    }
    product
}

/// Inverse; zero for zero. a^254 by square and multiply, the exponent is public.
pub(super) fn inverse(a: u8) -> u8 {
    let mut power = a;
    let mut result = 1;
    for _ in 1..8 {
        power = mul(power, power);
        result = mul(result, power);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_those_of_the_standard() {
        for (a, b, product) in
            [(0x57, 0x83, 0xc1), (0x57, 0x13, 0xfe), (0x02, 0x80, 0x1b), (0, 0xff, 0), (1, 0xab, 0xab)]
        {
            assert_eq!((mul(a, b), mul(b, a)), (product, product), "{a:#x} * {b:#x}");
        }
    }

    #[test]
    fn every_element_but_zero_has_its_inverse() {
        assert!((1..=255).all(|a| mul(a, inverse(a)) == 1));
        assert_eq!(inverse(0), 0);
    }

    #[test]
    fn multiplication_distributes_over_addition() {
        for a in 0..=255 {
            for b in 0..=255 {
                assert_eq!(mul(a, b) ^ mul(a, 0x5c), mul(a, b ^ 0x5c));
            }
        }
    }
}

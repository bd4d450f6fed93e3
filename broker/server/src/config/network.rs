//! Networks that something is believed of: who may say on whose behalf it asks.

use std::{fmt, net::IpAddr, str::FromStr};

/// Most networks of one option.
const MOST: usize = 64;

/// Some networks; none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    /// By address.
    blocks: Vec<Block>,
    /// Those at the other end of a unix socket, too.
    unix: bool,
}

/// Addresses with a common prefix, in CIDR notation (RFC 4632, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    base: IpAddr,
    bits: u8,
}

impl Networks {
    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.blocks.is_empty() && !self.unix
    }

    /// Whether somebody at this address is in one of them; no address is that of a unix socket.
    #[must_use]
    pub fn contains(&self, address: Option<IpAddr>) -> bool {
        match address {
            Some(address) => self.blocks.iter().any(|block| block.contains(address.to_canonical())),
            None => self.unix,
        }
    }

    /// Reads one word for each: `10.0.0.0/8`, `2001:db8::1`, or `unix`.
    #[must_use]
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut networks = Self::default();
        for word in words {
            match word.trim() {
                "unix" => networks.unix = true,
                block => networks.blocks.push(block.parse().ok()?),
            }
        }
        (networks.blocks.len() <= MOST).then_some(networks)
    }

    /// One word for each.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let unix = self.unix.then(|| "unix".to_owned());
        self.blocks.iter().map(ToString::to_string).chain(unix).collect()
    }
}

impl Block {
    fn contains(self, address: IpAddr) -> bool {
        prefix(address, self.bits).is_some_and(|prefix| prefix == self.base)
    }
}

impl FromStr for Block {
    type Err = ();

    /// Bits behind the prefix must be zero, and IPv4 is not written as IPv6: what is written is what holds.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (base, bits) = match text.split_once('/') {
            Some((base, bits)) if bits.bytes().all(|b| b.is_ascii_digit()) => (base, Some(bits)),
            Some(_) => return Err(()),
            None => (text, None),
        };
        let base: IpAddr = base.parse().map_err(|_| ())?;
        let bits = bits.map_or_else(|| Ok(width(base)), |bits| bits.parse().map_err(|_| ()))?;
        let plain = base.to_canonical() == base && prefix(base, bits) == Some(base);
        if plain { Ok(Self { base, bits }) } else { Err(()) }
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

const fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address with all but its first bits zero; none when it has not so many.
fn prefix(address: IpAddr, bits: u8) -> Option<IpAddr> {
    let rest = u32::from(width(address).checked_sub(bits)?);
    Some(match address {
        IpAddr::V4(address) => IpAddr::V4((address.to_bits() & u32::MAX.checked_shl(rest).unwrap_or(0)).into()),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & u128::MAX.checked_shl(rest).unwrap_or(0)).into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_a_network_by_its_prefix() {
        for (network, address, within) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.0.0.0/8", "a00::", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("192.0.2.6/31", "192.0.2.7", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::", false),
            ("::/0", "::1", true),
            ("unix", "127.0.0.1", false),
        ] {
            let networks = Networks::parse([network]).unwrap();
            assert_eq!(networks.contains(Some(address.parse().unwrap())), within, "{address} in {network}");
            assert_eq!(networks.contains(None), network == "unix");
            assert_eq!(Networks::parse(networks.words().iter().map(String::as_str)).unwrap(), networks);
        }
        assert!(!Networks::default().contains(None) && Networks::default().is_empty());
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for word in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10/8",
            "::/129",
            "any",
            "::ffff:10.0.0.0/104",
        ] {
            assert_eq!(Networks::parse([word]), None, "{word}");
        }
        assert_eq!(Networks::parse(["10.0.0.0/8"; MOST + 1]), None);
    }
}

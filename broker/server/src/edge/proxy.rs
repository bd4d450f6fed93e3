//! The header that a proxy puts before a connection's own bytes: the PROXY protocol, versions 1 and
//! 2 (<https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>).
//!
//! Called by the listener, for peers that are trusted to send one. Invariant: not a byte behind the
//! header is read, and of the header no more than its bound.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// What version 1 begins with.
const WORD: &[u8] = b"PROXY ";
/// Longest line of version 1, with its end.
const MAX_LINE: usize = 107;
/// Signature, version and command, family, length.
const FIXED: usize = 16;
/// Most bytes of version 2 behind those.
const MAX_REST: usize = 4096;
/// The type of a checksum among the values that may follow the addresses.
const CRC32C: u8 = 0x03;

/// On whose behalf a connection was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Somebody at this address; none for a unix socket.
    Client(Option<IpAddr>),
    /// The proxy's own, to see whether we live; or somebody that it does not know.
    Proxy,
}

/// Reads a header, and no further.
///
/// # Errors
/// `invalid data` for what is no header, the stream's own otherwise.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Source> {
    let mut header = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    if header == SIGNATURE {
        header.resize(FIXED, 0);
        stream.read_exact(header.get_mut(SIGNATURE.len()..).unwrap_or_default()).await?;
        let rest = usize::from(u16::from_be_bytes([header[FIXED - 2], header[FIXED - 1]]));
        if rest > MAX_REST {
            return Err(wrong("the header is too long"));
        }
        header.resize(FIXED + rest, 0);
        stream.read_exact(header.get_mut(FIXED..).unwrap_or_default()).await?;
    } else if header.starts_with(WORD) {
        while !header.ends_with(b"\n") && header.len() < MAX_LINE {
            header.push(stream.read_u8().await?);
        }
    }
    parse(&header).map_err(wrong)
}

fn wrong(words: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, words)
}

/// Reads a whole header.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(header: &[u8]) -> Result<Source, &'static str> {
    match header.strip_prefix(&SIGNATURE) {
        Some([what, family, length @ ..]) => {
            let (length, rest) = length.split_first_chunk().ok_or("the header is cut off")?;
            if usize::from(u16::from_be_bytes(*length)) != rest.len() {
                return Err("the header is cut off");
            }
            second(*what, *family, rest, header)
        }
        Some(_) => Err("the header is cut off"),
        None => first(header),
    }
}

fn second(what: u8, family: u8, rest: &[u8], whole: &[u8]) -> Result<Source, &'static str> {
    let addresses = match family {
        0x00 => 0,
        0x11 => 12,
        0x21 => 36,
        0x31 => 216,
        // What is local has no addresses that count.
        _ if what == 0x20 => return Ok(Source::Proxy),
        _ => return Err("the addresses are of a kind that no connection has"),
    };
    let (addresses, values) = rest.split_at_checked(addresses).ok_or("the addresses are cut off")?;
    checked(values, whole)?;
    match (what, family) {
        (0x20, _) | (0x21, 0x00) => Ok(Source::Proxy),
        (0x21, 0x11) => Ok(client(addresses.first_chunk().map(|octets: &[u8; 4]| Ipv4Addr::from(*octets)))),
        (0x21, 0x21) => Ok(client(addresses.first_chunk().map(|octets: &[u8; 16]| Ipv6Addr::from(*octets)))),
        (0x21, _) => Ok(Source::Client(None)),
        _ => Err("neither PROXY nor LOCAL of version 2"),
    }
}

fn client(address: Option<impl Into<IpAddr>>) -> Source {
    Source::Client(address.map(|address| address.into().to_canonical()))
}

/// Walks over type, length and value of each; a checksum must be right.
fn checked(mut values: &[u8], whole: &[u8]) -> Result<(), &'static str> {
    while let [kind, high, low, rest @ ..] = values {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, behind) = rest.split_at_checked(length).ok_or("a value is cut off")?;
        if *kind == CRC32C {
            let told = value.try_into().map(u32::from_be_bytes).map_err(|_| "the checksum has four bytes")?;
            if told != crc32c(whole, whole.len() - rest.len()..whole.len() - behind.len()) {
                return Err("the checksum is another");
            }
        }
        values = behind;
    }
    if values.is_empty() { Ok(()) } else { Err("a value is cut off") }
}

/// CRC-32C (RFC 3720, appendix B.4) of the bytes, those of the range taken for zeros.
fn crc32c(bytes: &[u8], zeros: std::ops::Range<usize>) -> u32 {
    let bytes = bytes.iter().enumerate().map(|(at, byte)| if zeros.contains(&at) { 0 } else { *byte });
    !bytes.fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg()))
    })
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 1234 443` and the end of a line.
fn first(header: &[u8]) -> Result<Source, &'static str> {
    let none = "no header of the PROXY protocol";
    let line = header.strip_suffix(b"\r\n").filter(|_| header.len() <= MAX_LINE).ok_or(none)?;
    let line = std::str::from_utf8(line).ok().filter(|line| !line.contains(char::is_control)).ok_or(none)?;
    let mut words = line.split(' ');
    let family = (words.next() == Some("PROXY")).then(|| words.next()).flatten();
    if family == Some("UNKNOWN") {
        return Ok(Source::Proxy);
    }
    let mut address = || words.next()?.parse::<IpAddr>().ok();
    let (source, target) = (address().ok_or(none)?, address().ok_or(none)?);
    let mut port = || words.next().filter(|word| word.bytes().all(|b| b.is_ascii_digit()))?.parse::<u16>().ok();
    let ports = port().and_then(|_| port()).is_some() && words.next().is_none();
    match family {
        Some("TCP4") if ports && source.is_ipv4() && target.is_ipv4() => Ok(client(Some(source))),
        Some("TCP6") if ports && source.is_ipv6() && target.is_ipv6() => Ok(client(Some(source))),
        _ => Err(none),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(what: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[what, family], &length, rest].concat()
    }

    const FOUR: [u8; 12] = [192, 0, 2, 7, 127, 0, 0, 1, 4, 0, 1, 187];

    fn at(text: &str) -> Result<Source, &'static str> {
        Ok(Source::Client(Some(text.parse().unwrap())))
    }

    #[test]
    fn version_2_names_the_client_by_its_family() {
        let six = [&Ipv6Addr::from(0x2001_0db8_u128 << 96 | 7).octets()[..], &[0; 20]].concat();
        let mapped = [&Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped().octets()[..], &[0; 20]].concat();
        let noop = [&FOUR[..], &[4, 0, 2, 0, 0], &[0x20, 0, 0]].concat();
        for (what, family, rest, expected) in [
            (0x21, 0x11, &FOUR[..], at("192.0.2.7")),
            (0x21, 0x11, &noop, at("192.0.2.7")),
            (0x21, 0x21, &six, at("2001:db8::7")),
            (0x21, 0x21, &mapped, at("192.0.2.7")),
            (0x21, 0x31, &[0; 216], Ok(Source::Client(None))),
            (0x21, 0x00, &[], Ok(Source::Proxy)),
            (0x20, 0x00, &[], Ok(Source::Proxy)),
            (0x20, 0x11, &FOUR, Ok(Source::Proxy)),
            (0x20, 0x77, &[1, 2, 3], Ok(Source::Proxy)),
            (0x21, 0x12, &FOUR, Err("the addresses are of a kind that no connection has")),
            (0x21, 0x11, &FOUR[..11], Err("the addresses are cut off")),
            (0x21, 0x11, &[&FOUR[..], &[4, 0]].concat(), Err("a value is cut off")),
            (0x21, 0x11, &[&FOUR[..], &[4, 0, 2, 0]].concat(), Err("a value is cut off")),
            (0x22, 0x11, &FOUR, Err("neither PROXY nor LOCAL of version 2")),
            (0x11, 0x11, &FOUR, Err("neither PROXY nor LOCAL of version 2")),
        ] {
            assert_eq!(parse(&header(what, family, rest)), expected, "{what:x} {family:x} {rest:?}");
        }
        let long = header(0x21, 0x11, &FOUR);
        for cut in 0..long.len() {
            assert!(parse(&long[..cut]).is_err(), "{cut}");
        }
        assert!(parse(&[&long[..], b"G"].concat()).is_err(), "it ends where it says");
    }

    #[test]
    fn a_checksum_must_be_right_where_there_is_one() {
        assert_eq!(crc32c(b"123456789", 0..0), 0xe306_9283, "RFC 3720's own example");
        let mut whole = header(0x21, 0x11, &[&FOUR[..], &[CRC32C, 0, 4, 0, 0, 0, 0], &[4, 0, 0]].concat());
        let sum = crc32c(&whole, 31..35);
        whole[31..35].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(parse(&whole), at("192.0.2.7"));
        for spoilt in [16, 31, 35] {
            whole[spoilt] ^= 1;
            assert!(parse(&whole).is_err(), "{spoilt}");
            whole[spoilt] ^= 1;
        }
        let short = header(0x21, 0x11, &[&FOUR[..], &[CRC32C, 0, 3, 0, 0, 0]].concat());
        assert_eq!(parse(&short), Err("the checksum has four bytes"));
    }

    #[test]
    fn version_1_is_one_strict_line() {
        for (line, expected) in [
            ("PROXY TCP4 192.0.2.7 192.0.2.8 1234 443\r\n", at("192.0.2.7")),
            ("PROXY TCP6 2001:db8::7 ::1 1234 443\r\n", at("2001:db8::7")),
            ("PROXY UNKNOWN\r\n", Ok(Source::Proxy)),
            ("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", Ok(Source::Proxy)),
        ] {
            assert_eq!(parse(line.as_bytes()), expected, "{line}");
        }
        for line in [
            "",
            "GET / HTTP/1.1\r\n",
            "PROXY\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.8 1234 443\n",
            "PROXY TCP4 192.0.2.7 192.0.2.8 1234 443 \r\n",
            "PROXY TCP4  192.0.2.7 192.0.2.8 1234 443\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.8 1234 65536\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.8 1234 +443\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.8 1234\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 192.0.2.7 192.0.2.8 1234 443\r\n",
            "PROXY TCP5 192.0.2.7 192.0.2.8 1234 443\r\n",
            "proxy TCP4 192.0.2.7 192.0.2.8 1234 443\r\n",
        ] {
            assert!(parse(line.as_bytes()).is_err(), "{line}");
        }
    }

    #[tokio::test]
    async fn nothing_behind_a_header_is_read_and_no_more_than_its_bound() {
        for (sent, left) in [
            (header(0x21, 0x11, &FOUR), Some(&b"GET"[..])),
            (b"PROXY TCP4 192.0.2.7 192.0.2.8 1234 443\r\n".to_vec(), Some(b"GET")),
            (b"PROXY UNKNOWN\r\n".to_vec(), Some(b"GET")),
            (b"GET / HTTP/1.1\r\n\r\n".to_vec(), None),
            ([b"PROXY ".to_vec(), vec![b'x'; 200]].concat(), None),
            ([header(0x21, 0x11, &[])[..14].to_vec(), vec![0xff; 2]].concat(), None),
        ] {
            let bytes = [&sent[..], b"GET"].concat();
            let mut stream = &bytes[..];
            let told = read(&mut stream).await;
            match left {
                Some(left) => assert_eq!((told.is_ok(), stream), (true, left)),
                None => assert!(told.is_err_and(|e| e.kind() == io::ErrorKind::InvalidData) && !stream.is_empty()),
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(rest in proptest::collection::vec(proptest::num::u8::ANY, 0..300), what in 0x1f_u8..0x23) {
            let _ = (parse(&rest), parse(&[&SIGNATURE[..], &[what], &rest].concat()));
            for family in [0, 0x11, 0x21, 0x31] {
                let _ = parse(&header(what, family, &rest));
            }
        }
    }
}

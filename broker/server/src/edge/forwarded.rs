//! Who asks when a proxy asks for others: `X-Forwarded-For`, or `Forwarded` (RFC 7239).
//!
//! A header is believed from the right, as far as trusted proxies wrote it: the first address that is
//! none of theirs is the client's. What stands to its left anybody may have written, and nobody
//! reads it. Invariant: a header from somebody who is not trusted changes nothing.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, header};
use warder_core::{
    error::{Error, ErrorKind},
    identity::Peer,
};

use crate::config::{ForwardedConfig, ForwardedHeader};

/// Most proxies and clients that a request names.
const MAX_HOPS: usize = 32;
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The peer as the request's header has it, where it is one that is believed.
///
/// # Errors
/// `invalid_request` at the header, when a trusted proxy's part of it is malformed: the client would
/// pass for its proxy otherwise.
pub(crate) fn client(headers: &HeaderMap, believed: &ForwardedConfig, peer: &Peer) -> Result<Peer, Error> {
    let mut peer = peer.clone();
    if believed.trusted.is_empty() || !believed.trusted.contains(peer.address) {
        return Ok(peer);
    }
    let (name, shown, node): (_, _, fn(&str) -> Option<Node>) = match believed.header {
        ForwardedHeader::XForwardedFor => (X_FORWARDED_FOR, "X-Forwarded-For", node),
        ForwardedHeader::Forwarded => (header::FORWARDED, "Forwarded", element),
    };
    let wrong = |words: String| Error::new(ErrorKind::InvalidRequest, words).at(shown);
    let hops = hops(headers, &name).ok_or_else(|| wrong("malformed".to_owned()))?;
    if hops.len() > MAX_HOPS {
        return Err(wrong(format!("more than {MAX_HOPS} addresses")));
    }
    let direct = peer.address;
    for hop in hops.iter().rev() {
        let Node(address) = node(hop).ok_or_else(|| wrong("expected addresses".to_owned()))?;
        peer.address = address;
        if address.is_none() || !believed.trusted.contains(address) {
            break;
        }
    }
    if !hops.is_empty() {
        peer.via = peer.via.or(direct);
    }
    Ok(peer)
}

/// Somebody on the way: an address, or somebody whose address the proxy does not tell.
struct Node(Option<IpAddr>);

/// What stands between the commas of all lines; commas in quotes are none.
fn hops<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Vec<&'h str>> {
    let mut hops = Vec::new();
    for line in headers.get_all(name) {
        let parts = split(line.to_str().ok()?, ',')?;
        hops.extend(parts.into_iter().map(str::trim).filter(|part| !part.is_empty()));
    }
    Some(hops)
}

/// Splits outside of quotes; none when a quote has no end.
fn split(text: &str, at: char) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (place, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == at && !quoted => {
                parts.push(text.get(start..place)?);
                start = place + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(text.get(start..)?);
    (!quoted).then_some(parts)
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80` or `unknown`.
fn node(text: &str) -> Option<Node> {
    if text.eq_ignore_ascii_case("unknown") {
        return Some(Node(None));
    }
    let address = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            let fits = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
            IpAddr::V6(address.parse().ok().filter(|_| fits)?)
        }
        None => match text.split_once(':') {
            Some((address, port)) if is_port(port) && address.contains('.') => IpAddr::V4(address.parse().ok()?),
            _ => text.parse().ok()?,
        },
    };
    Some(Node(Some(address.to_canonical())))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// `for=192.0.2.1;proto=https`: one `for`, or somebody unknown.
fn element(text: &str) -> Option<Node> {
    let mut found = None;
    for pair in split(text, ';')? {
        let (name, value) = pair.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("for") && found.replace(value.trim()).is_some() {
            return None;
        }
    }
    let Some(value) = found else { return Some(Node(None)) };
    let plain = match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').filter(|inner| !inner.contains(['\\', '"']))?,
        None => value,
    };
    // A name that the proxy made up, so as not to tell.
    if plain.starts_with('_') { Some(Node(None)) } else { node(plain) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Networks;

    const PROXIES: [&str; 2] = ["10.0.0.0/8", "2001:db8:f::/48"];

    fn seen(header: ForwardedHeader, direct: Option<&str>, lines: &[&str]) -> Result<(Option<String>, bool), String> {
        let believed = ForwardedConfig { trusted: Networks::parse(PROXIES).unwrap(), header };
        let name = if header == ForwardedHeader::Forwarded { header::FORWARDED } else { X_FORWARDED_FOR };
        let mut headers = HeaderMap::new();
        lines.iter().for_each(|line| _ = headers.append(&name, line.parse().unwrap()));
        let peer = Peer { address: direct.map(|text| text.parse().unwrap()), ..Peer::default() };
        let peer = client(&headers, &believed, &peer).map_err(|e| e.detail.into_owned())?;
        Ok((peer.address.map(|address| address.to_string()), peer.via.is_some()))
    }

    #[test]
    fn the_right_most_address_that_is_not_trusted_is_the_clients() {
        for (direct, lines, expected) in [
            ("10.0.0.1", &[][..], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1", &["6.6.6.6, 192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1", &["6.6.6.6", "192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1", &["no address, 192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1", &["192.0.2.7, 10.9.9.9"], "192.0.2.7"),
            ("10.0.0.1", &["6.6.6.6, 192.0.2.7, 10.9.9.9,2001:db8:f::1"], "192.0.2.7"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["192.0.2.7:4711"], "192.0.2.7"),
            ("10.0.0.1", &["2001:db8::7"], "2001:db8::7"),
            ("10.0.0.1", &["[2001:db8::7]:80"], "2001:db8::7"),
            ("10.0.0.1", &["::ffff:192.0.2.7"], "192.0.2.7"),
            ("192.0.2.9", &["127.0.0.1"], "192.0.2.9"),
            ("192.0.2.9", &["nonsense"], "192.0.2.9"),
        ] {
            let told = seen(ForwardedHeader::XForwardedFor, Some(direct), lines);
            let via = !lines.is_empty() && direct.starts_with("10.");
            assert_eq!(told, Ok((Some(expected.to_owned()), via)), "{direct} {lines:?}");
        }
        assert_eq!(seen(ForwardedHeader::XForwardedFor, Some("10.0.0.1"), &["127.0.0.1, unknown"]), Ok((None, true)));
        assert_eq!(seen(ForwardedHeader::XForwardedFor, None, &["127.0.0.1"]), Ok((None, false)), "a unix socket");
    }

    #[test]
    fn forwarded_is_read_as_its_rfc_has_it() {
        for (line, expected) in [
            ("for=192.0.2.7", Some("192.0.2.7")),
            ("For=\"[2001:db8::7]:4711\";proto=https;by=10.0.0.1", Some("2001:db8::7")),
            ("for=6.6.6.6, proto=http;for=192.0.2.7, for=10.0.0.2", Some("192.0.2.7")),
            ("for=\"a,b\", for=192.0.2.7", Some("192.0.2.7")),
            ("for=_hidden", None),
            ("for=unknown, for=10.0.0.2", None),
            ("proto=https", None),
        ] {
            let told = seen(ForwardedHeader::Forwarded, Some("10.0.0.1"), &[line]);
            assert_eq!(told, Ok((expected.map(str::to_owned), true)), "{line}");
        }
    }

    #[test]
    fn what_a_trusted_proxy_garbles_is_refused() {
        use ForwardedHeader::{Forwarded, XForwardedFor};
        for (header, line) in [
            (XForwardedFor, "nonsense"),
            (XForwardedFor, "192.0.2.7, 10.0.0"),
            (XForwardedFor, "192.0.2.7:x"),
            (XForwardedFor, "[192.0.2.7]"),
            (XForwardedFor, "[::1"),
            (XForwardedFor, "::1%eth0"),
            (Forwarded, "192.0.2.7"),
            (Forwarded, "for=\"192.0.2.7"),
            (Forwarded, "for=\", for=192.0.2.7"),
            (Forwarded, "for=192.0.2.7;for=127.0.0.1"),
            (Forwarded, "for=nobody"),
        ] {
            assert!(seen(header, Some("10.0.0.1"), &[line]).is_err(), "{line}");
        }
        let many = ["10.0.0.2"; MAX_HOPS + 1].join(",");
        assert_eq!(seen(XForwardedFor, Some("10.0.0.1"), &[&many]), Err("more than 32 addresses".to_owned()));
    }
}

//! Where a server is.

use std::path::PathBuf;

use http::Uri;

use crate::error::Error;

/// An address, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// As it was written, for errors.
    pub(crate) text: String,
    pub(crate) place: Place,
    /// What requests name.
    pub(crate) origin: Uri,
    pub(crate) secure: bool,
}

/// What is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Host(String, u16),
    Socket(PathBuf),
}

impl Target {
    /// `http://HOST:PORT`, `https://HOST:PORT` or `unix:PATH`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let bad = || {
            let forms = "expected http://HOST:PORT, https://HOST:PORT or unix:/PATH";
            Error::usage(format!("bad address {text}: {forms}"))
        };
        if let Some(path) = text.strip_prefix("unix:") {
            let place = Place::Socket(PathBuf::from(path.strip_prefix("//").unwrap_or(path)));
            let origin = Uri::from_static("http://localhost");
            let named = path.starts_with('/');
            return if named { Ok(Self { text: text.to_owned(), place, origin, secure: false }) } else { Err(bad()) };
        }
        let uri: Uri = text.trim_end_matches('/').parse().map_err(|_| bad())?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(bad()),
        };
        if uri.path_and_query().is_some_and(|path| path.as_str() != "/") {
            return Err(bad());
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(bad)?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Self { text: text.to_owned(), place: Place::Host(host, port), origin: uri, secure })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let host = |host: &str, port| Place::Host(host.to_owned(), port);
        for (text, place, secure) in [
            ("http://a:8080", host("a", 8080), false),
            ("https://a", host("a", 443), true),
            ("https://[::1]:8200/", host("::1", 8200), true),
            ("unix:/run/warder.sock", Place::Socket("/run/warder.sock".into()), false),
            ("unix:///run/warder.sock", Place::Socket("/run/warder.sock".into()), false),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!((target.place, target.secure), (place, secure), "{text}");
        }
        for bad in ["", "a:8080", "ftp://a", "http://", "http://a/path", "unix:relative", "unix:"] {
            assert_eq!(Target::parse(bad).unwrap_err().code(), "usage", "{bad}");
        }
    }
}

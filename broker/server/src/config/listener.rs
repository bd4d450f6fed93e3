//! A listener: its address, its TLS, and whom it believes; with the rows of its options.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
};

use super::{
    Config,
    network::Networks,
    options::{Opt, option},
    value::{Field, Parsed, file, word},
};

/// Longest path of a unix socket, bytes: `sun_path` of unix(7) without its last zero.
const MAX_SOCKET_PATH: usize = 107;

/// One listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Where.
    pub address: Address,
    /// Serves plain HTTP: tokens and secrets cross the network readable.
    pub tls_disable: bool,
    /// Certificate and key, unless it is plain.
    pub tls: TlsConfig,
    /// Who may use a unix socket.
    pub socket: SocketConfig,
    /// Who begins each connection with a header of the PROXY protocol; nobody else is served, unless
    /// there are none.
    pub proxy_protocol: Networks,
    /// Who is believed about the client's address, request by request.
    pub forwarded: ForwardedConfig,
}

impl ListenerConfig {
    /// Whether clients speak no TLS: a unix socket needs none.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.tls_disable || matches!(self.address, Address::Unix(_))
    }
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Address and port; port 0 takes a free one.
    Tcp(SocketAddr),
    /// A unix socket, by its absolute path.
    Unix(PathBuf),
}

impl Default for Address {
    fn default() -> Self {
        Self::Tcp((Ipv4Addr::LOCALHOST, 8200).into())
    }
}

/// As the configuration has it: `127.0.0.1:8200`, `unix:/run/warder/warder.sock`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Who may use a unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketConfig {
    /// Permission bits of its file.
    pub mode: Mode,
    /// Whose its file is; the process's own otherwise.
    pub owner: Option<Owner>,
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self { mode: Mode(0o600), owner: None }
    }
}

/// Permission bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u32);

/// A user, a group, or both, by name or number: `warder:clients`, `warder`, `:clients`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub user: Option<String>,
    /// The group.
    pub group: Option<String>,
}

/// Who is believed about the client's address, and which header says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardedConfig {
    /// Proxies.
    pub trusted: Networks,
    /// What they send; the other header is ignored.
    pub header: ForwardedHeader,
}

/// The header that names clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
}

/// TLS of a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// PEM file: the certificate, then its chain.
    pub cert_file: PathBuf,
    /// PEM file: the private key.
    pub key_file: PathBuf,
    /// PEM file: CAs whose certificates clients show. Without it clients show none.
    pub client_ca_file: Option<PathBuf>,
    /// Whether clients must show one.
    pub client_auth: ClientAuth,
    /// Oldest TLS that is spoken.
    pub min_version: TlsVersion,
}

/// Whether clients must show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// They may; a bad one is refused.
    Optional,
    /// Without one the handshake fails.
    #[default]
    Required,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246, for clients that speak nothing newer.
    V1_2,
    /// RFC 8446.
    #[default]
    V1_3,
}

/// The path of its section: `listener`, or `listener.NAME` for one with a name.
#[must_use]
pub fn section(name: &str) -> String {
    if name.is_empty() { "listener".to_owned() } else { format!("listener.{name}") }
}

/// The rows of a listener, behind that of its address.
macro_rules! rows {
    ($address:expr) => {
        &[
            $address,
            option("tls_disable", "Serves plain HTTP: tokens and secrets cross the network readable.", |c, name| {
                Field::Flag(&mut listener(c, name).tls_disable)
            })
            .switch(),
            option("tls.cert_file", "PEM file: the certificate, then its chain.", |c, name| {
                tls(c, name, |t| file(&mut t.cert_file))
            })
            .required("/etc/warder/tls/cert.pem", PLAIN),
            option("tls.key_file", "PEM file: its private key.", |c, name| tls(c, name, |t| file(&mut t.key_file)))
                .required("/etc/warder/tls/key.pem", PLAIN),
            option("tls.client_ca_file", "PEM file: CAs whose certificates clients show.", |c, name| {
                tls(c, name, |t| Field::MaybeFile(&mut t.client_ca_file))
            })
            .optional("/etc/warder/tls/clients.pem")
            .switch(),
            option(
                "tls.client_auth",
                "Whether clients must show one, or only may. A bad one is refused.",
                |c, name| {
                    tls(c, name, |t| match &t.client_ca_file {
                        Some(_) => word(&mut t.client_auth, CLIENT_AUTH),
                        None => Field::Absent("there is no tls.client_ca_file"),
                    })
                },
            ),
            option("tls.min_version", "Oldest TLS that is spoken.", |c, name| {
                tls(c, name, |t| word(&mut t.min_version, TLS_VERSIONS))
            }),
            option("socket_mode", "Permissions of the socket's file: who may write to it may connect.", |c, name| {
                socket(c, name, |s| Field::Parsed(&mut s.mode))
            }),
            option("socket_owner", "Whose the socket's file is; the process's own otherwise.", |c, name| {
                socket(c, name, |s| Field::Parsed(&mut s.owner))
            })
            .optional("warder:clients"),
            option("proxy_protocol.trusted", PROXY_PROTOCOL, |c, name| {
                Field::Networks(&mut listener(c, name).proxy_protocol)
            })
            .optional("10.0.0.0/8"),
            option("forwarded.trusted", FORWARDED, |c, name| Field::Networks(&mut listener(c, name).forwarded.trusted))
                .optional("10.0.0.0/8")
                .switch(),
            option("forwarded.header", "The header that they send; the other one is ignored.", |c, name| {
                let forwarded = &mut listener(c, name).forwarded;
                match forwarded.trusted.is_empty() {
                    true => Field::Absent("there is no forwarded.trusted"),
                    false => word(&mut forwarded.header, HEADERS),
                }
            }),
        ]
    };
}

/// The listener without a name.
pub(super) static ONE: &[Opt] =
    rows!(option("address", "Address and port, or the path of a unix socket; port 0 takes a free one.", |c, name| {
        Field::Address(&mut listener(c, name).address)
    }));

/// Those with a name: they have no address unless they are given one.
pub(super) static NAMED: &[Opt] = rows!(
    option("address", "Address and port, or the path of a unix socket; port 0 takes a free one.", |c, name| {
        Field::Address(&mut listener(c, name).address)
    })
    .required("unix:/run/warder/warder.sock", "")
);

const CLIENT_AUTH: &[(&str, ClientAuth)] = &[("required", ClientAuth::Required), ("optional", ClientAuth::Optional)];
const TLS_VERSIONS: &[(&str, TlsVersion)] = &[("1.3", TlsVersion::V1_3), ("1.2", TlsVersion::V1_2)];
const HEADERS: &[(&str, ForwardedHeader)] =
    &[("x-forwarded-for", ForwardedHeader::XForwardedFor), ("forwarded", ForwardedHeader::Forwarded)];
const PROXY_PROTOCOL: &str =
    "Proxies that begin each connection with a PROXY protocol header; nobody else is served then.";
const FORWARDED: &str = "Proxies that are believed about whom they ask for; others' headers are ignored.";
const PLAIN: &str = "; for plain HTTP set tls_disable = true beside the address";

fn listener<'a>(config: &'a mut Config, name: &str) -> &'a mut ListenerConfig {
    config.listeners.entry(name.to_owned()).or_default()
}

fn tls<'a>(config: &'a mut Config, name: &str, field: fn(&'a mut TlsConfig) -> Field<'a>) -> Field<'a> {
    let listener = listener(config, name);
    match (listener.tls_disable, &listener.address) {
        (_, Address::Unix(_)) => Field::Absent("a unix socket is served without TLS"),
        (true, _) => Field::Absent("tls_disable is true: keep one of them"),
        (false, _) => field(&mut listener.tls),
    }
}

fn socket<'a>(config: &'a mut Config, name: &str, field: fn(&'a mut SocketConfig) -> Field<'a>) -> Field<'a> {
    let listener = listener(config, name);
    match listener.address {
        Address::Unix(_) => field(&mut listener.socket),
        Address::Tcp(_) => Field::Absent("the address is no unix socket"),
    }
}

impl Address {
    /// Whether a text means a unix socket, well or not.
    pub(super) fn is_unix(text: &str) -> bool {
        text.starts_with("unix:")
    }
}

impl FromStr for Address {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let Some(path) = text.strip_prefix("unix:") else { return text.parse().map(Self::Tcp).map_err(|_| ()) };
        let path = path.strip_prefix("//").unwrap_or(path);
        let fits = Path::new(path).is_absolute() && path.len() <= MAX_SOCKET_PATH && !path.contains(char::is_control);
        if fits { Ok(Self::Unix(path.into())) } else { Err(()) }
    }
}

impl Parsed for Mode {
    fn read(&mut self, text: &str) -> Option<()> {
        let digits = (3..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| digits && *mode <= 0o777)?;
        *self = Self(mode);
        Some(())
    }

    fn shown(&self) -> Option<String> {
        Some(format!("{:04o}", self.0))
    }

    fn expected(&self) -> &'static str {
        "permissions as chmod takes them, such as \"0660\""
    }
}

impl Parsed for Option<Owner> {
    fn read(&mut self, text: &str) -> Option<()> {
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        let [user, group] = [user, group].map(|name| Some(name.to_owned()).filter(|name| !name.is_empty()));
        let plain = |name: &Option<String>| !name.as_deref().unwrap_or_default().contains([':', '/', '\n']);
        let fits = (user.is_some() || group.is_some()) && plain(&user) && plain(&group);
        *self = fits.then_some(Owner { user, group });
        fits.then_some(())
    }

    fn shown(&self) -> Option<String> {
        self.as_ref().map(ToString::to_string)
    }

    fn expected(&self) -> &'static str {
        "\"USER\", \"USER:GROUP\" or \":GROUP\""
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.user.as_deref().unwrap_or_default())?;
        self.group.as_ref().map_or(Ok(()), |group| write!(f, ":{group}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_port_or_a_path() {
        for (text, shown) in [
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("[::1]:8200", "[::1]:8200"),
            ("unix:/run/w.sock", "unix:/run/w.sock"),
            ("unix:///run/w.sock", "unix:/run/w.sock"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
        let long = format!("unix:/{}", "a".repeat(MAX_SOCKET_PATH));
        for text in ["", "localhost:1", "127.0.0.1", "unix:", "unix:w.sock", "unix://w.sock", "unix:/a\nb", &long] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn modes_and_owners_are_read_as_they_are_shown() {
        let (mut mode, mut owner) = (Mode(0), None);
        for (text, shown) in [("660", "0660"), ("0600", "0600"), ("0777", "0777")] {
            assert_eq!((mode.read(text), mode.shown()), (Some(()), Some(shown.to_owned())));
        }
        for text in ["", "66", "0888", "01777", "-660", "u+rw"] {
            assert_eq!(mode.read(text), None, "{text}");
        }
        for text in ["warder", "warder:clients", ":clients", "0:0"] {
            assert_eq!((owner.read(text), owner.shown()), (Some(()), Some(text.to_owned())));
        }
        for text in ["", ":", "a:b:c", "a\nb"] {
            assert_eq!(owner.read(text), None, "{text}");
        }
    }
}

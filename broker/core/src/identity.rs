//! Who asks.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use crate::{clock::Timestamp, forms::Forms};

/// What kind of token an identity came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// Self-contained and encrypted: no storage, no renewal, no revocation.
    Batch,
    /// Stored, renewable, revocable.
    Service,
}

/// An authenticated caller. Made by `authn` alone; it holds no credential.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Handle of a stored token (lower-case hex digest of the token under the barrier's salt);
    /// empty for batch tokens.
    pub digest: String,
    /// The token whose end ends what this one was given, as a handle: itself, or a batch token's
    /// parent; empty: none does.
    pub holder: String,
    /// Accessor of the token; empty for batch tokens.
    pub accessor: String,
    /// Policy names, sorted, `default` included unless opted out.
    pub policies: Vec<String>,
    /// Name for people, e.g. `token-ci`.
    pub display_name: String,
    /// The path that issued the token, e.g. `auth/token/create`.
    pub path: String,
    /// Metadata of the login or of the token.
    pub metadata: BTreeMap<String, String>,
    /// Entity behind the alias, when there is one.
    pub entity_id: Option<String>,
    /// Service or batch.
    pub kind: TokenKind,
    /// Uses are counted: `Tokens::spend` must run before anything happens.
    pub counted: bool,
    /// No parent.
    pub orphan: bool,
    /// End of the token; none for root.
    pub expires: Option<Timestamp>,
    /// How audit records name it, once one has.
    pub recorded: Arc<Forms>,
}

impl Identity {
    /// Whether the `root` policy is among the policies.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.policies.iter().any(|name| name == "root")
    }
}

/// The other end of the connection.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// Address of the caller, none on a unix socket.
    pub address: Option<IpAddr>,
    /// Address of the proxy that asks for it, when one does.
    pub via: Option<IpAddr>,
    /// PEM chain shown by the client, leaf first; empty without mutual TLS.
    pub certificates: Vec<String>,
}

/// What counts as one client: an address of version 4, or a network of 64 bits of version 6, of
/// which everybody has all.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_version_6_is_one_client_and_a_mapped_address_the_one_of_version_4() {
        for (address, expected) in [
            ("10.1.2.3", "10.1.2.3"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:3:3:4:5:6", "2001:db8:1:3::"),
        ] {
            assert_eq!(network(address.parse().unwrap()), expected.parse::<IpAddr>().unwrap(), "{address}");
        }
    }
}

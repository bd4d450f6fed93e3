//! The Rust client of `proto/client` against the real binary: what it says, what it repeats and what
//! it does not, and how it keeps a token alive.

mod calls;
mod effects;
mod relay;
mod renewal;
mod repetition;
mod tls;
mod watch;

use std::time::Duration;

use warder_client::{Client, Token};
use warder_testkit::{Failure, Result, Warder};

/// Longer than anything here takes, also in a debug build on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A client of this server, or of what stands before it, with the root token.
pub(crate) fn root(address: &str) -> Result<Client> {
    let builder = Client::builder(address).token(Token::new("root")).deadline(PATIENCE);
    builder.build().map_err(|why| Failure::new("build a client", why))
}

pub(crate) fn url(warder: &Warder) -> String {
    format!("http://{}", warder.address())
}

/// An answer, or a failure that says what was asked.
pub(crate) fn told<T>(what: &str, answered: warder_client::Result<T>) -> Result<T> {
    answered.map_err(|why| Failure::new(what, why))
}

//! A typed client of Warder's gRPC API, `warder.v1`.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use warder_client::{Client, Token};
//!
//! let client = Client::builder("https://warder.example:8200")
//!     .ca_file("/etc/warder/ca.pem")
//!     .token(Token::from_file("/run/secrets/warder-token")?)
//!     .build()?;
//! let _renewal = client.renew_in_background();
//!
//! #[derive(serde::Deserialize)]
//! struct Database {
//!     username: String,
//! }
//! let secret = client.get("database/postgres").await?;
//! let database: Database = secret.value.parse()?;
//! println!("{} at version {:?}", database.username, secret.version);
//!
//! match client.get("database/none").await {
//!     Err(error) if error.code() == "not_found" => println!("request {:?}", error.request_id()),
//!     other => drop(other?),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Client::get`] and its like are for secrets; every method of every service is there as well, with
//! the messages of [`proto`]: `client.tokens().create(..)`.
//!
//! **Calls** wait for an answer for 30 seconds in all (`grpc-timeout` tells the server), over a
//! connection that is opened when one is needed and shared by all clones.
//!
//! **Repetition.** A call is repeated within that time, after a pause that grows and has jitter, when
//! the server could not answer now: for any call where nothing was done (the connection was refused,
//! the server said UNAVAILABLE, or RESOURCE_EXHAUSTED with the seconds to wait), and for calls that
//! change nothing also when the connection broke before the answer. A write whose answer was lost is
//! not repeated: [`Error::may_be_done`].
//!
//! **Tokens** are renewed by [`Client::renew_in_background`]; with a [`Builder::login`] hook a token
//! that ended is replaced, too.
//!
//! **Watching.** [`Client::watch`] goes on by itself after a cut or a restart, from the last revision,
//! and says when changes were lost.
//!
//! Values and tokens are in types of their own that never print them and overwrite them at the end.
//! The buffers of HTTP/2 and TLS are not overwritten.

mod builder;
mod call;
mod client;
mod credentials;
mod error;
mod renewal;
mod retry;
mod secret;
mod services;
mod target;
mod tls;
mod watch;
mod wire;

pub use builder::Builder;
pub use client::{Client, Written};
pub use credentials::Token;
pub use error::{Error, Violation};
pub use renewal::Renewal;
pub use retry::Retry;
pub use secret::{Secret, Value};
pub use services::{AuditApi, AuthApi, LeasesApi, LimitsApi, MountsApi, PoliciesApi, SecretsApi, SysApi, TokensApi};
pub use watch::{Event, Watch};

/// The messages of `warder.v1`.
pub use warder_proto::v1 as proto;

/// Result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

//! Seals: what opens the barrier. Each kind implements core's seal port; the composition root
//! gets one from [`crate::open`].
//!
//! Invariant: the kind that initialized a store is the only one that opens it: its name and
//! numbers are stored plainly at `barrier/seal` and authenticated by the keyring.
//!
//! To add a kind: a file with a type that implements core's `Seal`, a variant of [`SealConfig`]
//! and a line in [`KINDS`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use warder_core::port::seal::{Quorum, Seal};

use crate::{
    barrier::{Barrier, SEAL_KEY, UnsealError},
    engine::{EngineConfig, EngineError},
};

mod dev;
mod field;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod shamir;
mod sharing;

/// What opens the barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealConfig {
    /// Opens by itself from a key beside the store (`dev-seal.key`, mode 0600), or from memory
    /// for the memory engine. Protects nothing: for development only.
    Dev,
    /// `threshold` of `shares` people, each holding one share of the root key.
    Shamir,
}

/// What a kind is opened with.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The barrier to open.
    pub(crate) barrier: Arc<Barrier>,
    /// None before `init`.
    pub(crate) record: Option<SealRecord>,
    /// Where a kind may keep a key.
    pub(crate) engine: EngineConfig,
}

/// How a seal of one kind is opened.
pub type Opener = fn(Opening) -> Result<Opened, SealError>;

/// A seal, as both of core's ports see it.
pub type Opened = (Arc<dyn Seal>, Arc<dyn Quorum>);

/// Every kind by name.
pub const KINDS: &[(&str, Opener)] = &[("dev", dev::open), ("shamir", shamir::open)];

impl SealConfig {
    /// The name of its kind in [`KINDS`].
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Shamir => "shamir",
        }
    }
}

/// The record at `barrier/seal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SealNumbers {
    pub(crate) shares: u8,
    pub(crate) threshold: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SealRecord {
    format: u32,
    kind: String,
    #[serde(rename = "split")]
    pub(crate) numbers: SealNumbers,
}

/// Why a seal was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Another kind initialized this store.
    #[error("the store was initialized with the seal {found}, but {configured} is configured")]
    AnotherKind {
        /// As configured.
        configured: &'static str,
        /// As stored.
        found: String,
    },
    /// The record at `barrier/seal` does not parse.
    #[error("the store's seal record is damaged")]
    Damaged {
        /// Where.
        #[source]
        source: serde_json::Error,
    },
    /// The dev key is there but is not one, or cannot be read.
    #[error("the dev seal's key {path} {what}")]
    DevKey {
        /// The file.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// Storage does not answer.
    #[error("the seal record cannot be read")]
    Engine(#[from] EngineError),
    /// The keyring does not open with the dev key.
    #[error("the store does not open")]
    Unseal(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No such seal, or a format of another version.
    #[error("there is no seal {kind} of format {format}")]
    Unknown {
        /// Kind.
        kind: String,
        /// Format.
        format: u32,
    },
}

impl From<UnsealError> for SealError {
    fn from(error: UnsealError) -> Self {
        Self::Unseal(Box::new(error))
    }
}

const FORMAT: u32 = 1;

impl SealRecord {
    pub(crate) fn new(kind: &str, numbers: SealNumbers) -> Self {
        Self { format: FORMAT, kind: kind.to_owned(), numbers }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        // Two small numbers and a word: nothing here can fail to be JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }

    fn decode(bytes: &[u8], configured: &'static str) -> Result<Self, SealError> {
        let record: Self = serde_json::from_slice(bytes).map_err(|source| SealError::Damaged { source })?;
        if record.format != FORMAT {
            return Err(SealError::Unknown { kind: record.kind, format: record.format });
        }
        if record.kind != configured {
            return Err(SealError::AnotherKind { configured, found: record.kind });
        }
        Ok(record)
    }
}

/// Whether this is the record of such a seal.
pub(crate) fn is(record: &[u8], kind: &str) -> bool {
    serde_json::from_slice::<SealRecord>(record).is_ok_and(|record| record.kind == kind)
}

/// The configured seal over `barrier`; a store that another kind initialized is refused.
pub(crate) async fn open(
    config: SealConfig,
    barrier: &Arc<Barrier>,
    engine: EngineConfig,
) -> Result<Opened, SealError> {
    let stored = barrier.engine().view().await?.get(SEAL_KEY).await?;
    let record = stored.map(|stored| SealRecord::decode(&stored.bytes, config.kind())).transpose()?;
    let initialized = record.is_some();
    let known = KINDS.iter().find(|(name, _)| *name == config.kind());
    let Some((_, open)) = known else {
        return Err(SealError::Unknown { kind: config.kind().to_owned(), format: FORMAT });
    };
    let (seal, quorum) = open(Opening { barrier: Arc::clone(barrier), record, engine })?;
    if config == SealConfig::Dev && initialized {
        dev::open_by_itself(&*seal).await?;
    }
    Ok((seal, quorum))
}

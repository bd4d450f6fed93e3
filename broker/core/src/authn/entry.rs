//! What is stored of a token, and the identity it stands for.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::keys::Digest;
use crate::{
    clock::Timestamp,
    error::{Error, Result},
    identity::{Identity, TokenKind},
    secret::Secret,
};

/// A token, without its text. Durations in whole seconds, moments in milliseconds.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    pub accessor: String,
    pub policies: Vec<String>,
    pub path: String,
    pub display_name: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Digest>,
    pub kind: TokenKind,
    pub issued: Timestamp,
    pub creation_ttl: u64,
    /// Last granted time to live.
    pub ttl: u64,
    pub explicit_max_ttl: u64,
    pub period: u64,
    pub renewable: bool,
    pub expires: Option<Timestamp>,
    /// When it is to be removed: `expires`, or the moment of the last use.
    pub due: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed: Option<Timestamp>,
    /// Uses are counted.
    pub counted: bool,
    /// Uses left, when counted.
    pub num_uses: u32,
}

impl Entry {
    pub(super) fn parse(value: &Secret) -> Result<Self> {
        serde_json::from_slice(value.expose()).map_err(Error::internal)
    }

    pub(super) fn to_json(&self) -> Result<Secret> {
        crate::request::document(self)
    }

    /// Neither expired nor spent.
    pub(super) fn lives(&self, now: Timestamp) -> bool {
        !self.spent() && self.expires.is_none_or(|expires| now < expires)
    }

    pub(super) const fn spent(&self) -> bool {
        self.counted && self.num_uses == 0
    }

    pub(super) fn left(&self, now: Timestamp) -> Duration {
        self.expires.map_or(Duration::ZERO, |expires| Duration::from_secs(now.until(expires).as_secs()))
    }

    pub(super) fn is_root(&self) -> bool {
        self.policies.iter().any(|name| name == "root")
    }

    pub(super) fn identity(&self, digest: String) -> Arc<Identity> {
        let parent = || self.parent.map(|parent| parent.to_string()).unwrap_or_default();
        Arc::new(Identity {
            holder: if digest.is_empty() { parent() } else { digest.clone() },
            digest,
            accessor: self.accessor.clone(),
            policies: self.policies.clone(),
            display_name: self.display_name.clone(),
            path: self.path.clone(),
            metadata: self.meta.clone(),
            entity_id: self.entity_id.clone(),
            kind: self.kind,
            counted: self.counted,
            orphan: self.parent.is_none(),
            expires: self.expires,
            recorded: Arc::default(),
        })
    }
}

/// A parsed entry with its identity, made once.
pub(super) struct Known {
    pub entry: Entry,
    pub identity: Arc<Identity>,
}

impl Known {
    pub(super) fn parse(digest: Digest, value: &Secret) -> Result<Self> {
        let entry = Entry::parse(value)?;
        let identity = entry.identity(digest.to_string());
        Ok(Self { entry, identity })
    }

    /// Shares nothing with the original.
    pub(super) fn copy(original: &Arc<Self>) -> Arc<Self> {
        let identity = Identity { recorded: Arc::default(), ..Identity::clone(&original.identity) };
        Arc::new(Self { entry: original.entry.clone(), identity: Arc::new(identity) })
    }
}

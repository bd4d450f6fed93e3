//! What is known of a token, as the compatible API shows it.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

use super::{
    Tokens, Which,
    entry::{Entry, Known},
    keys::{self, Digest},
    refusal::Refusal,
    text,
};
use crate::{
    clock::Timestamp,
    error::Result,
    identity::TokenKind,
    request::{Document, document},
    secret::Secret,
};

/// Accessors read at a time.
const PAGE: usize = 1000;

impl Tokens {
    /// The data of a token; its text is in it unless it was named by its accessor.
    ///
    /// # Errors
    /// `permission_denied` (`bad token`), `invalid_request` (`invalid accessor`), or what
    /// storage says.
    pub async fn lookup(&self, which: Which<'_>) -> Result<Document> {
        let now = self.clock.now();
        match which {
            Which::Own(_, token) | Which::Token(token) if let Some(body) = text::batch_body(token) => {
                let entry = self.open_batch(body).await?.filter(|entry| entry.lives(now));
                document(&Data::of(&entry.ok_or(Refusal::BadToken)?, Some(token), now))
            }
            Which::Accessor(_) => document(&Data::of(&self.known(which).await?.1.entry, None, now)),
            // The caller's own token may just have been spent by this very request.
            Which::Own(_, token) | Which::Token(token) => {
                document(&Data::of(&self.known(which).await?.1.entry, Some(token), now))
            }
        }
    }

    /// The policies of a token.
    ///
    /// # Errors
    /// As [`Tokens::lookup`].
    pub async fn policies_of(&self, which: Which<'_>) -> Result<Vec<String>> {
        match which {
            Which::Own(identity, _) => Ok(identity.policies.clone()),
            Which::Token(token) if let Some(body) = text::batch_body(token) => {
                let entry = self.open_batch(body).await?.filter(|entry| entry.lives(self.clock.now()));
                Ok(entry.ok_or(Refusal::BadToken)?.policies)
            }
            _ => Ok(self.known(which).await?.1.entry.policies.clone()),
        }
    }

    /// The accessors of all service tokens, sorted.
    ///
    /// # Errors
    /// What storage says.
    pub async fn accessors(&self) -> Result<Vec<String>> {
        let snapshot = self.storage.snapshot().await?;
        let mut all: Vec<String> = Vec::new();
        loop {
            let page = snapshot.children(keys::ACCESSORS, all.last().map(String::as_str), PAGE).await?;
            let last = page.len() < PAGE;
            all.extend(page);
            if last {
                return Ok(all);
            }
        }
    }

    /// The stored token that is meant, alive (or, when it is the caller's own, just spent).
    pub(super) async fn known(&self, which: Which<'_>) -> Result<(Digest, Arc<Known>)> {
        let (digest, refusal) = match which {
            Which::Accessor(accessor) => (self.behind(accessor).await?, Refusal::InvalidAccessor),
            Which::Own(identity, _) => (Digest::parse(&identity.digest), Refusal::BadToken),
            Which::Token(token) => (self.digest(token).await?, Refusal::BadToken),
        };
        let digest = digest.ok_or(refusal)?;
        let known = self.recall(digest).await?.ok_or(refusal)?;
        let own = matches!(which, Which::Own(..)) && known.entry.spent();
        let lives = own || known.entry.lives(self.clock.now());
        if lives { Ok((digest, known)) } else { Err(refusal.into()) }
    }
}

#[derive(Serialize)]
struct Data<'a> {
    accessor: &'a str,
    creation_time: u64,
    creation_ttl: u64,
    display_name: &'a str,
    entity_id: &'a str,
    expire_time: Option<String>,
    explicit_max_ttl: u64,
    id: &'a str,
    issue_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_renewal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_renewal_time: Option<u64>,
    meta: Option<&'a BTreeMap<String, String>>,
    num_uses: u32,
    orphan: bool,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<u64>,
    policies: &'a [String],
    renewable: bool,
    ttl: u64,
    #[serde(rename = "type")]
    kind: TokenKind,
}

impl<'a> Data<'a> {
    fn of(entry: &'a Entry, token: Option<&'a Secret>, now: Timestamp) -> Self {
        Self {
            accessor: &entry.accessor,
            creation_time: entry.issued.0 / 1000,
            creation_ttl: entry.creation_ttl,
            display_name: &entry.display_name,
            entity_id: entry.entity_id.as_deref().unwrap_or_default(),
            expire_time: entry.expires.map(Timestamp::rfc3339),
            explicit_max_ttl: entry.explicit_max_ttl,
            id: token.and_then(Secret::expose_str).unwrap_or_default(),
            issue_time: entry.issued.rfc3339(),
            last_renewal: entry.renewed.map(Timestamp::rfc3339),
            last_renewal_time: entry.renewed.map(|renewed| renewed.0 / 1000),
            meta: (!entry.meta.is_empty()).then_some(&entry.meta),
            num_uses: entry.num_uses,
            orphan: entry.parent.is_none(),
            path: &entry.path,
            period: (entry.period > 0).then_some(entry.period),
            policies: &entry.policies,
            renewable: entry.renewable,
            ttl: entry.left(now).as_secs(),
            kind: entry.kind,
        }
    }
}

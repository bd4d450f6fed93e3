//! New tokens: who may ask for what, and how they come into being.

use std::{collections::BTreeMap, sync::atomic::Ordering, time::Duration};

use super::{
    CreateToken, Issued, TRIES, Tokens,
    entry::Entry,
    identify::mark,
    keys::{self, Digest},
    refusal::Refusal,
    rules, text,
    ttl::{self, Terms},
};
use crate::{
    error::Result,
    identity::{Identity, TokenKind},
    port::storage::{Batch, Check, Outcome, Revision, Write, get},
    request::Auth,
    secret::Secret,
};

/// The route whose tokens have no parent whoever asks: policy decides who may call it.
const ORPHAN_PATH: &str = "auth/token/create-orphan";

impl Tokens {
    /// Issues a root token that does not expire and has no parent. When `id` is given and such a
    /// token is already there, that one is returned unchanged.
    ///
    /// # Errors
    /// `invalid_request` for a bad `id` or one that belongs to a token that is no root or has
    /// ended; or what storage says.
    ///
    /// # Cancel safety
    /// Dropping the future may leave a token that nobody knows.
    pub async fn create_root(&self, id: Option<Secret>) -> Result<Issued> {
        let entry = self.rootlike()?;
        let token = chosen(id)?;
        let salt = self.salt.obtain(self.storage.as_ref()).await?;
        let digest = Digest::of(&salt, &token);
        // Looked for first: a start over a full disk has nothing to write.
        if let Some(there) = self.living_root(digest).await? {
            return Ok(self.issued(token, &there, Vec::new()));
        }
        if self.insert(digest, &entry, None).await? {
            return Ok(self.issued(token, &entry, Vec::new()));
        }
        let there = self.living_root(digest).await?;
        Ok(self.issued(token, &there.ok_or(Refusal::DuplicateId)?, Vec::new()))
    }

    async fn living_root(&self, digest: Digest) -> Result<Option<Entry>> {
        Ok(self.living(digest).await?.map(|(entry, _)| entry).filter(Entry::is_root))
    }

    /// Issues a token on behalf of `parent`. `privileged`: the caller holds sudo on `path`.
    ///
    /// Whether the policies exist is the caller's to warn about.
    ///
    /// # Errors
    /// `invalid_request` in the words of [`Refusal`] when a rule is broken, `permission_denied`
    /// when the parent is gone; or what storage says.
    ///
    /// # Cancel safety
    /// Dropping the future may leave a token that nobody knows; it ends with its parent.
    pub async fn create(&self, parent: &Identity, ask: CreateToken, privileged: bool, path: &str) -> Result<Issued> {
        if parent.kind == TokenKind::Batch {
            return Err(Refusal::BatchParent.into());
        }
        let digest = Digest::parse(&parent.digest).ok_or(Refusal::BadToken)?;
        for _ in 0..TRIES {
            let (parent, revision) = self.living(digest).await?.ok_or(Refusal::BadToken)?;
            let (entry, warnings) = self.draft(&parent, digest, &ask, privileged || parent.is_root(), path)?;
            if entry.kind == TokenKind::Batch {
                let token = self.seal_batch(&entry).await?;
                return Ok(self.created(token, &entry, warnings));
            }
            let token = chosen(ask.id.clone())?;
            let salt = self.salt.obtain(self.storage.as_ref()).await?;
            let child = Digest::of(&salt, &token);
            if self.insert(child, &entry, Some((digest, revision))).await? {
                return Ok(self.created(token, &entry, warnings));
            }
            if get(self.storage.as_ref(), &keys::id(child)).await?.is_some() {
                return Err(Refusal::DuplicateId.into());
            }
        }
        Err(Refusal::Raced.into())
    }

    /// The entry that `ask` makes, all rules kept.
    fn draft(
        &self,
        parent: &Entry,
        digest: Digest,
        ask: &CreateToken,
        privileged: bool,
        path: &str,
    ) -> Result<(Entry, Vec<String>)> {
        if parent.counted {
            return Err(Refusal::CountedParent.into());
        }
        let kind = ask.kind.unwrap_or(TokenKind::Service);
        rules::bounded(ask)?;
        rules::entitled(ask, privileged)?;
        let policies = rules::policies(parent, ask, privileged)?;
        if kind == TokenKind::Batch {
            rules::fit_for_batch(ask, &policies)?;
        }
        let orphan = ask.no_parent || path == ORPHAN_PATH;
        let mut entry = Entry {
            policies,
            path: path.to_owned(),
            display_name: rules::display_name(&ask.display_name),
            meta: ask.meta.clone(),
            entity_id: if orphan { None } else { parent.entity_id.clone() },
            parent: (!orphan).then_some(digest),
            kind,
            renewable: kind == TokenKind::Service && ask.renewable.unwrap_or(true),
            counted: ask.num_uses > 0,
            num_uses: ask.num_uses,
            ..self.blank()
        };
        let warnings = self.grant(&mut entry, ask)?;
        if entry.expires.is_none() && parent.expires.is_some() {
            return Err(Refusal::ExpiringRoot.into());
        }
        if kind == TokenKind::Service {
            entry.accessor = text::accessor()?;
        }
        Ok((entry, warnings))
    }

    /// Gives the entry its life.
    fn grant(&self, entry: &mut Entry, ask: &CreateToken) -> Result<Vec<String>, Refusal> {
        let mut warnings = Vec::new();
        let (period, mut explicit_max) = (ttl::whole(ask.period), ttl::whole(ask.explicit_max_ttl));
        if explicit_max > self.config.max_ttl {
            let seconds = explicit_max.as_secs();
            warnings.push(format!(
                "Explicit max TTL of {seconds} seconds is greater than system mount allowed value; \
                 value is being capped to system value"
            ));
            explicit_max = ttl::whole(self.config.max_ttl);
        }
        (entry.explicit_max_ttl, entry.period) = (explicit_max.as_secs(), period.as_secs());
        let endless = entry.is_root() && ask.ttl.is_zero() && period.is_zero() && explicit_max.is_zero();
        if endless {
            entry.renewable = false;
            return Ok(warnings);
        }
        let terms = Terms { increment: Duration::ZERO, ttl: ask.ttl, period, explicit_max };
        let life = ttl::life(self.config, terms, entry.issued, entry.issued)?;
        warnings.extend(life.warnings);
        (entry.ttl, entry.creation_ttl) = (life.ttl.as_secs(), life.ttl.as_secs());
        (entry.expires, entry.due) = (Some(life.expires), Some(life.expires));
        Ok(warnings)
    }

    fn blank(&self) -> Entry {
        Entry {
            accessor: String::new(),
            policies: Vec::new(),
            path: String::new(),
            display_name: String::new(),
            meta: BTreeMap::new(),
            entity_id: None,
            parent: None,
            kind: TokenKind::Service,
            issued: self.clock.now(),
            creation_ttl: 0,
            ttl: 0,
            explicit_max_ttl: 0,
            period: 0,
            renewable: false,
            expires: None,
            due: None,
            renewed: None,
            counted: false,
            num_uses: 0,
        }
    }

    fn rootlike(&self) -> Result<Entry> {
        Ok(Entry {
            accessor: text::accessor()?,
            policies: vec!["root".to_owned()],
            path: "auth/token/root".to_owned(),
            display_name: "root".to_owned(),
            ..self.blank()
        })
    }

    /// Writes a new entry with its indexes, if the parent is still as it was and nothing is left
    /// of an older token of the same text.
    async fn insert(&self, digest: Digest, entry: &Entry, parent: Option<(Digest, Revision)>) -> Result<bool> {
        let absent = |key| Check::Unchanged { key, revision: None };
        let mut checks =
            vec![absent(keys::id(digest)), absent(keys::accessor(&entry.accessor)), absent(keys::revoking(digest))];
        checks.extend(
            parent.map(|(digest, revision)| Check::Unchanged { key: keys::id(digest), revision: Some(revision) }),
        );
        let accessor = Write::Put { key: keys::accessor(&entry.accessor), value: Secret::from(digest.to_string()) };
        let mut writes = vec![Write::Put { key: keys::id(digest), value: entry.to_json()? }, accessor];
        writes.extend(entry.due.map(|due| mark(keys::expiry(due, digest))));
        writes.extend(entry.parent.map(|parent| mark(keys::child(parent, digest))));
        Ok(matches!(self.storage.commit(Batch { checks, writes }).await?, Outcome::Committed(_)))
    }

    fn created(&self, token: Secret, entry: &Entry, warnings: Vec<String>) -> Issued {
        self.counters.created.fetch_add(1, Ordering::Relaxed);
        self.issued(token, entry, warnings)
    }

    pub(super) fn issued(&self, token: Secret, entry: &Entry, warnings: Vec<String>) -> Issued {
        let auth = Auth {
            token,
            accessor: entry.accessor.clone(),
            policies: entry.policies.clone(),
            ttl: Duration::from_secs(entry.ttl),
            renewable: entry.renewable,
            entity_id: entry.entity_id.clone(),
            metadata: entry.meta.clone(),
            kind: entry.kind,
            orphan: entry.parent.is_none(),
            num_uses: entry.num_uses,
        };
        Issued { auth, warnings }
    }
}

fn chosen(id: Option<Secret>) -> Result<Secret> {
    let Some(id) = id else { return text::service_token() };
    text::custom(&id)?;
    Ok(id)
}

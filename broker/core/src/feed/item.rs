//! One change in the history, and who was found to be allowed to learn of it.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    authz::{Acl, Decision, Question},
    news::{Kind, News},
    port::storage::Revision,
    request::{Fields, Operation, Shown},
};

/// Rules whose verdict is remembered with a change: watchers with the same policies share them.
const VERDICTS: usize = 8;

/// How a watcher's prefix spells a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spelling {
    /// Without the mount: [`News::short`].
    Short,
    /// With the mount: [`News::path`].
    Whole,
}

/// One change.
pub struct Item {
    /// The commit.
    pub revision: Revision,
    /// What it means.
    pub news: Arc<News>,
    /// What a door made of it, for each spelling.
    shown: [Shown; 2],
    verdicts: Mutex<Vec<(Arc<Acl>, bool)>>,
}

impl Item {
    pub(super) fn new(revision: Revision, news: Arc<News>) -> Self {
        Self { revision, news, shown: Default::default(), verdicts: Mutex::default() }
    }

    /// The path in this spelling.
    #[must_use]
    pub fn path(&self, spelling: Spelling) -> &str {
        match (spelling, &self.news.short) {
            (Spelling::Short, Some(short)) => short,
            _ => &self.news.path,
        }
    }

    /// Where a door may keep what it makes of it, once for all watchers.
    #[must_use]
    pub const fn shown(&self, spelling: Spelling) -> &Shown {
        &self.shown[spelling as usize]
    }

    /// Whether these rules let their holder learn of it: who may read the secret, or list the
    /// folder that it is in. Of a mount that went: who may do something below it.
    #[must_use]
    pub fn is_visible(&self, acl: &Arc<Acl>) -> bool {
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, verdict)) = verdicts.iter().find(|(known, _)| Arc::ptr_eq(known, acl)) {
            return *verdict;
        }
        let verdict = allowed(&self.news, acl);
        if verdicts.len() >= VERDICTS {
            verdicts.remove(0);
        }
        verdicts.push((acl.clone(), verdict));
        verdict
    }

    /// Bytes that it takes, about.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + self.news.weight() + VERDICTS * size_of::<(Arc<Acl>, bool)>()
    }
}

fn allowed(news: &News, acl: &Acl) -> bool {
    let fields = Fields::default();
    let may = |operation, path: &Option<String>, privileged| {
        let question = |path| Question { operation, path, fields: &fields, privileged, wrap_ttl: None };
        path.as_deref().is_some_and(|path| acl.decide(&question(path)) == Decision::Allowed)
    };
    match news.kind {
        Kind::Unmounted => acl.reaches(&news.path),
        _ => may(Operation::Read, &news.read, news.privileged) || may(Operation::List, &news.list, false),
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item").field("revision", &self.revision).field("news", &self.news).finish_non_exhaustive()
    }
}

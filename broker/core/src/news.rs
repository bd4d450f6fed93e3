//! What a commit means to those who watch secrets: which secret changed and how, never to what.
//! The broker writes it when a request has an effect; storage carries it with the commit and hands
//! it to its observers; the feed keeps it for a while.

use crate::clock::Timestamp;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The first version where nothing was.
    Created,
    /// Versions were soft-deleted.
    Deleted,
    /// Versions, or the secret with all of them, are gone for good.
    Destroyed,
    /// What is known of a secret or its settings, not its value.
    Metadata,
    /// Soft-deleted versions are back.
    Undeleted,
    /// The mount is gone with everything in it.
    Unmounted,
    /// A new version.
    Updated,
}

impl Kind {
    /// Every kind, in the order of the enum.
    pub const ALL: [Self; 7] = [
        Self::Created,
        Self::Deleted,
        Self::Destroyed,
        Self::Metadata,
        Self::Undeleted,
        Self::Unmounted,
        Self::Updated,
    ];

    /// The word for it on the wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Deleted => "deleted",
            Self::Destroyed => "destroyed",
            Self::Metadata => "metadata",
            Self::Undeleted => "undeleted",
            Self::Unmounted => "unmounted",
            Self::Updated => "updated",
        }
    }
}

/// One change of one secret, or of a whole mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// What happened.
    pub kind: Kind,
    /// As the native API names the secret, mount first: `secret/database/postgres`.
    pub path: String,
    /// The same without its mount, where the native API takes it for the same secret. Of a mount
    /// that went: `""` when it held all names that no other mount claims.
    pub short: Option<String>,
    /// The versions concerned, as far as they are known.
    pub versions: Vec<u64>,
    /// About when.
    pub at: Timestamp,
    /// The canonical path whose readers may learn of it.
    pub read: Option<String>,
    /// Reading that needs `sudo`.
    pub privileged: bool,
    /// The canonical folder whose listers may learn of it.
    pub list: Option<String>,
}

impl News {
    /// A mount that went, named by its path with the slash; `default` when it held all names that
    /// no other mount claims.
    #[must_use]
    pub fn unmounted(mount: &str, default: bool, at: Timestamp) -> Self {
        Self {
            kind: Kind::Unmounted,
            path: mount.to_owned(),
            short: default.then(String::new),
            versions: Vec::new(),
            at,
            read: None,
            privileged: false,
            list: None,
        }
    }

    /// Bytes that it takes, about.
    #[must_use]
    pub fn weight(&self) -> usize {
        let texts = [Some(&self.path), self.short.as_ref(), self.read.as_ref(), self.list.as_ref()];
        let bytes: usize = texts.into_iter().flatten().map(String::len).sum();
        size_of::<Self>() + bytes + self.versions.len() * size_of::<u64>()
    }
}

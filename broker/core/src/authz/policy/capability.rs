//! What a rule grants, as a set of bits.

use std::ops::BitOr;

use crate::request::Operation;

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::authz) struct Capabilities(u16);

/// Every capability a policy can name, sorted; the place in here is the bit.
pub(in crate::authz) const NAMES: [&str; 9] =
    ["create", "delete", "deny", "list", "patch", "read", "scan", "sudo", "update"];

impl Capabilities {
    pub(in crate::authz) const CREATE: Self = Self(1 << 0);
    pub(in crate::authz) const DELETE: Self = Self(1 << 1);
    pub(in crate::authz) const DENY: Self = Self(1 << 2);
    pub(in crate::authz) const LIST: Self = Self(1 << 3);
    pub(in crate::authz) const PATCH: Self = Self(1 << 4);
    pub(in crate::authz) const READ: Self = Self(1 << 5);
    pub(in crate::authz) const SUDO: Self = Self(1 << 7);
    pub(in crate::authz) const UPDATE: Self = Self(1 << 8);

    pub(in crate::authz) fn named(name: &str) -> Option<Self> {
        NAMES.iter().position(|had| *had == name).map(|bit| Self(1 << bit))
    }

    /// The old `policy = "read"` notation.
    pub(in crate::authz) fn legacy(word: &str) -> Option<Self> {
        let read = Self::READ | Self::LIST;
        let write = read | Self::CREATE | Self::UPDATE | Self::DELETE;
        match word {
            "deny" => Some(Self::DENY),
            "read" => Some(read),
            "sudo" => Some(write | Self::SUDO),
            "write" => Some(write),
            _ => None,
        }
    }

    /// What an operation needs. A rotation changes what is there, so it needs `update`, as
    /// Vault's `rotate` endpoints do.
    pub(in crate::authz) const fn needed_for(operation: Operation) -> Self {
        match operation {
            Operation::Create => Self::CREATE,
            Operation::Delete => Self::DELETE,
            Operation::List => Self::LIST,
            Operation::Patch => Self::PATCH,
            Operation::Read => Self::READ,
            Operation::Rotate | Operation::Update => Self::UPDATE,
        }
    }

    pub(in crate::authz) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Sorted names; `deny` alone when it is in or nothing is.
    pub(in crate::authz) fn names(self) -> Vec<&'static str> {
        if self.0 == 0 || self.has(Self::DENY) {
            return vec!["deny"];
        }
        NAMES.iter().enumerate().filter(|(bit, _)| self.0 & (1 << bit) != 0).map(|(_, name)| *name).collect()
    }
}

impl BitOr for Capabilities {
    type Output = Self;
    /// The union, where `deny` swallows everything.
    fn bitor(self, other: Self) -> Self {
        let both = Self(self.0 | other.0);
        if both.has(Self::DENY) { Self::DENY } else { both }
    }
}

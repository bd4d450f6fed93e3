//! The state of one exported call: its transaction, its handles, what it was seen to depend on.
//!
//! Invariant: everything in here dies with the call; what outlives it is taken out by `invoke`.

use std::sync::Arc;

use ring::rand::SystemRandom;
use warder_core::{
    clock::Timestamp,
    port::backend::{Caller, MountScope, Observed},
    txn::Transaction,
};
use wasmtime::component::{Resource, ResourceTable};

use crate::{
    RuntimeConfig,
    capability::sealed::Value,
    fault::{Fault, limit},
    limits::{Exceeded, Size},
    share::{Full, Share, Used},
};

/// What capabilities act on.
pub(crate) struct CallState {
    /// The mount.
    pub(crate) mount: Arc<MountScope>,
    /// Its storage.
    pub(crate) txn: Transaction,
    /// Who asks.
    pub(crate) caller: Caller,
    /// The one moment of this call.
    pub(crate) now: Timestamp,
    /// What the answer depends on, storage apart.
    pub(crate) observed: Observed,
    /// Sealed values and keys by handle.
    pub(crate) table: ResourceTable,
    /// Randomness.
    pub(crate) random: SystemRandom,
    /// Log lines left.
    pub(crate) log_lines: usize,
    passwords: u8,
    sealed_limit: usize,
    sealed_used: usize,
    shared: Used,
}

/// Password hashes that one call may make or verify: each costs a blocking thread a long time.
const PASSWORDS: u8 = 8;

impl CallState {
    pub(crate) fn new(
        config: &RuntimeConfig,
        share: &Arc<Share>,
        now: Timestamp,
        mount: Arc<MountScope>,
        txn: Transaction,
        caller: Caller,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(config.max_handles);
        Self {
            mount,
            txn,
            caller,
            now,
            observed: Observed::default(),
            table,
            random: SystemRandom::new(),
            log_lines: config.log_lines,
            passwords: PASSWORDS,
            sealed_limit: config.sealed_bytes,
            sealed_used: 0,
            shared: Used::none(share.clone()),
        }
    }

    /// A handle to a value made by this call.
    ///
    /// # Errors
    /// `limit-exceeded` over the bytes or the handles of one call.
    pub(crate) fn keep(&mut self, value: Value) -> Result<Resource<Value>, Fault> {
        self.charge(value.bytes.len())?;
        Ok(self.table.push(value)?)
    }

    /// Room for `bytes` more of sealed values, asked before they are made.
    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), Fault> {
        self.sealed_used = self.sealed_used.saturating_add(bytes);
        if self.sealed_used > self.sealed_limit {
            return Err(limit(format!("one call may make {} of sealed values", Size(self.sealed_limit))));
        }
        Ok(self.shared.grow(bytes).map_err(|Full(bytes)| wasmtime::Error::new(Exceeded::Share(Size(bytes))))?)
    }

    /// Bytes of sealed values that it made.
    pub(crate) const fn sealed_used(&self) -> usize {
        self.sealed_used
    }

    /// One more password hash.
    pub(crate) fn spend_password(&mut self) -> Result<(), Fault> {
        let left = self.passwords.checked_sub(1);
        self.passwords = left.ok_or_else(|| limit(format!("one call may hash or verify {PASSWORDS} passwords")))?;
        Ok(())
    }

    /// The value behind a handle (bytes are shared, not copied).
    pub(crate) fn value(&self, handle: &Resource<Value>) -> wasmtime::Result<Value> {
        Ok(self.table.get(handle)?.clone())
    }
}

//! What a store carries: the state of one call, or nothing while a plugin describes itself.

use std::sync::Arc;

use tokio::sync::Semaphore;
use wasmtime::component::{HasSelf, Linker};

use crate::{call::CallState, fault::Misuse, limits::Limits, share::Share, wasi::Stderr};

/// The data of every store.
pub(crate) struct Host {
    /// What it has in common with other calls of the plugin.
    pub(crate) share: Arc<Share>,
    /// Turns of slow work beside the guest.
    pub(crate) slow: Arc<Semaphore>,
    /// Bounds of memory.
    pub(crate) limits: Limits,
    /// The last words of a guest that panics.
    pub(crate) stderr: Stderr,
    /// None while `describe` runs: then there is nothing that a capability could act on.
    pub(crate) call: Option<Box<CallState>>,
}

impl Host {
    /// The call's state; a trap when there is no call.
    pub(crate) fn call(&mut self) -> wasmtime::Result<&mut CallState> {
        self.call.as_deref_mut().ok_or_else(|| Misuse::Impure.into())
    }
}

/// A capability's link function, for [`crate::capability::KINDS`].
pub(crate) type Link = fn(&mut Linker<Host>) -> wasmtime::Result<()>;

/// How generated code reaches the host.
pub(crate) type Direct = HasSelf<Host>;

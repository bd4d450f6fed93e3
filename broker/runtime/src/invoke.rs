//! One exported call: a slot, a fresh store, the guest, what it left behind.
//!
//! Invariant: nothing of a call survives it but the [`Ran`] it returns. Dropping the future drops
//! the store, and with it the sandbox, its handles and its transaction.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{
    sync::{AcquireError, SemaphorePermit},
    time::{Instant, timeout, timeout_at},
};
use warder_core::{
    error::{Error, ErrorKind},
    port::{
        backend::{Backend, Call, Description, Invocation, Leased, MountScope, Observed, PluginReply, Ran, Target},
        usage::{self, Footprint, Usage},
    },
    txn::Transaction,
};
use wasmtime::Store;

use crate::{
    Runtime,
    bind::BackendPluginPre,
    call::CallState,
    convert,
    fault::{self, Scope, WitError},
    host::Host,
    metered::{Metered, OutOfTime, Spent},
    share::Share,
};

/// A loaded plugin.
pub(crate) struct Plugin {
    runtime: Arc<Runtime>,
    share: Arc<Share>,
    pre: BackendPluginPre<Host>,
    description: Description,
}

/// One export and its arguments.
enum Ask {
    Exists(Target),
    Handle(Box<Call>),
    Renew(Leased),
    Revoke(Leased),
}

/// What it answered.
enum Told {
    Exists(bool),
    Handle(Box<PluginReply>),
    Renewed(Duration),
    Revoked,
}

/// What a call that came to its end leaves: the transaction is dropped unless the guest answered.
struct Ended {
    result: Result<Told, Error>,
    txn: Option<Transaction>,
    observed: Observed,
    usage: Usage,
}

impl Plugin {
    pub(crate) fn new(runtime: Arc<Runtime>, pre: BackendPluginPre<Host>, description: Description) -> Self {
        let share = Share::new(&description.name, &runtime.config);
        Self { runtime, share, pre, description }
    }

    async fn run(&self, run: Invocation, ask: Ask) -> Ended {
        let mount = run.mount.clone();
        let scope = Scope { plugin: &self.share.plugin, mount: &mount.path };
        let wall = run.deadline.min(self.runtime.config.wall);
        let until = Instant::now() + wall;
        let Ok(Ok(_slot)) = timeout(wall, self.slot()).await else {
            let reason = format!("found no free sandbox within its {}", words(wall));
            let usage = Usage { fault: Some(usage::Fault::NoSandbox), ..Usage::default() };
            return self.torn(scope.error(ErrorKind::Unavailable, &reason), usage);
        };
        let cpu = self.runtime.config.cpu;
        let spent = Spent::default();
        let metered = Metered::new(cpu, self.runtime.long.clone(), &spent, self.sandboxed(run, ask));
        let (fault, reason) = match timeout_at(until, metered).await {
            Ok(Ok(mut ended)) => {
                ended.usage.processor = spent.time();
                return ended;
            }
            Ok(Err(OutOfTime)) => {
                (usage::Fault::Processor, format!("used more than its {} of processor time", words(cpu)))
            }
            Err(_) => (usage::Fault::Deadline, format!("ran longer than its {}", words(wall))),
        };
        let usage = Usage { processor: spent.time(), fault: Some(fault), memory: 0 };
        self.torn(scope.error(ErrorKind::DeadlineExceeded, &reason), usage)
    }

    /// One of the plugin's own sandboxes, then one of all: who waits for the first holds none.
    async fn slot(&self) -> Result<(SemaphorePermit<'_>, SemaphorePermit<'_>), AcquireError> {
        let own = self.share.slots.acquire().await?;
        Ok((own, self.runtime.slots.acquire().await?))
    }

    fn torn(&self, error: Error, usage: Usage) -> Ended {
        if self.share.may_log() {
            tracing::warn!(reason = %error, "plugin call torn down");
        }
        Ended { result: Err(error), txn: None, observed: UNKNOWN, usage }
    }

    async fn sandboxed(&self, run: Invocation, ask: Ask) -> Ended {
        let Invocation { mount, txn, caller, .. } = run;
        let now = self.runtime.clock.now();
        let call = CallState::new(&self.runtime.config, &self.share, now, mount.clone(), txn, caller);
        let mut store = self.runtime.store(&self.share, Some(call));
        let outcome = self.call(&mut store, ask).await;
        let host = store.into_data();
        host.stderr.report(&self.share, &mount.path);
        self.ended(outcome, host, &mount)
    }

    async fn call(&self, store: &mut Store<Host>, ask: Ask) -> wasmtime::Result<Result<Told, WitError>> {
        let guest = self.pre.instantiate_async(&mut *store).await?;
        let backend = guest.warder_plugin_backend();
        match ask {
            Ask::Exists(target) => {
                let answer = backend.call_exists(&mut *store, &convert::target(target)).await?;
                Ok(answer.map(Told::Exists))
            }
            Ask::Handle(call) => {
                let request = convert::request(store.data_mut().call()?, *call)?;
                match backend.call_handle(&mut *store, &request).await? {
                    Ok(response) => {
                        let reply = convert::reply(store.data_mut().call()?, response)?;
                        Ok(Ok(Told::Handle(Box::new(reply))))
                    }
                    Err(error) => Ok(Err(error)),
                }
            }
            Ask::Renew(lease) => {
                let lease = convert::lease(lease, self.runtime.clock.now());
                let granted = backend.call_renew(&mut *store, &lease).await?;
                Ok(granted.map(|seconds| Told::Renewed(Duration::from_secs(seconds.into()))))
            }
            Ask::Revoke(lease) => {
                let lease = convert::lease(lease, self.runtime.clock.now());
                Ok(backend.call_revoke(&mut *store, &lease).await?.map(|()| Told::Revoked))
            }
        }
    }

    fn ended(&self, outcome: wasmtime::Result<Result<Told, WitError>>, host: Host, mount: &MountScope) -> Ended {
        let scope = Scope { plugin: &self.share.plugin, mount: &mount.path };
        let sealed = host.call.as_ref().map_or(0, |call| call.sealed_used());
        let mut usage = Usage { memory: host.limits.memory_used() + sealed, ..Usage::default() };
        let (txn, observed) = match host.call {
            Some(call) => (Some(call.txn), call.observed),
            None => (None, UNKNOWN),
        };
        match outcome {
            Ok(Ok(told)) => Ended { result: Ok(told), txn, observed, usage },
            Ok(Err(error)) => Ended { result: Err(scope.named(fault::of_plugin(error))), txn, observed, usage },
            Err(end) => {
                let (error, fault) = fault::of_sandbox(end, host.stderr.last_words(), scope);
                usage.fault = fault;
                if self.share.may_log() {
                    let (plugin, mount) = (&*self.share.plugin, &*mount.path);
                    tracing::warn!(plugin.name = plugin, mount.path = mount, reason = %error.chain(), "plugin call failed");
                }
                Ended { result: Err(error), txn: None, observed: UNKNOWN, usage }
            }
        }
    }
}

impl Ended {
    /// With the answer that was asked for.
    fn told<T>(self, wanted: impl FnOnce(Told) -> Option<T>) -> Ran<T> {
        let Self { result, txn, observed, usage } = self;
        let other = || Error::internal("an export was answered by another one");
        let result = result.and_then(|told| wanted(told).ok_or_else(other));
        Ran { result, txn, observed, usage }
    }
}

/// Nothing may be concluded from a call that was torn down.
const UNKNOWN: Observed = Observed { caller: true, unrepeatable: true, until: None, outside: true };

/// `2 s`, `250 ms`.
fn words(duration: Duration) -> String {
    match duration.as_millis() {
        ms if ms >= 1000 && ms % 1000 == 0 => format!("{} s", ms / 1000),
        ms => format!("{ms} ms"),
    }
}

#[async_trait]
impl Backend for Plugin {
    fn description(&self) -> &Description {
        &self.description
    }

    async fn exists(&self, run: Invocation, target: Target) -> Ran<bool> {
        self.run(run, Ask::Exists(target)).await.told(|told| match told {
            Told::Exists(is) => Some(is),
            _ => None,
        })
    }

    async fn handle(&self, run: Invocation, call: Call) -> Ran<PluginReply> {
        self.run(run, Ask::Handle(Box::new(call))).await.told(|told| match told {
            Told::Handle(reply) => Some(*reply),
            _ => None,
        })
    }

    async fn renew(&self, run: Invocation, lease: Leased) -> Ran<Duration> {
        self.run(run, Ask::Renew(lease)).await.told(|told| match told {
            Told::Renewed(granted) => Some(granted),
            _ => None,
        })
    }

    async fn revoke(&self, run: Invocation, lease: Leased) -> Ran<()> {
        self.run(run, Ask::Revoke(lease)).await.told(|told| matches!(told, Told::Revoked).then_some(()))
    }

    fn footprint(&self) -> Footprint {
        self.share.footprint()
    }
}

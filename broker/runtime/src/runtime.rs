//! The engine, its ticker and the bound on calls at once.

use std::{fmt, sync::Arc};

use tokio::sync::Semaphore;
use warder_core::{clock::Clock, port::backend::Backend};
use wasmtime::{Engine, Store};

use crate::{
    RuntimeConfig, RuntimeError, call::CallState, engine, host::Host, limits::Limits, load, share::Share,
    ticker::Ticker, wasi::Stderr,
};

/// Runs plugins. Dropping the last reference stops its thread.
pub struct Runtime {
    // Stops before the engine goes.
    _ticker: Ticker,
    pub(crate) engine: Engine,
    pub(crate) config: RuntimeConfig,
    pub(crate) clock: Arc<dyn Clock>,
    /// As many permits as the pool has slots: callers wait instead of failing.
    pub(crate) slots: Semaphore,
    /// Half of the processors: calls that run long share them, the rest is for short ones.
    pub(crate) long: Arc<Semaphore>,
    /// The same for slow work beside guests.
    pub(crate) slow: Arc<Semaphore>,
}

impl Runtime {
    /// An engine with a pool of `max_concurrent` sandboxes.
    ///
    /// # Errors
    /// [`RuntimeError::Config`] for a bound of zero or out of its range; [`RuntimeError::Engine`]
    /// and [`RuntimeError::Ticker`] when the system refuses.
    pub fn new(config: RuntimeConfig, clock: Arc<dyn Clock>) -> Result<Arc<Self>, RuntimeError> {
        check(&config)?;
        let engine = engine::build(&config)?;
        Ok(Arc::new(Self {
            _ticker: Ticker::start(&engine).map_err(RuntimeError::Ticker)?,
            engine,
            slots: Semaphore::new(config.max_concurrent as usize),
            long: Arc::new(Semaphore::new(half())),
            slow: Arc::new(Semaphore::new(half())),
            config,
            clock,
        }))
    }

    /// Checks, compiles and describes a component; nothing of it has run but `describe`, gated.
    ///
    /// # Errors
    /// [`RuntimeError`]; the text names the plugin and what is wrong with it.
    pub async fn load(self: &Arc<Self>, name: &str, component: &[u8]) -> Result<Arc<dyn Backend>, RuntimeError> {
        load::load(self, name, component).await
    }

    /// The same for a component that is loaded under the name that it gives itself; `origin`, such
    /// as its file, stands for it in errors.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub async fn load_nameless(
        self: &Arc<Self>,
        origin: &str,
        component: &[u8],
    ) -> Result<Arc<dyn Backend>, RuntimeError> {
        load::load_nameless(self, origin, component).await
    }

    /// A store with every bound set; `call` is none while a plugin describes itself.
    pub(crate) fn store(&self, share: &Arc<Share>, call: Option<CallState>) -> Store<Host> {
        let host = Host {
            share: share.clone(),
            slow: self.slow.clone(),
            limits: Limits::new(&self.config, share.clone()),
            stderr: Stderr::new(self.config.log_lines),
            call: call.map(Box::new),
        };
        let mut store = Store::new(&self.engine, host);
        store.limiter(|host| &mut host.limits);
        store.set_hostcall_fuel(self.config.hostcall_fuel);
        store.set_max_component_handles(self.config.max_handles);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        store
    }
}

fn half() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get().div_ceil(2))
}

fn check(config: &RuntimeConfig) -> Result<(), RuntimeError> {
    let rule = |holds: bool, words: &'static str| if holds { Ok(()) } else { Err(RuntimeError::Config(words)) };
    rule((1..=8192).contains(&config.max_concurrent), "max_concurrent must be 1 to 8192")?;
    rule(config.plugin_concurrent > 0, "plugin_concurrent must be positive")?;
    rule(config.plugin_memory_bytes >= config.memory_bytes, "plugin_memory_bytes must be at least memory_bytes")?;
    rule((1..=4 << 30).contains(&config.memory_bytes), "memory_bytes must be 1 to 4 GiB")?;
    rule(config.table_elements > 0, "table_elements must be positive")?;
    rule((1..=100).contains(&config.instances), "instances must be 1 to 100")?;
    rule(!config.cpu.is_zero() && !config.wall.is_zero(), "cpu and wall must be positive")?;
    rule(config.hostcall_fuel > 0, "hostcall_fuel must be positive")?;
    rule(config.max_handles > 0 && config.sealed_bytes > 0, "max_handles and sealed_bytes must be positive")
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("config", &self.config).finish_non_exhaustive()
    }
}

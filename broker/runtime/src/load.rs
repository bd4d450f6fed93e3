//! From bytes to a plugin: allow-list, compilation, links, description.

use std::{io, sync::Arc};

use warder_core::port::backend::Backend;
use wasmtime::component::{Component, InstancePre, Linker};

use crate::{
    Runtime,
    bind::{BackendPluginPre, exports::warder::plugin::backend::Description},
    capability::KINDS,
    describe::{self, BadDescription, NAME_RULE, is_name},
    host::Host,
    imports::{self, Refused},
    invoke::Plugin,
    metered::{Metered, Spent},
    share::Share,
    wasi,
};

/// Why there is no runtime, or no plugin.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A bound that is none.
    #[error("runtime configuration: {0}")]
    Config(&'static str),
    /// wasmtime refused its configuration.
    #[error("wasmtime engine")]
    Engine(#[source] wasmtime::Error),
    /// No thread.
    #[error("ticker thread")]
    Ticker(#[source] io::Error),
    /// A plugin name is lower-case letters, digits and hyphens, at most 64.
    #[error("plugin name {0:?} must be {NAME_RULE}")]
    Name(String),
    /// The component may not be loaded.
    #[error("plugin {plugin} {reason}")]
    Refused {
        /// Its name.
        plugin: String,
        /// Why.
        reason: Refused,
    },
    /// It does not compile, or does not fit its imports.
    #[error("plugin {plugin} does not load: {reason:#}")]
    Compile {
        /// Its name.
        plugin: String,
        /// Why.
        reason: wasmtime::Error,
    },
    /// `describe` did not end well.
    #[error("plugin {plugin} does not describe itself: {reason}")]
    Describe {
        /// Its name.
        plugin: String,
        /// Why, in one line.
        reason: String,
    },
    /// `describe` says something that cannot be.
    #[error("plugin {plugin} has a bad description: {reason}")]
    Description {
        /// Its name.
        plugin: String,
        /// What.
        reason: BadDescription,
    },
    /// Two components of one name.
    #[error("plugin {0} is there twice")]
    Twice(String),
    /// A component whose own name another plugin has.
    #[error("plugin {plugin} calls itself {name:?}, and there is a plugin of this name")]
    Taken {
        /// Where it comes from.
        plugin: String,
        /// What it calls itself.
        name: String,
    },
}

/// Loads a component under its name.
pub(crate) async fn load(
    runtime: &Arc<Runtime>,
    name: &str,
    component: &[u8],
) -> Result<Arc<dyn Backend>, RuntimeError> {
    if !is_name(name) {
        return Err(RuntimeError::Name(name.to_owned()));
    }
    loaded(runtime, name, Some(name), component).await
}

/// Loads a component under the name that it gives itself; `origin` stands for it in errors.
pub(crate) async fn load_nameless(
    runtime: &Arc<Runtime>,
    origin: &str,
    component: &[u8],
) -> Result<Arc<dyn Backend>, RuntimeError> {
    loaded(runtime, origin, None, component).await
}

async fn loaded(
    runtime: &Arc<Runtime>,
    called: &str,
    wanted: Option<&str>,
    component: &[u8],
) -> Result<Arc<dyn Backend>, RuntimeError> {
    let imports =
        imports::check(component).map_err(|reason| RuntimeError::Refused { plugin: called.to_owned(), reason })?;
    let bytes = component.to_vec();
    let linking = runtime.clone();
    let compiled = tokio::task::spawn_blocking(move || link(&linking, &bytes, &imports)).await;
    let failed = |reason| RuntimeError::Compile { plugin: called.to_owned(), reason };
    let linked = compiled.map_err(|e| failed(e.into()))?.map_err(failed)?;
    let pre = BackendPluginPre::new(linked).map_err(failed)?;
    let answer = described(runtime, called, &pre).await?;
    let description = describe::description(wanted, answer)
        .map_err(|reason| RuntimeError::Description { plugin: called.to_owned(), reason })?;
    Ok(Arc::new(Plugin::new(runtime.clone(), pre, description)))
}

/// Compiles, and links the interfaces that the component names: a grant is a link.
fn link(runtime: &Runtime, bytes: &[u8], imports: &[String]) -> wasmtime::Result<InstancePre<Host>> {
    let component = Component::from_binary(&runtime.engine, bytes)?;
    let mut linker = Linker::new(&runtime.engine);
    for kind in KINDS.iter().filter(|kind| imports.iter().any(|name| imports::interface(name) == Some(kind.interface)))
    {
        (kind.link)(&mut linker)?;
    }
    wasi::link(&mut linker, &component)?;
    linker.instantiate_pre(&component)
}

async fn described(runtime: &Runtime, plugin: &str, pre: &BackendPluginPre<Host>) -> Result<Description, RuntimeError> {
    let fail = |reason: String| RuntimeError::Describe { plugin: plugin.to_string(), reason };
    let _slot = runtime.slots.acquire().await.map_err(|e| fail(e.to_string()))?;
    let config = &runtime.config;
    let mut store = runtime.store(&Share::new(plugin, config), None);
    let spent = Spent::default();
    let run = Metered::new(config.cpu, runtime.long.clone(), &spent, async {
        let guest = pre.instantiate_async(&mut store).await?;
        guest.warder_plugin_backend().call_describe(&mut store).await
    });
    tokio::time::timeout(config.wall, run)
        .await
        .map_err(|_| fail(format!("it ran longer than {:?}", config.wall)))?
        .map_err(|_| fail(format!("it used more than {:?} of processor time", config.cpu)))?
        .map_err(|e| fail(e.root_cause().to_string()))
}

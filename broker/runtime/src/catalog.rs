//! The loaded plugins, by name.

use std::{collections::BTreeMap, fmt, sync::Arc};

use warder_core::port::backend::{Backend, Plugins};

use crate::{Runtime, RuntimeError};

/// All plugins of this process; it does not change after loading.
#[derive(Default)]
pub struct Catalog(BTreeMap<String, Arc<dyn Backend>>);

impl Catalog {
    /// Loads every component; the first that is refused ends it.
    ///
    /// # Errors
    /// As [`Runtime::load`], and [`RuntimeError::Twice`].
    pub async fn load<N, B>(
        runtime: &Arc<Runtime>,
        components: impl IntoIterator<Item = (N, B)>,
    ) -> Result<Self, RuntimeError>
    where
        N: AsRef<str>,
        B: AsRef<[u8]>,
    {
        let mut plugins = BTreeMap::new();
        for (name, bytes) in components {
            let backend = runtime.load(name.as_ref(), bytes.as_ref()).await?;
            if plugins.insert(name.as_ref().to_owned(), backend).is_some() {
                return Err(RuntimeError::Twice(name.as_ref().to_owned()));
            }
        }
        Ok(Self(plugins))
    }
}

impl Plugins for Catalog {
    fn find(&self, name: &str) -> Option<Arc<dyn Backend>> {
        self.0.get(name).cloned()
    }

    fn list(&self) -> BTreeMap<String, String> {
        self.0.iter().map(|(name, plugin)| (name.clone(), plugin.description().version.clone())).collect()
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

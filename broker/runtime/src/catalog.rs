//! The loaded plugins, by name.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    sync::Arc,
};

use warder_core::port::backend::{Backend, Plugins};

use crate::{Runtime, RuntimeError};

/// All plugins of this process; it does not change once it is handed out.
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
        let mut catalog = Self::default();
        for (name, bytes) in components {
            catalog.add(runtime, name.as_ref(), bytes.as_ref()).await?;
        }
        Ok(catalog)
    }

    /// Loads one more.
    ///
    /// # Errors
    /// As [`Runtime::load`], and [`RuntimeError::Twice`].
    pub async fn add(&mut self, runtime: &Arc<Runtime>, name: &str, component: &[u8]) -> Result<(), RuntimeError> {
        let backend = runtime.load(name, component).await?;
        match self.0.entry(name.to_owned()) {
            Entry::Occupied(_) => Err(RuntimeError::Twice(name.to_owned())),
            Entry::Vacant(place) => {
                place.insert(backend);
                Ok(())
            }
        }
    }

    /// Loads one more under the name that it gives itself, which is returned.
    ///
    /// # Errors
    /// As [`Runtime::load_nameless`], and [`RuntimeError::Taken`].
    pub async fn add_nameless(
        &mut self,
        runtime: &Arc<Runtime>,
        origin: &str,
        component: &[u8],
    ) -> Result<String, RuntimeError> {
        let backend = runtime.load_nameless(origin, component).await?;
        let name = backend.description().name.clone();
        match self.0.entry(name.clone()) {
            Entry::Occupied(_) => Err(RuntimeError::Taken { plugin: origin.to_owned(), name }),
            Entry::Vacant(place) => {
                place.insert(backend);
                Ok(name)
            }
        }
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

//! The `memory` engine: a persistent ordered map, so that a view is a cheap copy. For tests and
//! for `dev` without a data directory.

use std::{
    ops::{Bound, ControlFlow},
    sync::Arc,
};

use async_trait::async_trait;
use imbl::OrdMap;
use warder_core::port::storage::Revision;

use super::{
    Engine, EngineConfig, EngineError, Exchange, RawWrite, Source, Stored, View,
    children::{self, Keys},
    group::{Draft, Ground, Grouped, Work},
    page,
};

type Records = OrdMap<Arc<[u8]>, Arc<Stored>>;

pub(super) fn open(_config: &EngineConfig) -> Result<Arc<dyn Engine>, EngineError> {
    let state = State { records: Records::new(), revision: 0 };
    let view = Arc::new(state.clone());
    let engine = Grouped::start(Memory(state), view)
        .map_err(|source| EngineError::Medium { doing: "started", source: Arc::new(source) })?;
    Ok(Arc::new(engine))
}

struct Memory(State);

#[derive(Clone)]
struct State {
    records: Records,
    revision: Revision,
}

impl Ground for Memory {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn group(&mut self, work: Work<'_>) -> Result<Arc<dyn View>, EngineError> {
        let mut draft = self.0.clone();
        if work(&mut draft)? {
            self.0 = draft;
        }
        self.recover()
    }

    fn replace(&mut self, revision: Revision, source: &mut Source) -> Result<Arc<dyn View>, EngineError> {
        let mut draft = State { records: Records::new(), revision };
        while let Some((key, bytes)) = source()? {
            draft.records.insert(key.as_bytes().into(), Arc::new(Stored { bytes, revision }));
        }
        self.0 = draft;
        self.recover()
    }

    fn recover(&mut self) -> Result<Arc<dyn View>, EngineError> {
        Ok(Arc::new(self.0.clone()))
    }
}

impl Draft for State {
    fn revision_of(&self, key: &str) -> Result<Option<Revision>, EngineError> {
        Ok(self.records.get(key.as_bytes()).map(|stored| stored.revision))
    }

    fn children(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>, EngineError> {
        children::children(self, prefix, after, limit)
    }

    fn write(&mut self, revision: Revision, writes: &[RawWrite]) -> Result<(), EngineError> {
        for RawWrite { key, bytes } in writes {
            match bytes {
                Some(bytes) => {
                    let stored = Arc::new(Stored { bytes: bytes.clone(), revision });
                    self.records.insert(key.as_bytes().into(), stored);
                }
                None => _ = self.records.remove(key.as_bytes()),
            }
        }
        self.revision = revision;
        Ok(())
    }

    fn exchange(&mut self, exchange: &Exchange) -> Result<bool, EngineError> {
        let Exchange { key, revision, bytes } = exchange;
        let same = self.revision_of(key)? == Some(*revision);
        if same {
            let stored = Arc::new(Stored { bytes: bytes.clone(), revision: *revision });
            self.records.insert(key.as_bytes().into(), stored);
        }
        Ok(same)
    }
}

#[async_trait]
impl View for State {
    fn revision(&self) -> Revision {
        self.revision
    }

    async fn get(&self, key: &str) -> Result<Option<Stored>, EngineError> {
        Ok(self.records.get(key.as_bytes()).map(|stored| (**stored).clone()))
    }

    async fn children(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>, EngineError> {
        children::children(self, prefix, after, limit)
    }

    async fn scan(&self, after: Option<&str>, limit: usize) -> Result<Vec<(String, Stored)>, EngineError> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.as_bytes()));
        let entries = self.records.range::<_, [u8]>((from, Bound::Unbounded));
        page(entries.map(|(key, stored)| Ok((text(key)?, (**stored).clone()))), limit)
    }
}

impl Keys for State {
    fn walk(&self, from: Bound<&[u8]>, visit: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), EngineError> {
        for (key, _) in self.records.range::<_, [u8]>((from, Bound::Unbounded)) {
            if visit(key).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// A key back as text: it was text when it was written.
pub(super) fn text(key: &[u8]) -> Result<String, EngineError> {
    let text = std::str::from_utf8(key).map_err(|_| EngineError::Damaged { what: "a key is not text".to_owned() })?;
    Ok(text.to_owned())
}

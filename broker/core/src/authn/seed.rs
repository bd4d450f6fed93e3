//! 32 random bytes that live in storage and are made on first use.

use std::sync::Arc;

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::{
    error::{Error, Result},
    memo::{Forget, Memo},
    port::storage::{Batch, Check, Storage, Write, get},
    secret::Secret,
};

/// Invariant: every process over one storage uses the same bytes, and sealing forgets them.
pub(super) struct Seed<T> {
    key: &'static str,
    make: fn(&[u8]) -> T,
    memo: Arc<Memo<(), Arc<T>>>,
}

impl<T: Clone + Send + Sync + 'static> Seed<T> {
    pub(super) fn new(key: &'static str, make: fn(&[u8]) -> T, storage: &dyn Storage) -> Self {
        let memo = Arc::new(Memo::new(key, Forget::All, 1, |made: &Arc<T>| Arc::new(T::clone(made))));
        storage.observe(memo.clone());
        Self { key, make, memo }
    }

    /// What is made of the bytes; none when they were never needed.
    pub(super) async fn find(&self, storage: &dyn Storage) -> Result<Option<Arc<T>>> {
        if let Some(made) = self.memo.find(&()) {
            return Ok(Some(made));
        }
        let ticket = self.memo.ticket();
        let Some(entry) = Box::pin(get(storage, self.key)).await? else { return Ok(None) };
        let made = Arc::new((self.make)(entry.value.expose()));
        self.memo.keep(ticket, (), made.clone());
        Ok(Some(made))
    }

    /// As [`Seed::find`], but makes the bytes when there are none.
    pub(super) async fn obtain(&self, storage: &dyn Storage) -> Result<Arc<T>> {
        if let Some(made) = self.find(storage).await? {
            return Ok(made);
        }
        // Whoever loses the race reads the winner's bytes.
        storage.commit(self.first()?).await?;
        self.find(storage).await?.ok_or_else(|| Error::internal("a seed vanished after it was written"))
    }

    fn first(&self) -> Result<Batch> {
        let mut bytes = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(bytes.as_mut()).map_err(|_| Error::internal("no randomness"))?;
        let write = Write::Put { key: self.key.to_owned(), value: Secret::from(bytes.as_slice()) };
        let absent = Check::Unchanged { key: self.key.to_owned(), revision: None };
        Ok(Batch { checks: vec![absent], writes: vec![write] })
    }
}

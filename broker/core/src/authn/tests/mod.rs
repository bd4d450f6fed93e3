//! What the room promises, through its public API, over storage in memory.

mod batch;
mod create;
mod life;
mod revoke;
mod uses;

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    clock::{ManualClock, Timestamp},
    error::{Error, ErrorKind},
    request::Fields,
    testing::MemoryStorage,
};

const HOUR: Duration = Duration::from_secs(3600);
const PATH: &str = "auth/token/create";

struct Fixture {
    storage: Arc<MemoryStorage>,
    clock: Arc<ManualClock>,
    tokens: Arc<Tokens>,
    root: Secret,
}

impl Fixture {
    async fn new() -> Self {
        let storage = MemoryStorage::new();
        let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000_000)));
        let tokens = Tokens::new(storage.clone(), clock.clone(), TokenConfig::default());
        let root = tokens.create_root(None).await.unwrap().auth.token;
        Self { storage, clock, tokens, root }
    }

    /// The store as another process, or this one after a restart, sees it.
    fn reopened(&self) -> Arc<Tokens> {
        Tokens::new(self.storage.clone(), self.clock.clone(), TokenConfig::default())
    }

    async fn who(&self, token: &Secret) -> Arc<Identity> {
        self.tokens.identify(token).await.unwrap()
    }

    /// A token made by `parent` who holds no sudo.
    async fn plain(&self, parent: &Secret, json: &str) -> Result<Issued, Error> {
        self.tokens.create(&*self.who(parent).await, ask(json), false, PATH).await
    }

    /// A token made by root.
    async fn by_root(&self, json: &str) -> Issued {
        self.plain(&self.root, json).await.unwrap()
    }

    async fn token(&self, json: &str) -> Secret {
        self.by_root(json).await.auth.token
    }

    async fn child(&self, parent: &Secret) -> Secret {
        self.plain(parent, "{}").await.unwrap().auth.token
    }

    async fn lives(&self, token: &Secret) -> bool {
        match self.tokens.identify(token).await {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::Unauthenticated);
                assert_eq!(error.detail, "no token, or one that is unknown, expired or revoked");
                false
            }
        }
    }

    async fn data(&self, which: Which<'_>) -> serde_json::Value {
        serde_json::from_slice(self.tokens.lookup(which).await.unwrap().expose()).unwrap()
    }

    /// Keys of tokens, seeds apart.
    fn token_keys(&self) -> Vec<String> {
        self.storage.keys().into_iter().filter(|key| key.matches('/').count() > 2).collect()
    }
}

fn ask(json: &str) -> CreateToken {
    Fields::from_json(json.as_bytes()).unwrap().parse().unwrap()
}

fn refusal<T>(result: Result<T, Error>) -> String {
    result.map(|_| ()).unwrap_err().detail.into_owned()
}

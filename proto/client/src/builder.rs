//! How a client is put together.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{
    client::Client,
    credentials::{Credentials, Login, Token},
    error::Error,
    retry::Retry,
    target::Target,
    tls::{self, Files},
    wire::Wire,
};

/// What a client is to be.
pub struct Builder {
    address: String,
    files: Files,
    token: Option<Token>,
    login: Option<Login>,
    pub(crate) deadline: Duration,
    pub(crate) retry: Retry,
    pub(crate) largest: usize,
}

impl Builder {
    pub(crate) fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            files: Files::default(),
            token: None,
            login: None,
            deadline: Duration::from_secs(30),
            retry: Retry::default(),
            largest: 32 << 20,
        }
    }

    /// Trusts the CAs of this PEM file instead of the system's.
    #[must_use]
    pub fn ca_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.files.ca = Some(file.into());
        self
    }

    /// Shows this certificate (PEM, leaf first), with its key.
    #[must_use]
    pub fn client_certificate(mut self, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.files.identity = Some((chain.into(), key.into()));
        self
    }

    /// Asks with this token.
    #[must_use]
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Gets a token where there is none, or where it ended; the hook is given a client without one,
    /// for `client.auth().login(..)`.
    #[must_use]
    pub fn login<F>(mut self, hook: impl Fn(Client) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Token, Error>> + Send + 'static,
    {
        self.login = Some(Arc::new(move |client| Box::pin(hook(client))));
        self
    }

    /// Time for a call with all its repetitions; 30 seconds unless told.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How calls are repeated.
    #[must_use]
    pub const fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// The largest answer that is taken, in bytes; 32 MiB unless told.
    #[must_use]
    pub const fn largest_answer(mut self, bytes: usize) -> Self {
        self.largest = bytes;
        self
    }

    /// The client; it connects when it is first asked for something.
    ///
    /// # Errors
    /// `usage`: a bad address, or a file that cannot be read or does not hold what it should.
    pub fn build(self) -> Result<Client, Error> {
        let target = Target::parse(&self.address)?;
        let tls = if target.secure { Some(tls::config(&self.files)?) } else { None };
        let credentials = Credentials::new(self.token.clone(), self.login.clone());
        Ok(Client::new(Wire::new(target, tls), credentials, &self))
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("address", &self.address).field("files", &self.files).finish_non_exhaustive()
    }
}

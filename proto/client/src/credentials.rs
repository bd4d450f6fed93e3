//! Who asks: a token, and how to get another.

use std::{
    fmt, io,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use tonic::{Code, metadata::AsciiMetadataValue};
use zeroize::Zeroizing;

use crate::{
    client::Client,
    error::{Error, Outcome},
};

/// A token: never printed, and overwritten when it is dropped.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// A token out of its text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// A token that stands in a file; white space around it is left out.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn from_file(file: impl AsRef<Path>) -> io::Result<Self> {
        let text = Zeroizing::new(std::fs::read_to_string(file)?);
        Ok(Self::new(text.trim()))
    }

    /// Its text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Gets a token; it is given a client of the same server that has none.
pub(crate) type Login = Arc<dyn Fn(Client) -> Pin<Box<dyn Future<Output = Result<Token, Error>> + Send>> + Send + Sync>;

/// The token of a client and of its clones.
#[derive(Default)]
pub(crate) struct Credentials {
    current: Mutex<Current>,
    login: Option<Login>,
    /// Held while the hook runs: callers that need a token at once wait for one login.
    logging_in: tokio::sync::Mutex<()>,
}

/// A token and which one it is: they are counted from 1.
#[derive(Clone, Default)]
pub(crate) struct Current {
    pub(crate) token: Option<Token>,
    pub(crate) number: u64,
}

impl Credentials {
    pub(crate) fn new(token: Option<Token>, login: Option<Login>) -> Self {
        Self { current: Mutex::new(Current { token, number: 0 }), login, logging_in: tokio::sync::Mutex::default() }
    }

    pub(crate) const fn can_log_in(&self) -> bool {
        self.login.is_some()
    }

    pub(crate) fn current(&self) -> Current {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the token of this number; when somebody did already, that is all.
    pub(crate) async fn replace(&self, number: u64, stranger: Client) -> Result<(), Error> {
        let Some(login) = &self.login else { return Ok(()) };
        let _turn = self.logging_in.lock().await;
        if self.current().number != number {
            return Ok(());
        }
        let token = login(stranger).await?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) =
            Current { token: Some(token), number: number + 1 };
        Ok(())
    }
}

impl Current {
    /// `Bearer <token>`, marked so that nothing prints it.
    pub(crate) fn bearer(&self) -> Result<Option<AsciiMetadataValue>, Error> {
        let Some(token) = &self.token else { return Ok(None) };
        let text = Zeroizing::new(format!("Bearer {}", token.expose()));
        let unfit = |_| Error::new("usage", Code::InvalidArgument, "the token is no header's text", Outcome::Nothing);
        let mut value = AsciiMetadataValue::try_from(text.as_str()).map_err(unfit)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_printed() {
        let token = Token::new("hvs.hunter2");
        let current = Current { token: Some(token.clone()), number: 0 };
        let text = format!("{token:?} {:?}", current.bearer().unwrap());
        assert!(!text.contains("hunter2"), "{text}");
        assert_eq!(token.expose(), "hvs.hunter2");
    }
}

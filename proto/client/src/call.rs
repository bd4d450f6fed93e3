//! One call: its deadline, its repetitions, its token.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use tonic::{Code, Request, Response, Status};

use crate::{
    client::Client,
    error::{Error, Outcome},
    retry::Kind,
};

impl Client {
    /// Asks until there is an answer, the error is one that stands, or the time is up.
    ///
    /// # Cancel safety
    /// Dropping the future gives the call up; the server finishes what it has begun.
    pub(crate) async fn call<M: Clone, R, F>(
        &self,
        kind: Kind,
        message: M,
        send: impl Fn(Self, Request<M>) -> F,
    ) -> Result<R, Error>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let ends = Instant::now() + self.deadline();
        let (mut attempt, mut logged_in) = (0, false);
        loop {
            let used = self.token_until(ends).await?;
            let left = self.left(ends)?;
            let mut request = Request::new(message.clone());
            request.set_timeout(left);
            if let Some(bearer) = used.bearer()? {
                request.metadata_mut().insert("authorization", bearer);
            }
            let error = match timeout(left, send(self.clone(), request)).await {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                Ok(Err(status)) => Error::from(status),
                Err(_) => return Err(Error::late(self.deadline(), true)),
            };
            if error.code() == "unauthenticated" && self.credentials().can_log_in() && !logged_in {
                logged_in = true;
                self.replace(used.number, ends).await?;
                continue;
            }
            let Some(pause) = self.retry().after(kind, attempt, &error) else { return Err(error) };
            if self.left(ends).is_ok_and(|left| pause >= left) {
                return Err(error);
            }
            sleep(pause).await;
            attempt += 1;
        }
    }

    /// The token, after a login where there is none and could be one.
    async fn token_until(&self, ends: Instant) -> Result<crate::credentials::Current, Error> {
        let current = self.credentials().current();
        if current.token.is_some() || !self.credentials().can_log_in() {
            return Ok(current);
        }
        self.replace(current.number, ends).await?;
        Ok(self.credentials().current())
    }

    async fn replace(&self, number: u64, ends: Instant) -> Result<(), Error> {
        let left = self.left(ends)?;
        let late = |_| Error::new("login", Code::DeadlineExceeded, "the login took too long", Outcome::Nothing);
        timeout(left, self.credentials().replace(number, self.stranger())).await.map_err(late)?
    }

    fn left(&self, ends: Instant) -> Result<Duration, Error> {
        let left = ends.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(Error::late(self.deadline(), false)) } else { Ok(left) }
    }
}

//! Keeps a token alive: renewed when two thirds of its time are over, replaced by a login where
//! renewing does not help any more.

use std::time::{Duration, Instant};

use tokio::{task::JoinHandle, time::sleep};

use crate::{
    client::Client,
    error::Error,
    proto::{TokenServiceLookupSelfRequest, TokenServiceRenewSelfRequest},
    retry::{Retry, part},
};

/// A token that is kept alive until this is dropped.
#[derive(Debug)]
pub struct Renewal(JoinHandle<Error>);

impl Renewal {
    pub(crate) fn start(client: Client) -> Self {
        Self(tokio::spawn(async move { Keeper { client }.keep().await }))
    }

    /// Waits until the token can be kept alive no longer, and tells why.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn ended(&mut self) -> Error {
        match (&mut self.0).await {
            Ok(error) => error,
            Err(_) => Error::usage("the renewal was stopped"),
        }
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How long a token lives from now.
#[derive(Clone, Copy, Debug)]
struct Standing {
    /// None: for ever.
    ttl: Option<Duration>,
    renewable: bool,
}

struct Keeper {
    client: Client,
}

impl Keeper {
    async fn keep(&self) -> Error {
        let mut standing = match self.first().await {
            Ok(standing) => standing,
            Err(error) => return error,
        };
        loop {
            let Some(ttl) = standing.ttl else { std::future::pending().await };
            let ends = Instant::now() + ttl;
            sleep(early(ttl)).await;
            standing = match self.prolonged(standing, ends).await {
                Ok(standing) => standing,
                Err(error) => return error,
            };
        }
    }

    /// Renews, or logs in anew where that is no use; goes on trying until the token's end.
    async fn prolonged(&self, before: Standing, ends: Instant) -> Result<Standing, Error> {
        let mut attempt = 0;
        loop {
            let number = self.client.credentials().current().number;
            let tried = match before.renewable {
                true => self.renewed(before).await,
                false => Err(Error::usage("the token cannot be renewed, and ends")),
            };
            let error = match tried {
                Ok(standing) if standing.is_worth(before) || !self.client.credentials().can_log_in() => {
                    return Ok(standing);
                }
                Ok(_) => Error::usage("the token has reached its longest life"),
                Err(error) => error,
            };
            let tried = match self.client.credentials().can_log_in() && !error.is_temporary() {
                true => self.logged_in(number).await,
                false => Err(error),
            };
            let error = match tried {
                Ok(standing) => return Ok(standing),
                Err(error) => error,
            };
            let lasting = Instant::now() < ends || self.client.credentials().can_log_in();
            if !(error.is_temporary() && lasting) {
                return Err(error);
            }
            sleep(Retry::default().backoff(attempt)).await;
            attempt += 1;
        }
    }

    /// How the token stands at first; a server that is away is waited for.
    async fn first(&self) -> Result<Standing, Error> {
        let mut attempt = 0;
        loop {
            match self.standing().await {
                Err(error) if error.is_temporary() => sleep(Retry::default().backoff(attempt)).await,
                done => return done,
            }
            attempt += 1;
        }
    }

    async fn standing(&self) -> Result<Standing, Error> {
        let token = self.client.tokens().lookup_self(TokenServiceLookupSelfRequest {}).await?.token.unwrap_or_default();
        let lives = token.expires_at.is_some().then(|| Duration::from_secs(token.ttl_seconds));
        Ok(Standing { ttl: lives, renewable: token.renewable })
    }

    async fn renewed(&self, before: Standing) -> Result<Standing, Error> {
        let asked = TokenServiceRenewSelfRequest { increment_seconds: None };
        let renewed = self.client.tokens().renew_self(asked).await?.renewed.unwrap_or_default();
        let ttl = before.ttl.map(|_| Duration::from_secs(renewed.ttl_seconds));
        Ok(Standing { ttl, renewable: renewed.renewable })
    }

    async fn logged_in(&self, number: u64) -> Result<Standing, Error> {
        self.client.credentials().replace(number, self.client.stranger()).await?;
        self.standing().await
    }
}

impl Standing {
    /// Whether a renewal gave about as much time as there was, and not the last seconds before the
    /// longest life that a token may have.
    fn is_worth(self, before: Self) -> bool {
        match (self.ttl, before.ttl) {
            (Some(now), Some(before)) => now >= before / 2,
            _ => true,
        }
    }
}

/// Two thirds of the time, less up to a tenth: clients that began together do not stay together.
/// Never at once, whatever the server says.
fn early(ttl: Duration) -> Duration {
    (ttl * 2 / 3).mul_f64(1.0 - part() / 10.0).max(Duration::from_millis(200))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_at_two_thirds_of_its_time_with_jitter() {
        for _ in 0..100 {
            let at = early(Duration::from_secs(30));
            assert!(at > Duration::from_millis(17_999) && at <= Duration::from_secs(20), "{at:?}");
        }
        assert_eq!(early(Duration::ZERO), Duration::from_millis(200));
    }

    #[test]
    fn a_renewal_that_gives_less_than_half_is_no_use() {
        let standing = |seconds| Standing { ttl: Some(Duration::from_secs(seconds)), renewable: true };
        assert!(standing(30).is_worth(standing(30)) && standing(15).is_worth(standing(30)));
        assert!(!standing(14).is_worth(standing(30)));
    }
}

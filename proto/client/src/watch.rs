//! Watching a prefix: a stream that goes on by itself where it was cut.

use std::time::Duration;

use tokio::time::sleep;
use tonic::{Request, Streaming};
use warder_proto::v1::secrets_service_client::SecretsServiceClient;

use crate::{
    client::Client,
    error::{Error, Outcome},
    proto::{
        SecretChange, SecretsServiceWatchRequest as WatchRequest, SecretsServiceWatchResponse as WatchResponse,
        secrets_service_watch_response::Event as Told,
    },
    retry::Kind,
};

/// What a watcher learns; never a value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A secret changed.
    Change(SecretChange),
    /// Changes were lost: read again what matters. What changes after this revision is told.
    Lagged {
        /// The revision.
        revision: u64,
    },
    /// The watch has begun: what changes after this revision is told. Told once, first.
    Ready {
        /// The revision.
        revision: u64,
    },
}

/// A watch. It ends with the value; a cut connection, a restart or a seal of the server do not end
/// it: it goes on from the last revision, and says [`Event::Lagged`] if the server no longer can.
#[derive(Debug)]
pub struct Watch {
    client: Client,
    prefix: String,
    revision: Option<u64>,
    told: bool,
    live: Option<Streaming<WatchResponse>>,
    attempt: u32,
    /// Before it tries again.
    pause: Option<Duration>,
}

impl Client {
    /// Watches what changes at a path or below a folder; empty: everywhere. Nothing is asked before
    /// [`Watch::next`].
    #[must_use]
    pub fn watch(&self, prefix: impl Into<String>) -> Watch {
        Watch {
            client: self.clone(),
            prefix: prefix.into(),
            revision: None,
            told: false,
            live: None,
            attempt: 0,
            pause: None,
        }
    }
}

impl Watch {
    /// Continues after this revision, of an earlier watch, instead of now.
    #[must_use]
    pub const fn from(mut self, revision: u64) -> Self {
        self.revision = Some(revision);
        self
    }

    /// Everything up to this revision was told.
    #[must_use]
    pub const fn revision(&self) -> Option<u64> {
        self.revision
    }

    /// Waits for the next event, for as long as that takes.
    ///
    /// # Errors
    /// What goes on to be so: `permission_denied`, `unauthenticated`, `invalid_request`. After an
    /// error the next call tries again.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            match self.try_next().await {
                Err(error) if error.is_temporary() => {}
                told => return told,
            }
        }
    }

    /// Waits for the next event, or for what keeps it from coming. The next call goes on from the last
    /// revision; after an error that [`Error::is_temporary`] with a pause, which grows.
    ///
    /// # Errors
    /// As [`Watch::next`]; and that the server cannot be reached, or ended the watch for now.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    pub async fn try_next(&mut self) -> Result<Event, Error> {
        if let Some(pause) = self.pause {
            sleep(pause).await;
            self.pause = None;
        }
        loop {
            let error = match self.step().await {
                Ok(Some(event)) => return Ok(event),
                Ok(None) => continue,
                Err(error) => error,
            };
            let lasted = self.live.take().is_some();
            if lasted && error.code() == "unauthenticated" && self.client.credentials().can_log_in() {
                continue;
            }
            if error.is_temporary() {
                self.pause = Some(self.client.retry().backoff(self.attempt) + error.retry_after().unwrap_or_default());
                self.attempt = self.attempt.saturating_add(1);
            }
            return Err(error);
        }
    }

    /// One message, or the opening of a stream.
    async fn step(&mut self) -> Result<Option<Event>, Error> {
        let Some(live) = &mut self.live else {
            self.live = Some(self.open().await?);
            return Ok(None);
        };
        let ended = || Error::new("interrupted", tonic::Code::Unavailable, "the watch was ended", Outcome::Nothing);
        let told = live.message().await.map_err(Error::from)?.ok_or_else(ended)?;
        self.attempt = 0;
        let (revision, event) = match told.event {
            Some(Told::Ready(ready)) => {
                let first = !std::mem::replace(&mut self.told, true);
                (ready.revision, first.then_some(Event::Ready { revision: ready.revision }))
            }
            Some(Told::Change(change)) => (change.revision, Some(Event::Change(change))),
            Some(Told::Lagged(lagged)) => {
                self.told = true;
                (lagged.revision, Some(Event::Lagged { revision: lagged.revision }))
            }
            Some(Told::Heartbeat(heartbeat)) => (heartbeat.revision, None),
            // A later server's.
            None => return Ok(None),
        };
        self.revision = Some(revision);
        Ok(event)
    }

    async fn open(&self) -> Result<Streaming<WatchResponse>, Error> {
        let asked = WatchRequest { prefix: self.prefix.clone(), from_revision: self.revision };
        let send = |client: Client, request: Request<WatchRequest>| async move {
            let largest = client.largest();
            let grpc = SecretsServiceClient::with_origin(client.wire(), client.wire().origin());
            let (mut metadata, extensions, asked) = request.into_parts();
            // It would end the stream, not only its opening.
            metadata.remove("grpc-timeout");
            let request = Request::from_parts(metadata, extensions, asked);
            grpc.max_decoding_message_size(largest).watch(request).await
        };
        Box::pin(self.client.call(Kind::Read, asked, send)).await
    }
}

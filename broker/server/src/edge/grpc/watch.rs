//! `SecretsService.Watch`: what `rest::watch` tells, as messages.

use std::{collections::VecDeque, pin::Pin, sync::Arc};

use futures_util::{Stream, stream};
use tonic::Status;
use warder_core::{
    broker::{Told, Watch, WatchRequest},
    feed::{Item, Spelling},
    news::Kind,
};
use warder_proto::v1::{
    SecretChange, SecretChangeKind, SecretWatchHeartbeat as Heartbeat, SecretWatchLagged as Lagged,
    SecretWatchReady as Ready, SecretsServiceWatchRequest as Request, SecretsServiceWatchResponse as Response,
    secrets_service_watch_response::Event,
};

use super::{
    super::{log_fault, problem::Refusal, rest::watch::prefix},
    call::Call,
    status,
};

/// The stream of a watch.
pub(super) type Watching = Pin<Box<dyn Stream<Item = Result<Response, Status>> + Send>>;

/// Opens a watch.
pub(super) async fn watch(call: &Call, asked: Request) -> Result<Watching, Refusal> {
    call.in_time()?;
    let request = WatchRequest {
        id: call.id().clone(),
        credential: call.credential()?,
        peer: call.peer().clone(),
        prefix: prefix(&asked.prefix)?,
        from: asked.from_revision,
        deadline: call.time_left()?,
        lasts: call.time_asked()?,
    };
    let watch = call.edge().broker.watch(request).await?;
    let open = Open { watch, id: call.id().clone(), waiting: VecDeque::new() };
    Ok(Box::pin(stream::unfold(Some(open), |open| async move { open?.next().await })))
}

struct Open {
    watch: Watch,
    id: Arc<str>,
    /// Changes that come next.
    waiting: VecDeque<(Arc<Item>, Spelling)>,
}

impl Open {
    async fn next(mut self) -> Option<(Result<Response, Status>, Option<Self>)> {
        loop {
            if let Some((item, spelling)) = self.waiting.pop_front() {
                return Some((Ok(message(Event::Change(change(&item, spelling)))), Some(self)));
            }
            let event = match self.watch.next().await {
                Told::Beat(revision) => Event::Heartbeat(Heartbeat { revision }),
                Told::Changes(items) => {
                    self.waiting = items.into();
                    continue;
                }
                Told::End(error) => {
                    let refusal = Refusal::from(error);
                    log_fault(&self.id, &refusal);
                    return Some((Err(status::of(&refusal, status::code(refusal.error()), &self.id)), None));
                }
                Told::Lagged(revision) => Event::Lagged(Lagged { revision }),
                Told::Ready(revision) => Event::Ready(Ready { revision }),
            };
            return Some((Ok(message(event)), Some(self)));
        }
    }
}

const fn message(event: Event) -> Response {
    Response { event: Some(event) }
}

fn change(item: &Item, spelling: Spelling) -> SecretChange {
    let news = &item.news;
    let version = match news.versions[..] {
        [version] => Some(version),
        _ => None,
    };
    let kind: SecretChangeKind = kind(news.kind);
    SecretChange {
        revision: item.revision,
        kind: kind.into(),
        path: item.path(spelling).to_owned(),
        version,
        versions: news.versions.clone(),
        at: Some(prost_types::Timestamp {
            seconds: i64::try_from(news.at.0 / 1000).unwrap_or(i64::MAX),
            nanos: i32::try_from(news.at.0 % 1000 * 1_000_000).unwrap_or_default(),
        }),
    }
}

const fn kind(kind: Kind) -> SecretChangeKind {
    match kind {
        Kind::Created => SecretChangeKind::Created,
        Kind::Deleted => SecretChangeKind::Deleted,
        Kind::Destroyed => SecretChangeKind::Destroyed,
        Kind::Metadata => SecretChangeKind::Metadata,
        Kind::Undeleted => SecretChangeKind::Undeleted,
        Kind::Unmounted => SecretChangeKind::Unmounted,
        Kind::Updated => SecretChangeKind::Updated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_the_same_words_in_both_doors() {
        for known in Kind::ALL {
            let name = kind(known).as_str_name();
            assert_eq!(name.strip_prefix("SECRET_CHANGE_KIND_").unwrap().to_lowercase(), known.word());
        }
    }
}

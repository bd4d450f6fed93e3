//! `grpc.health.v1`: what `/health` says, for gRPC's clients and load balancers.

use std::pin::Pin;

use futures_util::{Stream, stream};
use tokio::sync::watch;
use tonic::{Request, Response, Status};
use warder_core::error::{Error, ErrorKind};
use warder_proto::health::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
    health_check_response::ServingStatus, health_server::Health,
};

use super::{call::Call, methods::METHODS, streams::Begun};

type Watching = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Health for Call {
    type WatchStream = Watching;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let edge = self.edge();
        let status = status(&request.into_inner().service, edge.broker.is_open(), edge.is_leaving());
        let unknown = || Error::new(ErrorKind::NotFound, "no such service").at("service").into();
        self.tell_plain(status.map(response).ok_or_else(unknown))
    }

    async fn list(&self, _: Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        let (open, leaving) = (self.edge().broker.is_open(), self.edge().is_leaving());
        let of = |name: &str| Some((name.to_owned(), response(status(name, open, leaving)?)));
        Ok(Response::new(HealthListResponse { statuses: services().filter_map(of).collect() }))
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Watching>, Status> {
        let edge = self.edge();
        let begun = edge.streams.begin().map_err(|refusal| self.refuse(&refusal))?;
        let watched = Watched {
            service: request.into_inner().service,
            open: edge.broker.openness(),
            leaving: edge.leaving.clone(),
            closings: edge.broker.closings(),
            begun,
            said: None,
        };
        let told = stream::unfold(Some(watched), |watched| async {
            let mut watched = watched?;
            match watched.next().await {
                Some(status) => Some((Ok(response(status)), Some(watched))),
                None => Some((Err(Status::unavailable("this connection ends: watch again")), None)),
            }
        });
        Ok(Response::new(Box::pin(told)))
    }
}

/// A service that is watched.
struct Watched {
    service: String,
    open: watch::Receiver<bool>,
    leaving: watch::Receiver<bool>,
    closings: watch::Receiver<u64>,
    begun: Begun,
    said: Option<ServingStatus>,
}

impl Watched {
    /// What it is, when that is not what was said last; none when it is over.
    async fn next(&mut self) -> Option<ServingStatus> {
        loop {
            let open = *self.open.borrow_and_update();
            let leaving = *self.leaving.borrow_and_update();
            let status = status(&self.service, open, leaving).unwrap_or(ServingStatus::ServiceUnknown);
            if self.said.replace(status) != Some(status) {
                return Some(status);
            }
            tokio::select! {
                biased;
                changed = self.open.changed() => changed.ok()?,
                changed = self.leaving.changed() => changed.ok()?,
                _ = self.closings.changed() => return None,
                () = self.begun.stopped() => return None,
            }
        }
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

/// Every service by its full name, and the whole, which has none.
fn services() -> impl Iterator<Item = &'static str> {
    let mut names: Vec<&str> = METHODS.iter().filter_map(|method| method.path.split('/').nth(1)).collect();
    names.dedup();
    std::iter::once("").chain(names)
}

/// How a service is; none when there is no such service. Of a server that ends none is there for long.
fn status(service: &str, open: bool, leaving: bool) -> Option<ServingStatus> {
    let name = services().find(|name| *name == service)?;
    // Those that answer a sealed server, too.
    let always = name.starts_with("grpc.") || name == "warder.v1.SysService";
    Some(if (open || always) && !leaving { ServingStatus::Serving } else { ServingStatus::NotServing })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_serve_while_the_barrier_is_open_and_some_always() {
        use ServingStatus::{NotServing, Serving};
        for (service, open, sealed) in [
            ("", Some(Serving), Some(NotServing)),
            ("warder.v1.SecretsService", Some(Serving), Some(NotServing)),
            ("warder.v1.SysService", Some(Serving), Some(Serving)),
            ("grpc.health.v1.Health", Some(Serving), Some(Serving)),
            ("warder.v1.Secrets", None, None),
        ] {
            assert_eq!((status(service, true, false), status(service, false, false)), (open, sealed), "{service}");
            assert_eq!(status(service, true, true), open.map(|_| NotServing), "{service}");
        }
        assert_eq!(services().filter(|name| name.starts_with("warder.v1.")).count(), 9);
    }
}

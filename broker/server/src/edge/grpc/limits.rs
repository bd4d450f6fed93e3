//! `LimitService`: the same requests as `rest::limits` makes.

use tonic::{Request, Response, Status};
use warder_core::{
    error::Error,
    quota,
    request::{Fields, Operation},
};
use warder_proto::v1::{
    GroupBy, Limit, LimitServiceDeleteRequest as DeleteRequest, LimitServiceDeleteResponse as DeleteResponse,
    LimitServiceGetRequest as GetRequest, LimitServiceGetResponse as GetResponse,
    LimitServiceListLockedUsersRequest as ListLockedUsersRequest,
    LimitServiceListLockedUsersResponse as ListLockedUsersResponse, LimitServiceListRequest as ListRequest,
    LimitServiceListResponse as ListResponse, LimitServicePutRequest as PutRequest,
    LimitServicePutResponse as PutResponse, LimitServiceUnlockUserRequest as UnlockUserRequest,
    LimitServiceUnlockUserResponse as UnlockUserResponse, LockedUser, limit_service_server::LimitService,
};

use super::{
    super::{
        parse_path,
        problem::Refusal,
        rest::limits::{LIMITS, Locked, Shown, unlock_path},
    },
    call::{Call, Told},
    shape,
};

/// Longest time that has a meaning here, by far.
const MOST_SECONDS: f64 = 1e9;

#[tonic::async_trait]
impl LimitService for Call {
    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        self.tell(list(self, request.into_inner()).await)
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        self.tell(get(self, request.into_inner()).await)
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        self.tell(put(self, request.into_inner()).await)
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Result<Response<DeleteResponse>, Status> {
        self.tell(delete(self, request.into_inner()).await)
    }

    async fn list_locked_users(
        &self,
        _: Request<ListLockedUsersRequest>,
    ) -> Result<Response<ListLockedUsersResponse>, Status> {
        self.tell(list_locked_users(self).await)
    }

    async fn unlock_user(&self, request: Request<UnlockUserRequest>) -> Result<Response<UnlockUserResponse>, Status> {
        self.tell(unlock_user(self, request.into_inner()).await)
    }
}

async fn list(call: &Call, asked: ListRequest) -> Told<ListResponse> {
    let mut fields = Fields::default();
    let limit = shape::page(asked.after.as_deref(), asked.limit, &mut fields)?;
    let answered = call.canonical(Operation::List, LIMITS, fields).await?;
    let (names, next) = shape::names(shape::listed(&answered)?, limit);
    Ok((ListResponse { names, next }, answered))
}

async fn get(call: &Call, asked: GetRequest) -> Told<GetResponse> {
    let answered = call.canonical(Operation::Read, &path(&asked.name)?, Fields::default()).await?;
    let Shown { name, path, rate, interval, block_interval, group_by } = Shown::of(&answered)?;
    let (interval_seconds, block_interval_seconds) = (interval.as_f64(), block_interval.as_f64());
    let rate = rate.as_f64().unwrap_or_default();
    let group_by = match group_by {
        quota::GroupBy::Ip => GroupBy::Ip,
        quota::GroupBy::None => GroupBy::None,
        quota::GroupBy::TokenThenIp => GroupBy::TokenThenIp,
    };
    let limit = Limit { name, path, rate, interval_seconds, block_interval_seconds, group_by: group_by.into() };
    Ok((GetResponse { limit: Some(limit) }, answered))
}

async fn put(call: &Call, asked: PutRequest) -> Told<PutResponse> {
    let limit = asked.limit.unwrap_or_default();
    let answered = call.canonical(Operation::Update, &path(&limit.name)?, fields(&limit)?).await?;
    Ok((PutResponse {}, answered))
}

async fn delete(call: &Call, asked: DeleteRequest) -> Told<DeleteResponse> {
    let answered = call.canonical(Operation::Delete, &path(&asked.name)?, Fields::default()).await?;
    Ok((DeleteResponse {}, answered))
}

async fn list_locked_users(call: &Call) -> Told<ListLockedUsersResponse> {
    let answered = call.canonical(Operation::Read, "sys/locked-users", Fields::default()).await?;
    let one = |Locked { accessor, name }| LockedUser { accessor, name };
    let locked = Locked::all(&answered)?.into_iter().map(one).collect();
    Ok((ListLockedUsersResponse { locked }, answered))
}

async fn unlock_user(call: &Call, asked: UnlockUserRequest) -> Told<UnlockUserResponse> {
    let path = unlock_path(&asked.accessor, &asked.name)?;
    parse_path(&path).map_err(|error| error.at("name"))?;
    let answered = call.canonical(Operation::Update, &path, Fields::default()).await?;
    Ok((UnlockUserResponse {}, answered))
}

/// A limit in the broker's words.
fn fields(limit: &Limit) -> Result<Fields, Error> {
    let mut fields = Fields::default();
    fields.set_string("path", &limit.path);
    // What is no number in JSON is no rate either.
    fields.set("rate", serde_json::json!(limit.rate).to_string());
    for (name, seconds) in [("interval", limit.interval_seconds), ("block_interval", limit.block_interval_seconds)] {
        if let Some(seconds) = seconds {
            fields.set_string(name, &milliseconds(name, seconds)?);
        }
    }
    let group_by = GroupBy::try_from(limit.group_by).map_err(|_| Error::invalid("group_by", "expected a GroupBy"))?;
    let word = match group_by {
        GroupBy::Unspecified | GroupBy::Ip => "ip",
        GroupBy::None => "none",
        GroupBy::TokenThenIp => "token_then_ip",
    };
    fields.set_string("group_by", word);
    Ok(fields)
}

fn milliseconds(field: &'static str, seconds: f64) -> Result<String, Error> {
    match (0.0..=MOST_SECONDS).contains(&seconds) {
        true => Ok(format!("{:.0}ms", seconds * 1000.0)),
        false => Err(Error::invalid(field, "expected seconds that are not negative")),
    }
}

/// The canonical path of a limit.
fn path(name: &str) -> Result<String, Refusal> {
    if name.is_empty() || name.contains('/') {
        return Err(Refusal::invalid("name", "expected the name of a limit, without '/'"));
    }
    let path = format!("{LIMITS}{name}");
    parse_path(&path).map_err(|error| error.at("name"))?;
    Ok(path)
}

//! Steps 6 to 10: open record, sandbox, commit, close record. Runs detached from the caller.

use std::{sync::Arc, time::Duration};

use super::{
    Broker,
    admit::{Admission, Place, Spot},
    leases, plugin,
};
use crate::{
    audit::{Outcome, Record},
    cache::{self, Flight},
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
    feed::Stop,
    lease::Pending,
    news::News,
    port::{
        backend::{Call, Caller, Observed, PluginAnswer, PluginReply},
        storage,
        usage::Export,
    },
    request::{Answer, LeaseShown, Operation, Reply},
    route::{self, Deed, Mount},
    sys::{Ask, Served},
    trace::{self, Value},
    txn::ReadSet,
};

/// Tries of one call whose transaction meets a conflict.
const ATTEMPTS: u32 = 32;

/// A plugin's answer, committed.
struct Made {
    answer: Answer,
    warnings: Vec<String>,
    observed: Observed,
    fresh: Option<Duration>,
    reads: ReadSet,
    wrote: bool,
    lease: Option<LeaseShown>,
}

impl Broker {
    pub(super) async fn perform(self: Arc<Self>, mut admission: Admission) -> Result<Reply> {
        let key = admission.cache_key();
        let mut lead = None;
        if let Some(key) = key.as_ref().filter(|_| !admission.refresh) {
            let stage = trace::stage("remember");
            let flight = self.cache.flights().join(key).await;
            stage.ended(None);
            match flight {
                Flight::Lead(turn) => lead = Some(turn),
                Flight::Landed | Flight::Alone => {
                    if let Some(hit) = self.recall(&admission) {
                        return self.recorded(admission, hit).await;
                    }
                }
            }
        }
        if let Err(error) = self.make_room(&mut admission) {
            return Box::pin(self.refuse(admission.entry, error)).await;
        }
        self.noted("audit.open", Record::open(&admission.entry)).await?;
        let ticket = self.cache.ticket();
        let result = match &admission.place {
            Place::Native(_) => {
                let stage = trace::stage("native");
                let result = self.native(&admission).await;
                stage.end(&result);
                result
            }
            Place::Plugin(_) => self.sandboxed(&mut admission).await.map(|made| {
                let reply = admission.reply(made.answer.clone(), made.warnings.clone(), false);
                let reply = Reply { lease: made.lease.clone(), ..reply };
                if key.as_ref().is_some_and(|key| self.keep(ticket, key, &admission, made)) {
                    lead.iter().for_each(cache::Lead::kept);
                }
                reply
            }),
        };
        drop(lead);
        self.judge(&admission, result.as_ref().err());
        let outcome = match &result {
            Ok(reply) => Outcome::of(reply, None),
            Err(error) => Outcome::failed(error),
        };
        let closed = self.noted("audit.close", Record::close(&admission.entry, outcome)).await;
        if let (Err(error), Ok(_), Place::Native(matched)) = (&closed, &result, &admission.place)
            && matched.irreplaceable()
        {
            tracing::error!(error = %error.chain(), "an administrative answer left without its closing record");
            return result;
        }
        if let (Err(_), Ok(Reply { lease: Some(lease), .. }), Place::Plugin(_)) = (&closed, &result, &admission.place) {
            // Nobody will ever know it.
            let _ = self.sys.leases.doom(&lease.id).await;
        }
        closed.map_err(|error| unshown(error, result.is_ok() && admission.entry.effects))?;
        result
    }

    /// A place in the mount, if it has none yet.
    fn make_room(&self, admission: &mut Admission) -> Result<()> {
        let asker = admission.asker().to_owned();
        if let Place::Plugin(spot) = &mut admission.place
            && spot.room.is_none()
        {
            spot.room = Some(self.gates.enter(&spot.mount, &asker)?);
        }
        Ok(())
    }

    async fn native(self: &Arc<Self>, admission: &Admission) -> Result<Reply> {
        let Place::Native(matched) = &admission.place else { return Err(Error::internal("not a native path")) };
        let Some(acl) = &admission.acl else { return Err(Error::denied()) };
        let ask = Ask {
            permit: &admission.permit,
            acl,
            credential: &admission.credential,
            operation: admission.operation,
            captures: &matched.captures,
            fields: &admission.fields,
        };
        if let Some(order) = matched.lease_order(&ask)? {
            return self.order(order, admission).await;
        }
        if let Some(mount) = matched.unmounts(admission.operation) {
            self.clear(&mount).await?;
        }
        let turn = match matched.seals() {
            true => Some(self.close_doors().await),
            false => None,
        };
        let served = self.sys.serve(matched, &ask).await;
        match (&turn, &served) {
            (Some(_), Ok(_)) => {
                self.feed.stop(Stop::Sealed);
                self.closings.send_modify(|closings| *closings += 1);
            }
            (Some(_), Err(_)) => self.reopen_doors(),
            (None, _) => {}
        }
        let Served { answer, auth, warnings, transfer } = served?;
        Ok(Reply { auth, transfer, ..admission.reply(answer, warnings, false) })
    }

    /// Runs the plugin until its transaction commits without a conflict.
    async fn sandboxed(&self, admission: &mut Admission) -> Result<Made> {
        let Place::Plugin(spot) = &admission.place else { return Err(Error::internal("not a plugin's path")) };
        let lifted = route::lift(&spot.route, &spot.target.captures, &admission.fields)?;
        let Some(pending) = self.intend(admission).await? else {
            return self.tried(admission, &lifted, None, &mut false).await;
        };
        let mut acted = false;
        let made = self.tried(admission, &lifted, Some(&pending), &mut acted).await;
        if made.is_err() {
            self.abandon(&pending, acted).await;
        }
        made
    }

    /// With a lease that waits to be confirmed, where one is issued; `acted`: the plugin may have
    /// changed something outside.
    async fn tried(
        &self,
        admission: &mut Admission,
        lifted: &route::Lifted,
        pending: Option<&Pending>,
        acted: &mut bool,
    ) -> Result<Made> {
        let operation = admission.operation;
        let Place::Plugin(spot) = &mut admission.place else { return Err(Error::internal("not a plugin's path")) };
        let mut begun = spot.begun.take();
        for attempt in 0..ATTEMPTS {
            let running = match &spot.room {
                Some(room) => Some(room.call(admission.until).await?),
                None => None,
            };
            let caller = Caller { identity: admission.identity.clone(), peer: admission.peer.clone() };
            let mut run = self.invocation(&spot.mount, caller.clone(), admission.deadline, begun.take()).await?;
            if attempt > 0 && asks_exists(spot, operation) {
                // The world changed: was this still the operation that was allowed?
                let asked = spot.plugin.backend.exists(run, spot.target.clone());
                let ran = self.told(&spot.mount.scope, Export::Exists, asked).await;
                if ran.result? != (operation == Operation::Update) {
                    return Err(Error::new(
                        ErrorKind::Conflict,
                        "the path came or went while it was written: try again",
                    ));
                }
                run = self.invocation(&spot.mount, caller, admission.deadline, ran.txn).await?;
            }
            let call = Call {
                id: admission.id.to_string(),
                operation,
                target: spot.target.clone(),
                data: lifted.data.clone(),
                secrets: lifted.secrets.clone(),
                lease_id: pending.map(|pending| pending.id().to_owned()),
                default_ttl: self.config.token.default_ttl,
                max_ttl: self.config.token.max_ttl,
            };
            let mut stage = trace::stage("plugin");
            stage.about("warder.operation", || Value::Text(operation.word().into()));
            let handled = self.told(&spot.mount.scope, Export::Handle, spot.plugin.backend.handle(run, call));
            let ran = trace::within(stage.inner(), handled).await;
            stage.end(&ran.result);
            // Its commit is no call any more.
            drop(running);
            let name = |e: Error| named(e, spot);
            *acted |= ran.observed.outside;
            let reply = ran.result.map_err(name)?;
            let grant = leases::granted(&reply, pending, spot)?;
            let version = reply.version.clone();
            let txn = ran.txn.ok_or_else(|| Error::internal("the sandbox lost its transaction"))?;
            let (reads, wrote) = (txn.read_set().clone(), txn.wrote());
            // Before the commit: an answer that cannot be given must leave nothing behind.
            let mut made = made(reply, ran.observed, reads, wrote, &lifted.unknown).map_err(name)?;
            let mut batch = txn.finish();
            if let (Some(grant), Some(pending)) = (grant, pending) {
                made.lease = Some(self.sys.leases.confirm(pending, &grant, &mut batch)?);
            }
            if wrote || made.lease.is_some() {
                let news = self.news(spot, operation, &lifted.data, version.as_deref()).await?;
                if self.committed(batch, news).await? == storage::Outcome::Conflict {
                    self.still_wanted(pending).await?;
                    continue;
                }
            }
            if made.lease.is_some() {
                self.sys.leases.confirmed();
            }
            return Ok(made);
        }
        Err(Error::new(ErrorKind::Conflict, format!("lost against other writers {ATTEMPTS} times: try again")))
    }

    /// A lease that was revoked while it was issued is not issued any more.
    async fn still_wanted(&self, pending: Option<&Pending>) -> Result<()> {
        match pending {
            Some(pending) if !self.sys.leases.stands(pending).await? => {
                Err(Error::new(ErrorKind::Conflict, "the lease was revoked before it was issued"))
            }
            _ => Ok(()),
        }
    }

    async fn committed(&self, batch: storage::Batch, news: Option<News>) -> Result<storage::Outcome> {
        let mut stage = trace::stage("commit");
        let outcome = self.storage.announce(batch, news.map(Arc::new)).await;
        stage.about("warder.conflict", || Value::Flag(matches!(outcome, Ok(storage::Outcome::Conflict))));
        stage.end(&outcome);
        outcome
    }

    /// What a write means to those who watch.
    async fn news(&self, spot: &Spot, operation: Operation, data: &str, version: Option<&str>) -> Result<Option<News>> {
        let table = self.sys.mounts.table().await?;
        let routes = |mount: &Mount| self.loaded.of(mount).ok().map(|plugin| plugin.routes.clone());
        let deed = Deed { mount: &spot.mount, target: &spot.target, operation, data, version };
        Ok(route::news(&table, &deed, self.clock.now(), &routes))
    }

    /// Keeps an answer as long as what the host saw it depend on allows; says whether it did.
    fn keep(&self, ticket: cache::Ticket, key: &cache::Key, admission: &Admission, made: Made) -> bool {
        let Some(until) = lasting(&made, self.clock.now()) else { return false };
        let asker = made.observed.caller.then(|| admission.asker());
        let entry = cache::Entry::new(Some(made.answer), made.warnings, self.clock.now(), until, made.reads);
        self.cache.keep(ticket, key, asker, entry);
        true
    }
}

/// None: not at all. Otherwise until when, if there is an end.
fn lasting(made: &Made, now: Timestamp) -> Option<Option<Timestamp>> {
    if made.wrote || made.observed.unrepeatable || matches!(made.answer, Answer::Raw { .. }) {
        return None;
    }
    match (made.observed.outside, made.fresh) {
        (true, None) => None,
        (true, Some(fresh)) => {
            let stale = now.after(fresh);
            Some(Some(made.observed.until.map_or(stale, |until| until.min(stale))))
        }
        (false, _) => Some(made.observed.until),
    }
}

/// The open record was taken and the closing one was not.
fn unshown(error: Error, done: bool) -> Error {
    match done {
        true => Error {
            detail: "it was done, but no audit sink took the record of that: the answer is not shown".into(),
            done: true,
            // A repetition would do it once more.
            retry_after: None,
            ..error
        },
        false => error,
    }
}

fn made(reply: PluginReply, observed: Observed, reads: ReadSet, wrote: bool, unknown: &[String]) -> Result<Made> {
    let mut warnings = reply.warnings;
    // What is nothing or gone has no place for a warning.
    let has_place = !matches!(reply.answer, PluginAnswer::Gone { .. } | PluginAnswer::Nothing);
    if !unknown.is_empty() && has_place {
        warnings.push(format!("Endpoint ignored these unrecognized parameters: [{}]", unknown.join(" ")));
    }
    Ok(Made {
        answer: plugin::reveal(reply.answer)?,
        warnings,
        observed,
        fresh: reply.fresh,
        reads,
        wrote,
        lease: None,
    })
}

fn asks_exists(spot: &Spot, operation: Operation) -> bool {
    matches!(operation, Operation::Create | Operation::Update) && spot.route.verbs.contains(&Operation::Create)
}

/// A fault names its plugin and mount; what the caller did wrong has no need of it.
fn named(error: Error, spot: &Spot) -> Error {
    use ErrorKind::{Conflict, InvalidRequest, NotFound, PermissionDenied, PreconditionFailed};
    match error.kind {
        Conflict | InvalidRequest | NotFound | PermissionDenied | PreconditionFailed => {
            Error { plugin: None, mount: None, ..error }
        }
        _ if error.plugin.is_some() => error,
        _ => error.in_plugin(spot.mount.scope.plugin.as_str(), spot.mount.path.as_str()),
    }
}

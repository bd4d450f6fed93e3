//! Steps 1 to 5: from a request to an admission, which holds the permit and everything that was
//! found on the way. What is refused here is recorded as refused.

use std::sync::Arc;

use tokio::{
    sync::OwnedMutexGuard,
    time::{Instant, timeout_at},
};

use super::{Broker, gate::Place as Spare, load::UnderWay, login, plugin::Plugin};
use crate::{
    audit::{self, Outcome, Record},
    authz::{self, Acl, Permit, Question, privileged},
    cache,
    error::{Error, ErrorKind, Result},
    identity::{Identity, Peer},
    path::Path,
    port::{
        backend::{Caller, Invocation, Route, Target},
        usage::Export,
    },
    quota::Counted,
    request::{Address, Fields, Operation, Operations, Reply, Request, SecretRoute, SecretView},
    route::{self, Mount},
    secret::Secret,
    sys,
    trace::{self, Stage},
    txn::Transaction,
};

/// A request that may go on.
pub(super) struct Admission {
    pub(super) id: Arc<str>,
    pub(super) operation: Operation,
    pub(super) permit: Permit,
    pub(super) identity: Option<Arc<Identity>>,
    pub(super) acl: Option<Arc<Acl>>,
    pub(super) credential: Secret,
    pub(super) peer: Peer,
    pub(super) path: Path,
    pub(super) place: Place,
    pub(super) fields: Arc<Fields>,
    pub(super) secret_route: Option<Arc<SecretRoute>>,
    pub(super) entry: audit::Entry,
    pub(super) refresh: bool,
    pub(super) deadline: std::time::Duration,
    pub(super) until: Instant,
    /// Counts it for as long as it lasts.
    pub(super) under_way: Option<UnderWay>,
    /// Whom it logs in; empty for nobody in particular.
    pub(super) login: Option<String>,
}

/// Who answers.
pub(super) enum Place {
    /// The broker itself.
    Native(sys::Matched),
    /// A plugin.
    Plugin(Box<Spot>),
}

/// A route of a mounted plugin.
pub(super) struct Spot {
    pub(super) mount: Arc<Mount>,
    pub(super) plugin: Plugin,
    pub(super) route: Arc<Route>,
    pub(super) target: Target,
    /// The transaction in which `exists` was asked, to go on with.
    pub(super) begun: Option<Transaction>,
    /// Held by writers of this path.
    pub(super) turn: Option<OwnedMutexGuard<()>>,
    /// Among those that the mount bears; freed after the turn.
    pub(super) room: Option<Spare>,
}

/// What is known before anybody asked whether it is allowed.
struct Found {
    path: Path,
    place: Result<Place>,
    fields: Fields,
    secret_route: Option<Arc<SecretRoute>>,
}

impl Broker {
    pub(super) async fn admit(self: &Arc<Self>, request: Request, until: Instant) -> Result<Admission> {
        let mut entry = self.entry(&request);
        if !self.is_open() {
            return Box::pin(self.refuse(entry, self.closed())).await;
        }
        let limited = match self.limited(&request).await {
            Ok(limited) => limited,
            Err(error) => return Box::pin(self.refuse(entry, error)).await,
        };
        let identified = self.identified(&request).await;
        if let Some(limited) = limited
            && let Err(error) = self.limited_token(&request, identified.as_ref().ok(), limited).await
        {
            return Box::pin(self.refuse(entry, error)).await;
        }
        let identity = match identified {
            Ok(identity) => identity,
            Err(error) => return Box::pin(self.refuse(entry, error)).await,
        };
        entry.identity.clone_from(&identity);
        let stranger = login::stranger(&request).then(|| request.peer.clone());
        match self.admitted(request, until, identity, &mut entry).await {
            Ok(admission) => Ok(admission),
            Err(error) => {
                let missed = stranger.filter(|_| error.kind == ErrorKind::Unauthenticated);
                missed.iter().for_each(|peer| self.missed(peer));
                Box::pin(self.refuse(entry, error)).await
            }
        }
    }

    /// Counts what counts before anybody is identified; none without any limit.
    async fn limited(&self, request: &Request) -> Result<Option<(Path, Counted)>> {
        if self.sys.quotas.is_empty().await? {
            return Ok(None);
        }
        let path = Box::pin(self.canonical(&request.address)).await?;
        let counted = Box::pin(self.sys.quotas.admit(path.as_str(), request.peer.address)).await?;
        Ok(Some((path, counted)))
    }

    /// Counts what counts by token. One that nobody knows counts as its address.
    async fn limited_token(
        &self,
        request: &Request,
        identity: Option<&Option<Arc<Identity>>>,
        (path, counted): (Path, Counted),
    ) -> Result<()> {
        let known = identity.and_then(Option::as_ref);
        // Batch tokens have no digest: their text tells them apart.
        let token = known.and_then(|identity| match identity.digest.as_str() {
            "" => request.credential.as_ref().map(Secret::expose),
            digest => Some(digest.as_bytes()),
        });
        Box::pin(self.sys.quotas.admit_token(path.as_str(), request.peer.address, token, counted)).await
    }

    /// The path that is asked for; one that nobody serves stays as it is.
    async fn canonical(&self, address: &Address) -> Result<Path> {
        match address {
            Address::Canonical(path) => Ok(path.clone()),
            Address::Secret { view, path } => {
                Ok(self.resolve(*view, path).await?.map_or_else(|_| path.clone(), |found| found.path))
            }
        }
    }

    /// Which path of which mount a path of `/api/v1/secrets` stands for.
    async fn resolve(&self, view: SecretView, path: &Path) -> Result<Result<route::Resolved>> {
        let table = self.sys.mounts.table().await?;
        let routes = |mount: &Mount| self.loaded.of(mount).ok().map(|plugin| plugin.routes.clone());
        Ok(route::resolve(&table, view, path, &routes))
    }

    async fn admitted(
        self: &Arc<Self>,
        mut request: Request,
        until: Instant,
        identity: Option<Arc<Identity>>,
        entry: &mut audit::Entry,
    ) -> Result<Admission> {
        let fields = std::mem::take(&mut request.fields);
        let stage = trace::stage("resolve");
        let found = self.find(&request, fields).await.map_err(|e| or_unknown(e, identity.as_ref()));
        stage.end(&found);
        let mut found = found?;
        let fields = Arc::new(std::mem::take(&mut found.fields));
        entry.path = (&found.path).into();
        entry.fields = (!fields.is_empty()).then(|| fields.clone());
        if let Ok(Place::Plugin(spot)) = &found.place {
            entry.mount = Some(spot.mount.scope.clone());
        }
        let public = matches!(&found.place, Ok(Place::Plugin(spot)) if spot.route.public);
        let Some(identity) = identity else {
            return match public {
                true => self.public(request, until, found, fields, entry),
                false => Err(unknown()),
            };
        };
        let stage = trace::stage("authorize");
        let acl = match self.sys.policies.acl_for(&identity.policies).await {
            Ok(acl) => acl,
            Err(error) => {
                stage.ended(Some(error.kind.code()));
                return Err(error);
            }
        };
        let mut operation = request.operation;
        let decided = self.decide(&request, until, &mut found, &fields, &identity, &acl, &mut operation, &stage).await;
        stage.end(&decided);
        entry.operation = operation.word();
        // A use is a use, allowed or not.
        if identity.counted {
            Box::pin(self.sys.tokens.spend(&identity)).await?;
        }
        let permit = decided?;
        let place = found.place?;
        takes(&place, operation)?;
        Ok(admission(
            request,
            until,
            found.path,
            found.secret_route,
            place,
            fields,
            operation,
            permit,
            Some((identity, acl)),
            entry,
        ))
    }

    /// Where the request goes. A path that nobody serves is an error kept for later: whether the
    /// caller may learn of it is a question of policy.
    async fn find(&self, request: &Request, fields: Fields) -> Result<Found> {
        match &request.address {
            Address::Canonical(path) => {
                // Policies tell a folder from a leaf by its slash, whatever the client sent.
                let path = if request.operation == Operation::List { path.to_folder() } else { path.clone() };
                // And a leaf has one spelling: with a slash it would pass by the rule for it.
                let place = match path.is_folder() && request.operation != Operation::List {
                    true => Err(Error::new(ErrorKind::NotFound, "unsupported path")),
                    false => self.place(&path).await?,
                };
                Ok(Found { path, place, fields, secret_route: None })
            }
            Address::Secret { view, path } => {
                let resolved = self.resolve(*view, path).await??;
                // A rotation brings no value: its fields are the plugin's own.
                let fields = match request.operation {
                    Operation::Rotate => fields,
                    _ => route::shape(&resolved.route, fields)?,
                };
                let place = self.place(&resolved.path).await?;
                Ok(Found { path: resolved.path, place, fields, secret_route: Some(resolved.route) })
            }
        }
    }

    async fn place(&self, path: &Path) -> Result<Result<Place>> {
        let text = path.as_str();
        if sys::owns(text) {
            let unsupported = || Error::new(ErrorKind::NotFound, "unsupported path");
            return Ok(sys::find(text).map(Place::Native).ok_or_else(unsupported));
        }
        let table = self.sys.mounts.table().await?;
        let Some(mount) = table.resolve(text) else {
            let words = format!("no handler for route \"{text}\". route entry not found.");
            return Ok(Err(Error::new(ErrorKind::NotFound, words)));
        };
        let plugin = self.loaded.of(mount)?;
        let rest = text.get(mount.path.len()..).unwrap_or_default();
        let Some((route, target)) = plugin.routes.find(rest) else {
            let error = Error::new(ErrorKind::NotFound, "unsupported path");
            return Ok(Err(error.in_plugin(mount.scope.plugin.as_str(), mount.path.as_str())));
        };
        let spot = Spot { mount: mount.clone(), plugin, route, target, begun: None, turn: None, room: None };
        Ok(Ok(Place::Plugin(Box::new(spot))))
    }

    /// Create or update, and whether that is allowed.
    #[expect(clippy::too_many_arguments, reason = "what was found so far, and what is still to be decided")]
    async fn decide(
        self: &Arc<Self>,
        request: &Request,
        until: Instant,
        found: &mut Found,
        fields: &Fields,
        identity: &Arc<Identity>,
        acl: &Acl,
        operation: &mut Operation,
        stage: &Stage,
    ) -> Result<Permit> {
        if let Ok(Place::Plugin(spot)) = &mut found.place {
            if writes(*operation) {
                // Those who wait for their turn have a place, or there were no end of them.
                spot.room = Some(self.gates.enter(&spot.mount, asker(Some(identity)))?);
                let turn = self.turns.of(&spot.mount.uuid, &spot.target.captures).lock_owned();
                spot.turn = Some(Box::pin(timeout_at(until, turn)).await.map_err(|_| crowded(spot))?);
            }
            if *operation == Operation::Update && spot.route.verbs.contains(&Operation::Create) {
                let asked = self.create_or_update(request, until, spot, identity);
                *operation = Box::pin(trace::within(stage.inner(), asked)).await?;
            }
        }
        let privileged = match &found.place {
            Ok(Place::Plugin(spot)) => spot.route.privileged,
            _ => privileged(found.path.as_str()),
        };
        if matches!(&found.place, Ok(Place::Native(matched)) if matched.open_to_all()) {
            return Ok(Permit::any_token(identity.clone(), found.path.clone(), *operation));
        }
        let path = found.path.as_str();
        let question = Question { operation: *operation, path, fields, privileged, wrap_ttl: None };
        authz::authorize(acl, identity.clone(), &question, found.path.clone())
    }

    async fn create_or_update(
        &self,
        request: &Request,
        until: Instant,
        spot: &mut Spot,
        identity: &Arc<Identity>,
    ) -> Result<Operation> {
        let _running = match &spot.room {
            Some(room) => Some(room.call(until).await?),
            None => None,
        };
        let caller = Caller { identity: Some(identity.clone()), peer: request.peer.clone() };
        let run = self.invocation(&spot.mount, caller, request.deadline, None).await?;
        let asked = spot.plugin.backend.exists(run, spot.target.clone());
        let ran = self.told(&spot.mount.scope, Export::Exists, asked).await;
        spot.begun = ran.txn;
        Ok(if ran.result? { Operation::Update } else { Operation::Create })
    }

    /// What one plugin call runs in; goes on with `txn` when there is one.
    pub(super) async fn invocation(
        &self,
        mount: &Mount,
        caller: Caller,
        deadline: std::time::Duration,
        txn: Option<Transaction>,
    ) -> Result<Invocation> {
        let txn = match txn {
            Some(txn) => txn,
            None => {
                let snapshot = Arc::from(self.storage.snapshot().await?);
                Transaction::begin(snapshot, mount.storage_prefix(), self.config.txn)
            }
        };
        Ok(Invocation { mount: mount.scope.clone(), txn, caller, deadline })
    }

    fn public(
        &self,
        request: Request,
        until: Instant,
        found: Found,
        fields: Arc<Fields>,
        entry: &mut audit::Entry,
    ) -> Result<Admission> {
        let operation = request.operation;
        let permit = Permit::public(found.path.clone(), operation);
        let place = found.place?;
        takes(&place, operation)?;
        let login = match &place {
            Place::Plugin(spot) if writes(operation) => Some(login::name(spot, &fields)),
            _ => None,
        };
        if let Place::Plugin(spot) = &place {
            self.unlocked(spot, login.as_deref())?;
        }
        let path = found.path;
        let admitted =
            admission(request, until, path, found.secret_route, place, fields, operation, permit, None, entry);
        Ok(Admission { login, ..admitted })
    }

    fn entry(&self, request: &Request) -> audit::Entry {
        let path = match &request.address {
            Address::Canonical(path) | Address::Secret { path, .. } => path,
        };
        let mut entry = audit::Entry::new(request.id.clone(), self.clock.now(), request.operation.word(), path);
        entry.door = Some(request.door);
        entry.remote_address = request.peer.address;
        entry.proxy_address = request.peer.via;
        entry.token.clone_from(&request.credential);
        entry
    }

    /// Records a refusal; the caller gets the refusal, or that it could not be recorded.
    pub(super) async fn refuse<T>(&self, entry: audit::Entry, error: Error) -> Result<T> {
        self.noted("audit.close", Record::combined(entry, Outcome::failed(&error))).await?;
        Err(error)
    }

    /// The answer from memory, if this is a question that memory may answer.
    pub(super) fn recall(&self, admission: &Admission) -> Option<Hit> {
        if admission.refresh {
            return None;
        }
        let key = admission.cache_key()?;
        let entry = self.cache.find(&key, admission.asker(), self.clock.now())?;
        let (answer, shown) = entry.answer()?;
        let mut reply = admission.reply(answer, entry.warnings.clone(), true);
        reply.shown = Some(shown);
        Some(Hit { reply, digest: entry.digest.clone() })
    }

    /// An answer from memory leaves once its one record was taken.
    pub(super) async fn recorded(&self, admission: Admission, hit: Hit) -> Result<Reply> {
        self.noted("audit.close", hit.record(admission)).await?;
        Ok(hit.reply)
    }

    /// Has a record taken, as a stage of this name.
    pub(super) async fn noted(&self, name: &'static str, record: Record) -> Result<()> {
        let stage = trace::stage(name);
        let taken = self.sys.audit.record(record).await;
        stage.end(&taken);
        taken
    }
}

/// An answer from memory.
pub(super) struct Hit {
    pub(super) reply: Reply,
    digest: Arc<audit::AnswerDigest>,
}

impl Hit {
    /// Its one record.
    pub(super) fn record(&self, admission: Admission) -> Record {
        Record::combined(admission.entry, Outcome::of(&self.reply, Some(self.digest.clone())))
    }
}

impl Admission {
    /// None for questions that are never answered from memory.
    pub(super) fn cache_key(&self) -> Option<cache::Key> {
        let Place::Plugin(spot) = &self.place else { return None };
        if !matches!(self.operation, Operation::Read | Operation::List) || spot.route.issues_lease {
            return None;
        }
        let parameters = match self.fields.is_empty() {
            true => None,
            // The cache keeps the names of what it forgot for a while; they must hold no value.
            false => Some(self.fields.digest().into()),
        };
        Some(cache::Key {
            mount: spot.mount.uuid.clone(),
            operation: self.operation,
            path: self.path.clone(),
            parameters,
            caller: None,
        })
    }

    /// Who asks, for answers that depend on it.
    pub(super) fn asker(&self) -> &str {
        asker(self.identity.as_ref())
    }

    pub(super) fn reply(&self, answer: crate::request::Answer, warnings: Vec<String>, cached: bool) -> Reply {
        Reply {
            warnings,
            route: self.secret_route.clone(),
            cached,
            ..Reply::new(self.operation, self.path.clone(), answer)
        }
    }
}

/// Who asks: a token, or all batch tokens of one name.
fn asker(identity: Option<&Arc<Identity>>) -> &str {
    identity.map_or("", |identity| match identity.digest.as_str() {
        "" => identity.display_name.as_str(),
        digest => digest,
    })
}

#[expect(clippy::too_many_arguments, reason = "it only gathers what the two ways of admission found")]
fn admission(
    request: Request,
    until: Instant,
    path: Path,
    secret_route: Option<Arc<SecretRoute>>,
    place: Place,
    fields: Arc<Fields>,
    operation: Operation,
    permit: Permit,
    known: Option<(Arc<Identity>, Arc<Acl>)>,
    entry: &mut audit::Entry,
) -> Admission {
    let (identity, acl) = known.unzip();
    let issues = matches!(&place, Place::Plugin(spot) if spot.route.issues_lease);
    Admission {
        id: request.id,
        operation,
        permit,
        identity,
        acl,
        credential: request.credential.unwrap_or_else(|| Secret::from("")),
        peer: request.peer,
        path,
        place,
        fields,
        secret_route,
        entry: audit::Entry { effects: writes(operation) || issues, ..std::mem::take(entry) },
        refresh: request.refresh,
        deadline: request.deadline,
        until,
        under_way: None,
        login: None,
    }
}

pub(super) const fn writes(operation: Operation) -> bool {
    !matches!(operation, Operation::List | Operation::Read)
}

fn takes(place: &Place, operation: Operation) -> Result<()> {
    let (ok, known) = match place {
        Place::Native(matched) => (matched.takes(operation), None),
        Place::Plugin(spot) => {
            let verbs = &spot.route.verbs;
            let ok =
                verbs.contains(&operation) || (operation == Operation::Create && verbs.contains(&Operation::Update));
            (ok, Some(spot))
        }
    };
    if ok {
        return Ok(());
    }
    let mut error = Error::new(ErrorKind::MethodNotAllowed, "unsupported operation");
    error.takes = match place {
        Place::Native(matched) => matched.operations(),
        Place::Plugin(spot) => Operations::of(&spot.route.verbs),
    };
    Err(match known {
        Some(spot) => error.in_plugin(spot.mount.scope.plugin.as_str(), spot.mount.path.as_str()),
        None => error,
    })
}

fn crowded(spot: &Spot) -> Error {
    let words = "other writers of this path took the whole time of this one: try again";
    Error::new(ErrorKind::Unavailable, words).in_plugin(spot.mount.scope.plugin.as_str(), spot.mount.path.as_str())
}

pub(super) fn unknown() -> Error {
    Error::new(ErrorKind::Unauthenticated, "no token, or one that is unknown, expired or revoked")
}

/// Callers without an identity learn nothing about what exists.
fn or_unknown(error: Error, identity: Option<&Arc<Identity>>) -> Error {
    match (error.kind, identity) {
        (ErrorKind::NotFound, None) => unknown(),
        _ => error,
    }
}

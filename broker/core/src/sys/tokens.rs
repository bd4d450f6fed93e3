//! `auth/token` and `sys/capabilities`.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use super::{Ask, Served, Sys, required};
use crate::{
    authn::{CreateToken, Issued, Which},
    duration,
    error::{Error, ErrorKind, Result},
    identity::Identity,
    request::Answer,
    secret::Secret,
};

/// Which token a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Accessor,
    Own,
    Token,
}

#[derive(Deserialize)]
struct Named {
    token: Option<String>,
    accessor: Option<String>,
    #[serde(default, deserialize_with = "duration::optional")]
    increment: Option<Duration>,
}

#[derive(Deserialize)]
struct Paths {
    paths: Option<OneOrMany>,
    path: Option<OneOrMany>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<String>),
    One(String),
}

/// The token a request names, owned so that [`Which`] can borrow from it.
struct Chosen {
    whose: Whose,
    token: Secret,
    accessor: String,
    increment: Option<Duration>,
}

impl Chosen {
    fn of(ask: &Ask<'_>, whose: Whose) -> Result<Self> {
        let named: Named = ask.fields.parse()?;
        let token = match whose {
            Whose::Token => Secret::from(required(named.token, "token")?),
            _ => ask.credential.clone(),
        };
        let accessor = match whose {
            Whose::Accessor => required(named.accessor, "accessor")?,
            _ => String::new(),
        };
        Ok(Self { whose, token, accessor, increment: named.increment })
    }

    fn which<'a>(&'a self, identity: &'a Identity) -> Which<'a> {
        match self.whose {
            Whose::Accessor => Which::Accessor(&self.accessor),
            Whose::Own => Which::Own(identity, &self.token),
            Whose::Token => Which::Token(&self.token),
        }
    }
}

pub(super) async fn accessors(sys: &Sys, ask: &Ask<'_>) -> Result<Served> {
    Served::names(sys.tokens.accessors().await?, ask)
}

pub(super) async fn create(sys: &Sys, ask: &Ask<'_>, orphan: bool) -> Result<Served> {
    let wanted: CreateToken = ask.fields.parse()?;
    // To make orphans `create-orphan` is permission enough; for anything else it is not sudo.
    let path = if orphan { "auth/token/create-orphan" } else { "auth/token/create" };
    let Issued { auth, mut warnings } = sys.tokens.create(identity(ask)?, wanted, ask.sudo(), path).await?;
    for name in auth.policies.iter().filter(|name| *name != "root") {
        if sys.policies.get(name).await.ok().flatten().is_none() {
            warnings.push(format!("Policy {name:?} does not exist"));
        }
    }
    Ok(Served { answer: Answer::Nothing, auth: Some(auth), warnings, transfer: None })
}

pub(super) async fn lookup(sys: &Sys, ask: &Ask<'_>, whose: Whose) -> Result<Served> {
    let named = Chosen::of(ask, whose)?;
    sys.tokens.lookup(named.which(identity(ask)?)).await.map(Served::document)
}

pub(super) async fn renew(sys: &Sys, ask: &Ask<'_>, whose: Whose) -> Result<Served> {
    let named = Chosen::of(ask, whose)?;
    let Issued { auth, warnings } = sys.tokens.renew(named.which(identity(ask)?), named.increment).await?;
    Ok(Served { answer: Answer::Nothing, auth: Some(auth), warnings, transfer: None })
}

pub(super) async fn revoke(sys: &Sys, ask: &Ask<'_>, whose: Whose) -> Result<Served> {
    let named = Chosen::of(ask, whose)?;
    sys.tokens.revoke(named.which(identity(ask)?)).await.map(|()| Served::nothing())
}

pub(super) async fn revoke_orphan(sys: &Sys, ask: &Ask<'_>) -> Result<Served> {
    if !ask.sudo() {
        let kind = ErrorKind::InvalidRequest;
        return Err(Error::new(kind, "root or sudo privileges required to revoke and orphan"));
    }
    let named = Chosen::of(ask, Whose::Token)?;
    sys.tokens.revoke_orphan(&named.token).await.map(|()| Served::nothing())
}

pub(super) async fn capabilities(sys: &Sys, ask: &Ask<'_>, whose: Whose) -> Result<Served> {
    let wanted: Paths = ask.fields.parse()?;
    let paths = match required(wanted.paths.or(wanted.path), "paths")? {
        OneOrMany::Many(paths) => paths,
        OneOrMany::One(path) => vec![path],
    };
    let named = Chosen::of(ask, whose)?;
    let names = match whose {
        Whose::Own => identity(ask)?.policies.clone(),
        _ => sys.tokens.policies_of(named.which(identity(ask)?)).await?,
    };
    let acl = sys.policies.acl_for(&names).await?;
    let mut answer: BTreeMap<String, Vec<&'static str>> =
        paths.iter().map(|path| (path.clone(), acl.capabilities(path))).collect();
    if let [only] = paths.as_slice() {
        answer.insert("capabilities".to_owned(), acl.capabilities(only));
    }
    Served::json(&answer)
}

fn identity<'a>(ask: &'a Ask<'_>) -> Result<&'a Identity> {
    ask.permit.identity().map(std::sync::Arc::as_ref).ok_or_else(Error::denied)
}

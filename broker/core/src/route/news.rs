//! What a request that wrote something means to those who watch secrets. A plugin's `secret-routes`
//! say it: they map names of the native API onto routes, and this reads them backwards, so that no
//! plugin has to announce anything and the broker knows no plugin's storage.

use std::sync::Arc;

use super::{
    Mount, MountTable, Routes,
    secrets::{DEFAULT_MOUNT, RoutesOf, claim, resolve},
};
use crate::{
    clock::Timestamp,
    json,
    news::{Kind, News},
    path::Path,
    port::backend::Target,
    request::{Operation, SecretView},
};

/// A request that wrote something.
#[derive(Clone, Copy, Debug)]
pub struct Deed<'a> {
    /// Where.
    pub mount: &'a Arc<Mount>,
    /// What of it.
    pub target: &'a Target,
    /// How; `Create` and `Update` told apart.
    pub operation: Operation,
    /// With which fields: a JSON object.
    pub data: &'a str,
    /// The version that the plugin answered with.
    pub version: Option<&'a str>,
}

/// What it means; none when no secret of the native API was written.
#[must_use]
pub fn news(table: &MountTable, deed: &Deed<'_>, at: Timestamp, routes: RoutesOf<'_>) -> Option<News> {
    let Deed { mount, target, .. } = deed;
    let own = routes(mount)?;
    let (view, name) = own.secret.iter().find_map(|known| {
        let answers = known.route.view != SecretView::Listing && known.route.route == target.route;
        Some((known.route.view, known.pattern.fill(&target.captures).filter(|_| answers)?))
    })?;
    let kind = kind(view, deed.operation)?;
    let read = claim(mount, SecretView::Value, &name, routes).map(|(_, path, _)| path);
    let privileged = read.as_deref().is_some_and(|path| privileged(&own, mount, path));
    let folder = name.rfind('/').map_or("", |at| &name[..at]);
    let list = claim(mount, SecretView::Listing, folder, routes).map(|(_, path, _)| as_folder(path));
    let short = read.as_deref().filter(|_| mount.path == DEFAULT_MOUNT).and_then(|read| {
        // Unless another mount claims that name.
        let resolved = resolve(table, SecretView::Value, &Path::parse(&name).ok()?, routes).ok()?;
        (resolved.path.as_str() == read).then(|| name.clone())
    });
    let path = format!("{}{name}", mount.path);
    Some(News { kind, path, short, versions: versions(view, deed), at, read, privileged, list })
}

/// The folders in which secrets below a native prefix may be, as policies see them.
#[must_use]
pub fn reach(table: &MountTable, prefix: &str, routes: RoutesOf<'_>) -> Vec<String> {
    let inside = format!("{prefix}/");
    let mut folders = Vec::new();
    for mount in table.iter() {
        let has_secrets = || routes(mount).is_some_and(|routes| !routes.secret.is_empty());
        if prefix.is_empty() || mount.path.starts_with(&inside) {
            folders.extend(has_secrets().then(|| mount.path.clone()));
        } else if let Some(rest) = inside.strip_prefix(&mount.path) {
            folders.extend(both(mount, rest, routes));
        }
    }
    if let Some(mount) = table.at(DEFAULT_MOUNT).filter(|_| !prefix.is_empty()) {
        folders.extend(both(mount, prefix, routes));
    }
    folders
}

fn both(mount: &Arc<Mount>, rest: &str, routes: RoutesOf<'_>) -> impl Iterator<Item = String> {
    let rest = rest.trim_end_matches('/');
    let views = [SecretView::Value, SecretView::Listing].map(|view| claim(mount, view, rest, routes));
    views.into_iter().flatten().map(|(_, path, _)| as_folder(path))
}

fn as_folder(path: String) -> String {
    if path.ends_with('/') { path } else { path + "/" }
}

fn privileged(routes: &Routes, mount: &Mount, path: &str) -> bool {
    let rest = path.get(mount.path.len()..).unwrap_or_default();
    routes.find(rest).is_some_and(|(route, _)| route.privileged)
}

const fn kind(view: SecretView, operation: Operation) -> Option<Kind> {
    use Operation::{Create, Delete, List, Patch, Read, Rotate, Update};
    Some(match (view, operation) {
        (_, Read | List) | (SecretView::Listing, _) => return None,
        (SecretView::Value, Create) => Kind::Created,
        (SecretView::Value, Update | Patch | Rotate) => Kind::Updated,
        (SecretView::Value, Delete) | (SecretView::Remove, _) => Kind::Deleted,
        (SecretView::Undelete, _) => Kind::Undeleted,
        (SecretView::Destroy, _) | (SecretView::Versions, Delete) => Kind::Destroyed,
        (SecretView::Versions, _) => Kind::Metadata,
    })
}

/// Those that the request named, else the one that the plugin answered with.
fn versions(view: SecretView, deed: &Deed<'_>) -> Vec<u64> {
    if matches!(view, SecretView::Destroy | SecretView::Remove | SecretView::Undelete) {
        let mut named = named(deed.data);
        named.sort_unstable();
        named.dedup();
        return named;
    }
    deed.version.and_then(|version| version.parse().ok()).into_iter().collect()
}

/// The field `versions`, as routes for named versions have it.
fn named(data: &str) -> Vec<u64> {
    let members = json::check(data.as_bytes()).and_then(json::members).unwrap_or_default();
    let list = members.iter().find(|(name, _)| name == "versions").map_or("[]", |(_, text)| text);
    let list: Vec<String> = serde_json::from_str(list).unwrap_or_default();
    list.iter().filter_map(|number| number.parse().ok()).collect()
}

//! How `/api/v1/secrets/{path}` becomes a canonical path: the longest mount whose plugin claims
//! the rest in its `secret-routes`; what nobody claims belongs to the default mount.

use std::sync::Arc;

use super::{Mount, MountTable, Routes};
use crate::{
    error::{Error, ErrorKind, Result},
    json,
    path::Path,
    request::{Fields, SecretRoute, SecretView},
    secret::Secret,
};

/// The mount of paths that no other claims.
pub const DEFAULT_MOUNT: &str = "secret/";

/// Gives the routes of a mount's plugin, if it is loaded.
pub(super) type RoutesOf<'a> = &'a dyn Fn(&Mount) -> Option<Arc<Routes>>;

/// A native path, resolved.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The mount.
    pub mount: Arc<Mount>,
    /// The path as policies see it.
    pub path: Path,
    /// The mapping used.
    pub route: Arc<SecretRoute>,
}

/// Resolves a native path. `routes` gives the routes of a mount's plugin, if loaded.
///
/// # Errors
/// `not_found` when no mount serves this view of secrets, `invalid_request` when the canonical
/// path is over a limit.
pub fn resolve(table: &MountTable, view: SecretView, path: &Path, routes: RoutesOf<'_>) -> Result<Resolved> {
    let text = path.as_str();
    let own = table.resolve(text).and_then(|mount| claim(mount, view, text.get(mount.path.len()..)?, routes));
    let default = || claim(table.at(DEFAULT_MOUNT)?, view, text, routes);
    let (mount, canonical, route) =
        own.or_else(default).ok_or_else(|| Error::new(ErrorKind::NotFound, "no mount serves secrets at this path"))?;
    let canonical = Path::parse(&canonical).map_err(|e| Error::invalid("path", e.to_string()))?;
    let folder = path.is_folder() || view == SecretView::Listing;
    Ok(Resolved { mount, path: if folder { canonical.to_folder() } else { canonical }, route })
}

pub(super) fn claim(
    mount: &Arc<Mount>,
    view: SecretView,
    rest: &str,
    routes: RoutesOf<'_>,
) -> Option<(Arc<Mount>, String, Arc<SecretRoute>)> {
    let routes = routes(mount)?;
    routes.secret.iter().filter(|known| known.route.view == view).find_map(|known| {
        let captures = match known.pattern.captures(rest) {
            Some(captures) => captures,
            // The root folder of a mount: a listing of `{path...}` with nothing in it.
            None if rest.is_empty() && view == SecretView::Listing => Vec::new(),
            None => return None,
        };
        let inner = known.target.fill(&captures).or_else(|| rest.is_empty().then(|| head(&known.route.route)))?;
        Some((mount.clone(), format!("{}{inner}", mount.path), known.route.clone()))
    })
}

/// `metadata/{path...}` without its captures: `metadata/`.
fn head(route: &str) -> String {
    route.split('{').next().unwrap_or_default().to_owned()
}

/// Puts a native body into the shape that the route's pointers say: the field `""` holds the
/// whole secret, `cas` the expected version.
///
/// # Errors
/// `invalid_request` when the route has no place for what was given.
pub fn shape(route: &SecretRoute, mut fields: Fields) -> Result<Fields> {
    let value = fields.take("");
    let check = fields.take("cas");
    if let Some(value) = value {
        place(&mut fields, &route.value_at, value)?;
    }
    if let Some(check) = check {
        let at = route.check_at.as_deref().ok_or_else(|| {
            Error::invalid("If-Match", "this path has no versions to compare: send the request without a condition")
        })?;
        place(&mut fields, at, check)?;
    }
    Ok(fields)
}

/// `/a/b` becomes the member `a` holding `{"b": value}`; the empty pointer spreads an object.
fn place(fields: &mut Fields, pointer: &str, value: Secret) -> Result<()> {
    let bad = |e: json::JsonError| Error::internal(e);
    let mut tokens = json::split_pointer(pointer).map_err(bad)?;
    if tokens.is_empty() {
        for (name, raw) in json::members(value.expose_str().unwrap_or("{}")).map_err(bad)? {
            fields.set(name.into_owned(), Secret::from(raw));
        }
        return Ok(());
    }
    let first = tokens.remove(0);
    let wrapped = tokens
        .iter()
        .rev()
        .fold(value, |inner, name| json::compose([(name.as_str(), inner.expose_str().unwrap_or("null"))]));
    fields.set(first, wrapped);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_go_where_the_pointers_say() {
        let route = SecretRoute {
            view: SecretView::Value,
            pattern: "{path...}".into(),
            route: "data/{path...}".into(),
            value_at: "/data".into(),
            about_at: None,
            check_at: Some("/options/cas".into()),
        };
        let mut fields = Fields::default();
        fields.set("", Secret::from(r#"{"k":"v"}"#));
        fields.set("cas", Secret::from("3"));
        let shaped = shape(&route, fields).unwrap().to_json();
        assert!(shaped.ct_eq(br#"{"data":{"k":"v"},"options":{"cas":3}}"#));
    }
}

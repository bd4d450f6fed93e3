//! Where a request goes: mounts, route patterns, fields, and the native view of secrets.
//!
//! Pure but for the mount table's storage. Called by `broker` and `sys`.
//! Invariant: a path resolves to the same mount and route whatever door it came through.

mod fields;
mod mounts;
mod news;
mod pattern;
mod secrets;
mod settings;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use mounts::fuzzing;

pub use fields::{Lifted, lift};
pub use mounts::{Mount, MountTable, Mounts, NewMount, Tuning};
pub use news::{Deed, news, reach};
pub use pattern::{Pattern, PatternError};
pub use secrets::{DEFAULT_MOUNT, Resolved, resolve, shape};
pub use settings::{Bounds, Lockout, OPTIONS, OwnBounds};

use std::sync::Arc;

use crate::{
    port::backend::{Description, Route, Target},
    request::SecretRoute,
};

/// A plugin's routes with their patterns parsed once.
#[derive(Debug)]
pub struct Routes {
    routes: Vec<(Pattern, Arc<Route>)>,
    secret: Vec<SecretPatterns>,
}

/// A secret route with its patterns parsed.
#[derive(Debug)]
struct SecretPatterns {
    pattern: Pattern,
    target: Pattern,
    route: Arc<SecretRoute>,
}

impl Routes {
    /// Parses every pattern of a description.
    ///
    /// # Errors
    /// [`PatternError`] for the first bad one.
    pub fn compile(description: &Description) -> Result<Self, PatternError> {
        let mut routes = Vec::with_capacity(description.routes.len());
        for route in &description.routes {
            routes.push((Pattern::parse(&route.pattern)?, Arc::new(route.clone())));
        }
        let mut secret = Vec::with_capacity(description.secret_routes.len());
        for route in &description.secret_routes {
            let (pattern, target) = (Pattern::parse(&route.pattern)?, Pattern::parse(&route.route)?);
            secret.push(SecretPatterns { pattern, target, route: route.clone() });
        }
        Ok(Self { routes, secret })
    }

    /// The first route that matches `path` (mount-relative).
    #[must_use]
    pub fn find(&self, path: &str) -> Option<(Arc<Route>, Target)> {
        self.routes.iter().find_map(|(pattern, route)| {
            let captures = pattern.captures(path)?;
            Some((route.clone(), Target { path: path.to_owned(), route: route.pattern.clone(), captures }))
        })
    }
}

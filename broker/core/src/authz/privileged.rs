//! Paths that need `sudo` on top of the operation's capability.

/// From `PathsSpecial.Root` of OpenBao's backends. `*` at the end stands for any rest.
const PRIVILEGED: &[&str] = &[
    "auth/token/accessors",
    "auth/token/accessors/",
    "pki/root",
    "pki/root/sign-self-issued",
    "sys/audit",
    "sys/audit/*",
    "sys/auth/*",
    "sys/config/auditing/*",
    "sys/config/cors",
    "sys/config/ui/headers",
    "sys/config/ui/headers/*",
    "sys/internal/inspect/*",
    "sys/leases",
    "sys/leases/lookup/*",
    "sys/leases/revoke-force/*",
    "sys/leases/revoke-prefix/*",
    "sys/plugins/catalog/*",
    "sys/raw",
    "sys/raw/*",
    "sys/remount",
    "sys/revoke-force/*",
    "sys/revoke-prefix/*",
    "sys/rotate",
    "sys/rotate/keyring",
    "sys/rotate/root",
    "sys/seal",
    "sys/step-down",
];

/// Whether `path` needs `sudo` on top of the operation's capability.
///
/// ```
/// use warder_core::authz::privileged;
/// assert!(privileged("sys/auth/oidc") && !privileged("sys/auth"));
/// ```
#[must_use]
pub fn privileged(path: &str) -> bool {
    PRIVILEGED.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == *pattern,
    })
}

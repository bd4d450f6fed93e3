//! Paths that need `sudo` on top of the operation's capability.

/// From `PathsSpecial.Root` of OpenBao's backends, and what a quorum of key shares does and snapshots, which
/// need no `sudo` there. `*` at the end stands for any rest.
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
    "sys/generate-root-token/*",
    "sys/generate-root/*",
    "sys/internal/inspect/*",
    "sys/leases",
    "sys/leases/lookup/*",
    "sys/leases/revoke-force/*",
    "sys/leases/revoke-prefix/*",
    "sys/plugins/catalog/*",
    "sys/raw",
    "sys/raw/*",
    "sys/rekey/*",
    "sys/remount",
    "sys/revoke-force/*",
    "sys/revoke-prefix/*",
    "sys/rotate",
    "sys/rotate/keyring",
    "sys/rotate/root",
    "sys/rotate/root/*",
    "sys/seal",
    "sys/step-down",
    "sys/storage/raft/snapshot",
    "sys/storage/raft/snapshot-force",
];

/// Whether `path` needs `sudo` on top of the operation's capability. A list asks with its trailing
/// slash: `sys/leases/lookup/` is privileged, `sys/leases/lookup` is not.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Each answered 403 without `sudo` and otherwise with it (or alike both times) by OpenBao 2.7.2.
    #[test]
    fn the_table_is_that_of_the_real_server() {
        for (path, needs_sudo) in [
            ("auth/token/accessors/", true),
            ("auth/token/lookup", false),
            ("pki/root", true),
            ("pki/root/sign-self-issued", true),
            ("sys/audit", true),
            ("sys/audit-hash/x", false),
            ("sys/audit/x", true),
            ("sys/auth", false),
            ("sys/auth/x", true),
            ("sys/auth/x/tune", true),
            ("sys/config/auditing/request-headers", true),
            ("sys/config/cors", true),
            ("sys/config/state/sanitized", false),
            ("sys/config/ui/headers/", true),
            ("sys/config/ui/headers/x", true),
            ("sys/internal/inspect/router/root", true),
            ("sys/leases", true),
            ("sys/leases/count", false),
            ("sys/leases/lookup", false),
            ("sys/leases/lookup/", true),
            ("sys/leases/lookup/x", true),
            ("sys/leases/revoke-force/x", true),
            ("sys/leases/revoke-prefix/x", true),
            ("sys/leases/tidy", false),
            ("sys/mounts", false),
            ("sys/plugins/catalog", false),
            ("sys/plugins/catalog/auth/", true),
            ("sys/plugins/catalog/auth/x", true),
            ("sys/policies/acl/x", false),
            ("sys/raw/x", true),
            ("sys/remount", true),
            ("sys/rotate", true),
            ("sys/rotate/config", false),
            ("sys/rotate/keyring", true),
            ("sys/rotate/root", true),
        ] {
            assert_eq!(privileged(path), needs_sudo, "{path}");
        }
    }

    /// The real server takes `update` alone for these.
    #[test]
    fn what_a_quorum_does_and_snapshots_need_sudo_here() {
        for path in [
            "sys/generate-root/attempt",
            "sys/generate-root/update",
            "sys/generate-root-token/attempt",
            "sys/generate-root-token/update",
            "sys/rekey/init",
            "sys/rekey/verify",
            "sys/rotate/root/init",
            "sys/rotate/root/update",
            "sys/storage/raft/snapshot",
            "sys/storage/raft/snapshot-force",
        ] {
            assert!(privileged(path), "{path}");
        }
    }
}

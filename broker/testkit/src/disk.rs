//! A small disk of a server's own: a real tmpfs that only the server's process sees.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

/// Mounts a tmpfs of `$1` KiB at `$2`, then becomes the rest.
const MOUNT: &str = r#"mount -t tmpfs -o "size=$1k,mode=0700" tmpfs "$2" && shift 2 && exec "$@""#;

/// A tmpfs of a given size, mounted for one process in namespaces of its own, so that it needs no
/// privilege and is gone with the process.
#[derive(Clone, Debug)]
pub struct SmallDisk {
    at: PathBuf,
    kib: u32,
}

impl SmallDisk {
    /// What a server that has no disk says on standard error, and what to do about it.
    pub const ADVICE: &str = "a small disk needs `unshare` and `mount` (Debian: apt-get install util-linux mount) and user \
                              namespaces (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces > 0)";

    /// A disk of so many KiB at an existing empty directory; a tmpfs counts in pages of 4 KiB.
    #[must_use]
    pub fn new(at: &Path, kib: u32) -> Self {
        Self { at: at.to_owned(), kib }
    }

    /// A command that runs `program` with the disk mounted; its process id is that of `program`.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh"]);
        command.arg(self.kib.to_string()).arg(&self.at).arg(program);
        command
    }

    /// The disk's directory as others see it, while the process `pid` runs on it.
    #[must_use]
    pub fn seen_of(&self, pid: u32) -> PathBuf {
        let inside = self.at.strip_prefix("/").unwrap_or(&self.at);
        Path::new("/proc").join(pid.to_string()).join("root").join(inside)
    }
}

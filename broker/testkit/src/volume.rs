//! A small disk that outlives the servers on it: a tmpfs in a mount namespace of its own, to be
//! filled up, enlarged and made read-only, with servers that come and go. Works for root, and for
//! anybody where user namespaces are allowed.
//!
//! Invariant: only processes that were started on it see it; it is gone with the value.

use std::{
    ffi::{OsStr, OsString},
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    failure::{Failure, Result},
    temp_dir,
};

/// Mounts, says so, and stays until its input ends: the namespace lives as long as it does.
const KEEPER: &str = r#"mount -t tmpfs -o "size=$1,mode=700" warder-test "$2" && echo mounted && exec cat"#;
/// What makes a mount namespace and what enters it, for root and for everybody else.
const WAYS: [(&[&str], &[&str]); 2] = [
    (&["--mount"], &["--mount"]),
    (&["--user", "--map-root-user", "--mount"], &["--user", "--preserve-credentials", "--mount"]),
];
const HELP: &str = "a test needs a mount namespace, and this machine gives none (util-linux and mount are Debian's \
    packages for unshare, nsenter and mount). Run it as root, in a container with --privileged; or allow user \
    namespaces: sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0 \
    user.max_user_namespaces=1000 (those that exist)";

/// A tmpfs of few bytes.
#[derive(Debug)]
pub struct Volume {
    folder: TempDir,
    keeper: Child,
    enter: Vec<OsString>,
}

impl Volume {
    /// A new, empty disk of so many bytes.
    ///
    /// # Errors
    /// When nobody may mount one here; the words say what to allow.
    pub fn new(bytes: u64) -> Result<Self> {
        let folder = temp_dir()?;
        std::fs::create_dir(folder.path().join("disk"))?;
        let mut refusals = Vec::new();
        for (unshare, enter) in WAYS {
            match mounted(unshare, bytes, &folder.path().join("disk")) {
                Ok(keeper) => {
                    let target = ["nsenter".to_owned(), format!("--target={}", keeper.id())];
                    let enter = target.into_iter().chain(enter.iter().map(|&flag| flag.to_owned()));
                    let enter = enter.chain(["--".to_owned()]).map(OsString::from).collect();
                    return Ok(Self { folder, keeper, enter });
                }
                Err(why) => refusals.push(why.to_string()),
            }
        }
        Err(Failure::new(HELP, refusals.join("; ")))
    }

    /// Where it is mounted, for those who are on it; to all others an empty directory.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// The command line before that of a program which is to see it.
    #[must_use]
    pub fn entering(&self) -> &[OsString] {
        &self.enter
    }

    /// A program that sees it.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(&self.enter[0]);
        command.args(&self.enter[1..]).arg(program);
        command
    }

    /// Makes it larger or smaller.
    ///
    /// # Errors
    /// When more is on it.
    pub fn resize(&self, bytes: u64) -> Result {
        self.remount(&format!("size={bytes}"))
    }

    /// Makes it read-only, or writable again.
    ///
    /// # Errors
    /// When a file on it is open for writing.
    pub fn read_only(&self, read_only: bool) -> Result {
        self.remount(if read_only { "ro" } else { "rw" })
    }

    /// Runs a line of shell on it, in its directory.
    ///
    /// # Errors
    /// When it fails; the words quote what it said.
    pub fn shell(&self, line: &str) -> Result<String> {
        let mut command = self.command("sh");
        said(command.arg("-c").arg(format!("cd \"$1\" && {line}")).arg("sh").arg(self.path()))
    }

    fn remount(&self, options: &str) -> Result {
        let options = format!("remount,{options}");
        // With its source named, mount(8) adds no option of its own.
        let mut command = self.command("mount");
        said(command.args(["-t", "tmpfs", "-o", &options, "warder-test"]).arg(self.path())).map(|_| ())
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        _ = self.keeper.wait();
    }
}

fn mounted(flags: &[&str], bytes: u64, path: &Path) -> Result<Child> {
    let mut keeper = Command::new("unshare")
        .args(flags)
        .args(["sh", "-c", KEEPER, "sh", &bytes.to_string()])
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|why| Failure::new("unshare", why))?;
    let mut line = String::new();
    if let Some(out) = keeper.stdout.take() {
        BufReader::new(out).read_line(&mut line)?;
    }
    if line == "mounted\n" {
        return Ok(keeper);
    }
    drop(keeper.stdin.take());
    let mut words = String::new();
    if let Some(mut err) = keeper.stderr.take() {
        err.read_to_string(&mut words)?;
    }
    keeper.wait()?;
    Err(Failure::new(format_args!("unshare {}", flags.join(" ")), words.trim()))
}

fn said(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Failure::new(format_args!("{command:?}"), String::from_utf8_lossy(&output.stderr).trim()))
}

//! The image, as far as it can be tried without a container engine: the Dockerfile is in order, and
//! the program runs where nothing is but what the image has. The image itself is not built here.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use warder_testkit::{Failure, Http, Parts, Process, Result, Warder, temp_dir};

use super::{content, deploy};

/// Libraries of gcr.io/distroless/cc-debian12 that a Rust program may ask for; the first is the
/// kernel's.
const LIBRARIES: [&str; 5] = ["linux-vdso.so.1", "libc.so.6", "libm.so.6", "libgcc_s.so.1", "ld-linux"];
/// What makes a program see another root directory: for root, and for everybody else.
const WAYS: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];
/// A debug build compiles its plugins for many seconds.
const PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn the_dockerfile_is_in_order() -> Result {
    let mut hadolint = Command::new(Parts::find().checker("hadolint")?);
    content(hadolint.args(["--no-color", "--failure-threshold", "style"]).arg(deploy("Dockerfile")), "make parts")?;
    let text = fs::read_to_string(deploy("Dockerfile"))?;
    let last = text.rsplit_once("\nFROM ").map_or("", |(_, last)| last);
    for line in ["USER 65532:65532", "ENTRYPOINT [\"/usr/local/bin/warder\"]", "CMD [\"serve\"]"] {
        assert!(last.lines().any(|found| found == line), "{line} is not in its last stage");
    }
    assert!(!last.contains("\nRUN "), "the last stage has no shell to run anything");
    Ok(())
}

#[test]
fn the_build_gets_all_that_it_needs_and_no_more() -> Result {
    let ignored = fs::read_to_string(deploy("Dockerfile.dockerignore"))?;
    let taken: BTreeSet<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let root = deploy("..");
    // `.cargo` may be there or not.
    for name in taken.iter().filter(|name| **name != ".cargo") {
        assert!(root.join(name).exists(), "{name} is taken and does not exist");
    }
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let members = manifest.split_once("members = [").and_then(|(_, rest)| rest.split(']').next()).unwrap_or_default();
    for member in members.split('"').skip(1).step_by(2) {
        let first = member.split('/').next().unwrap_or_default();
        assert!(taken.contains(first), "the workspace's {member} is not taken");
    }
    Ok(())
}

#[test]
fn the_program_runs_where_nothing_is_but_its_libraries() -> Result {
    let root = temp_dir()?;
    let here = |path: &str| root.path().join(path.trim_start_matches('/'));
    let text = fs::read_to_string(deploy("Dockerfile"))?;
    for folder in ["/etc/warder", "/usr/local/bin", "/var/lib/warder", "/var/log/warder"] {
        fs::create_dir_all(here(folder))?;
    }
    let program = Warder::program()?;
    fs::copy(&program, here("/usr/local/bin/warder"))?;
    for library in libraries(&program)? {
        let name = library.file_name().unwrap_or_default().to_string_lossy().into_owned();
        assert!(LIBRARIES.iter().any(|known| name.starts_with(known)), "the image has no {name}");
        let copy = here(&library.display().to_string());
        fs::create_dir_all(copy.parent().unwrap_or_else(|| root.path()))?;
        fs::copy(&library, copy)?;
    }
    let config = "listener = { address = \"127.0.0.1:0\", tls_disable = true }\n\
                  storage.path = \"/var/lib/warder/warder.redb\"\n\
                  audit.file = { type = \"file\", path = \"/var/log/warder/audit.log\" }\n";
    fs::write(here("/etc/warder/warder.toml"), config)?;
    let before = files(root.path())?;

    let program = text.lines().find_map(|line| line.strip_prefix("ENTRYPOINT [\"")).unwrap_or_default();
    let mut command = rooted(root.path())?;
    let mut process = Process::spawn("warder", command.arg(program.trim_end_matches("\"]")).arg("serve").env_clear())?;
    let address = process.wait_for(PATIENCE, |text| text.split_once("://")?.1.split_once('\n')?.0.parse().ok())?;
    let http = Http::at(address);
    http.get("/livez").send()?.expect_status(200)?;
    http.post("/api/v1/sys/init").json(&serde_json::json!({"shares": 1, "threshold": 1})).send()?.expect_status(200)?;
    http.get("/health").send()?.expect_status(200)?;
    http.get("/metrics").send()?.expect_status(200)?;
    process.terminate()?;
    let volumes = [here("/var/lib/warder"), here("/var/log/warder")];
    let written: Vec<_> = files(root.path())?.difference(&before).cloned().collect();
    assert!(written.len() >= 2, "{written:?}");
    assert!(written.iter().all(|file| volumes.iter().any(|volume| file.starts_with(volume))), "{written:?}");
    Ok(())
}

/// What the loader maps for it, by whole path.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let told = content(Command::new("ldd").arg(program), "ldd is in Debian's package libc-bin")?;
    let paths = told.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(paths.map(PathBuf::from).collect())
}

/// The beginning of a command line whose program has this root directory.
fn rooted(root: &Path) -> Result<Command> {
    let mut refusals = Vec::new();
    for way in WAYS {
        let tried = Command::new("unshare").args(way).arg("true").output()?;
        if tried.status.success() {
            let mut command = Command::new("unshare");
            command.args(way).arg("--root").arg(root);
            return Ok(command);
        }
        refusals.push(String::from_utf8_lossy(&tried.stderr).trim().to_owned());
    }
    Err(Failure::new(
        "a test needs another root directory: run it as root, or allow user namespaces \
         (sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0)",
        refusals.join("; "),
    ))
}

/// Every file below a folder.
fn files(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.insert(path);
        }
    }
    Ok(found)
}

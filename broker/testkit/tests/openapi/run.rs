//! One run of schemathesis.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use warder_testkit::{Failure, Http, Parts, Result, Suite, TempDir, temp_dir};

/// A slow machine is no fault, nor are paths that are hard to make up.
const UNHURRIED: &str = "filter_too_much,too_slow,data_too_large";

/// A run, being put together.
pub(crate) struct Run {
    folder: TempDir,
    address: SocketAddr,
    arguments: Vec<String>,
    state: &'static str,
}

/// What a run saw.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Operations that were asked.
    pub(crate) operations: usize,
    /// Questions.
    pub(crate) cases: usize,
}

impl Run {
    /// Against this server, with this token or none; the description is what the token sees.
    pub(crate) fn new(suite: &Suite, address: SocketAddr, token: &str) -> Result<Self> {
        let folder = temp_dir()?;
        let auth = if token.is_empty() {
            String::new()
        } else {
            format!("[auth.openapi.bearer]\nbearer = \"{token}\"\n[auth.openapi.token]\napi_key = \"{token}\"\n")
        };
        fs::write(folder.path().join("st.toml"), auth)?;
        let hooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi/hooks.py");
        fs::copy(hooks, folder.path().join("hooks.py"))?;
        let seed = suite.seed().to_string();
        let fixed = ["--seed", &seed, "--generation-database", "none", "--checks", "all", "--no-color"];
        let arguments = fixed.into_iter().chain([
            "--continue-on-failure",
            "--request-timeout",
            "60",
            "--suppress-health-check",
            UNHURRIED,
        ]);
        let run = Self { folder, address, arguments: arguments.map(str::to_owned).collect(), state: "open" };
        run.describe(token)?;
        Ok(run)
    }

    fn describe(&self, token: &str) -> Result {
        let http = Http::at(self.address).with_token(token);
        let document = http.get("/api/v1/openapi.json").send()?.expect_status(200)?.text();
        Ok(fs::write(self.folder.path().join("openapi.json"), document)?)
    }

    /// Asks what this token sees.
    pub(crate) fn described_by(self, token: &str) -> Self {
        if let Err(why) = self.describe(token) {
            panic!("{why:?}");
        }
        self
    }

    /// Generated questions for each operation, at most.
    pub(crate) fn examples(self, most: usize) -> Self {
        self.with(&["--max-examples", &most.to_string()])
    }

    /// These phases only.
    pub(crate) fn phases(self, phases: &str) -> Self {
        self.with(&["--phases", phases])
    }

    /// What the server is, for `hooks.py`.
    pub(crate) const fn state(mut self, state: &'static str) -> Self {
        self.state = state;
        self
    }

    /// Only operations whose whole id is this.
    pub(crate) fn only(self, ids: &str) -> Self {
        self.with(&["--include-operation-id-regex", &format!("^({ids})$")])
    }

    /// Not operations whose whole id is this.
    pub(crate) fn without(self, ids: &str) -> Self {
        self.with(&["--exclude-operation-id-regex", &format!("^({ids})$")])
    }

    fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|text| (*text).to_owned()));
        self
    }

    /// Runs it.
    ///
    /// # Errors
    /// With all that schemathesis said when it found a fault, or did not ask every operation.
    pub(crate) fn go(self) -> Result<Seen> {
        let output = Command::new(Parts::find().openapi("st")?)
            .args(["--config-file", "st.toml", "run", "openapi.json", "--url", &format!("http://{}", self.address)])
            .args(&self.arguments)
            .current_dir(self.folder.path())
            .env("SCHEMATHESIS_HOOKS", "hooks")
            .env("PYTHONPATH", self.folder.path())
            .env("WARDER_STATE", self.state)
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let whole = || format!("{said}\n{}", String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            return Err(Failure::new("schemathesis found faults", whole()));
        }
        let number = |label: &str| {
            let rest = said.split(label).nth(1)?.trim_start();
            rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        let (Some(selected), Some(tested), Some(cases)) =
            (number("Selected:"), number("Tested:"), number("Test cases:"))
        else {
            return Err(Failure::new("schemathesis says no numbers", whole()));
        };
        if selected != tested {
            return Err(Failure::new("not every operation was asked", whole()));
        }
        Ok(Seen { operations: tested, cases })
    }
}

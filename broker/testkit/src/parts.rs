//! Finds the real parts that tests run against. `make parts` puts them below `.parts/`.

use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};

/// The folder of parts.
#[derive(Clone, Debug)]
pub struct Parts(PathBuf);

impl Parts {
    /// `WARDER_PARTS`, or `.parts/` in the repository.
    #[must_use]
    pub fn find() -> Self {
        let repository = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.parts");
        Self(std::env::var_os("WARDER_PARTS").map_or_else(repository, PathBuf::from))
    }

    /// The `bao` program.
    ///
    /// # Errors
    /// When it is not there; the words say how to get it.
    pub fn openbao(&self) -> Result<PathBuf> {
        self.program("bao", "OpenBao 2.7.2")
    }

    /// A program of the gRPC tools: `python` with grpcio-tools, or `buf`.
    ///
    /// # Errors
    /// When it is not there; the words say how to get it.
    pub fn grpc(&self, name: &str) -> Result<PathBuf> {
        Self::at(self.0.join("grpc/bin").join(name), &format!("{name} of the gRPC tools"))
    }

    /// A program that checks a file of `deploy/`: `hadolint`, `kubernetes-validate`, or the `python`
    /// that has their libraries.
    ///
    /// # Errors
    /// When it is not there; the words say how to get it.
    pub fn checker(&self, name: &str) -> Result<PathBuf> {
        Self(self.0.join("deploy")).program(name, name)
    }

    /// A program that reads the description of the API: `st` (schemathesis), or the `python` that has
    /// its libraries.
    ///
    /// # Errors
    /// When it is not there; the words say how to get it.
    pub fn openapi(&self, name: &str) -> Result<PathBuf> {
        Self::at(self.0.join("openapi/bin").join(name), &format!("{name} of schemathesis"))
    }

    fn program(&self, name: &str, what: &str) -> Result<PathBuf> {
        Self::at(self.0.join("bin").join(name), what)
    }

    fn at(path: PathBuf, what: &str) -> Result<PathBuf> {
        if path.is_file() {
            return Ok(path);
        }
        Err(Failure::from(format!("{what} is missing at {}: run `make parts` in the repository", path.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_part_says_how_to_get_it() {
        let error = Parts("/nowhere".into()).openbao().unwrap_err().to_string();
        assert_eq!(error, "OpenBao 2.7.2 is missing at /nowhere/bin/bao: run `make parts` in the repository");
    }
}

//! `sql`, not yet.

use wasmtime::component::Resource;

use super::{Absent, nobody, not_yet};
use crate::{
    bind::warder::plugin::sql::{self, Arg, Bound, Cell, Dialect},
    capability::sealed::Value,
    fault::Fault,
    host::Host,
};

impl sql::Host for Host {}

impl sql::HostConnection for Host {
    async fn open(&mut self, _: Dialect, _: String, _: String, _: Resource<Value>) -> Result<Resource<Absent>, Fault> {
        self.call()?;
        not_yet("sql")
    }

    async fn probe(&mut self, _: Dialect, _: String, _: String, _: Resource<Value>) -> Result<(), Fault> {
        self.call()?;
        not_yet("sql")
    }

    async fn run(&mut self, _: Resource<Absent>, _: Vec<String>, _: Vec<(String, Bound)>) -> Result<u64, Fault> {
        not_yet("sql")
    }

    async fn query(&mut self, _: Resource<Absent>, _: String, _: Vec<(String, Arg)>) -> Result<Vec<Vec<Cell>>, Fault> {
        not_yet("sql")
    }

    async fn drop(&mut self, _: Resource<Absent>) -> wasmtime::Result<()> {
        nobody("sql")
    }
}

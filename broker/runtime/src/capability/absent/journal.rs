//! `journal`, not yet: it comes with leases.

use wasmtime::component::Resource;

use super::{Absent, nobody, not_yet};
use crate::{
    bind::warder::plugin::journal::{self, Prior},
    fault::Fault,
    host::Host,
};

impl journal::Host for Host {}

impl journal::HostEffect for Host {
    async fn begin(&mut self, _: String, _: Vec<u8>) -> Result<Resource<Absent>, Fault> {
        self.call()?;
        not_yet("journal")
    }

    async fn prior(&mut self, _: Resource<Absent>) -> wasmtime::Result<Prior> {
        nobody("journal")
    }

    async fn confirm(&mut self, _: Resource<Absent>, _: Vec<u8>) -> Result<(), Fault> {
        not_yet("journal")
    }

    async fn abandon(&mut self, _: Resource<Absent>, _: String) -> Result<(), Fault> {
        not_yet("journal")
    }

    async fn drop(&mut self, _: Resource<Absent>) -> wasmtime::Result<()> {
        nobody("journal")
    }
}

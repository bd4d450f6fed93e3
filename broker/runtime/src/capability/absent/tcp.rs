//! `tcp`, not yet.

use wasmtime::component::Resource;

use super::{Absent, nobody, not_yet};
use crate::{
    bind::warder::plugin::tcp::{self, Security},
    capability::sealed::Value,
    fault::Fault,
    host::Host,
};

impl tcp::Host for Host {}

impl tcp::HostChannel for Host {
    async fn connect(&mut self, _: String, _: u16, _: Security) -> Result<Resource<Absent>, Fault> {
        self.call()?;
        not_yet("tcp")
    }

    async fn read(&mut self, _: Resource<Absent>, _: u32) -> Result<Vec<u8>, Fault> {
        not_yet("tcp")
    }

    async fn write(&mut self, _: Resource<Absent>, _: Vec<u8>) -> Result<(), Fault> {
        not_yet("tcp")
    }

    async fn write_secret(&mut self, _: Resource<Absent>, _: Resource<Value>) -> Result<(), Fault> {
        not_yet("tcp")
    }

    async fn drop(&mut self, _: Resource<Absent>) -> wasmtime::Result<()> {
        nobody("tcp")
    }
}

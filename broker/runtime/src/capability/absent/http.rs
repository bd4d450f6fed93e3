//! `http`, not yet: a request can be built, and is refused when it is given anything or sent.

use wasmtime::component::Resource;

use super::{Absent, nobody, not_yet};
use crate::{
    bind::warder::plugin::{
        http,
        sealed::{Form, Part},
    },
    capability::sealed::Value,
    fault::Fault,
    host::Host,
};

impl http::Host for Host {
    async fn send(&mut self, request: Resource<Absent>) -> Result<Resource<Absent>, Fault> {
        self.call()?.table.delete(request)?;
        not_yet("http")
    }
}

impl http::HostRequest for Host {
    async fn new(&mut self, _: String, _: String) -> wasmtime::Result<Resource<Absent>> {
        Ok(self.call()?.table.push(Absent)?)
    }

    async fn header(&mut self, _: Resource<Absent>, _: String, _: String) -> Result<(), Fault> {
        not_yet("http")
    }

    async fn secret_header(&mut self, _: Resource<Absent>, _: String, _: Resource<Value>) -> Result<(), Fault> {
        not_yet("http")
    }

    async fn body(&mut self, _: Resource<Absent>, _: Vec<Part>) -> Result<(), Fault> {
        not_yet("http")
    }

    async fn timeout_ms(&mut self, _: Resource<Absent>, _: u32) -> wasmtime::Result<()> {
        Ok(())
    }

    async fn extract(&mut self, _: Resource<Absent>, _: Vec<String>) -> Result<(), Fault> {
        not_yet("http")
    }

    async fn idempotent(&mut self, _: Resource<Absent>) -> wasmtime::Result<()> {
        Ok(())
    }

    async fn drop(&mut self, request: Resource<Absent>) -> wasmtime::Result<()> {
        self.call()?.table.delete(request)?;
        Ok(())
    }
}

impl http::HostResponse for Host {
    async fn status(&mut self, _: Resource<Absent>) -> wasmtime::Result<u16> {
        nobody("http")
    }

    async fn headers(&mut self, _: Resource<Absent>) -> wasmtime::Result<Vec<(String, String)>> {
        nobody("http")
    }

    async fn body(&mut self, _: Resource<Absent>) -> wasmtime::Result<Vec<u8>> {
        nobody("http")
    }

    async fn take(&mut self, _: Resource<Absent>, _: String, _: Form) -> Result<Option<Resource<Value>>, Fault> {
        not_yet("http")
    }

    async fn drop(&mut self, _: Resource<Absent>) -> wasmtime::Result<()> {
        nobody("http")
    }
}

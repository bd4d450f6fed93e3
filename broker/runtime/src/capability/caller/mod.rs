//! `caller`: who asks. Any question makes the answer depend on the caller.

use warder_core::port::backend::Caller;

use crate::{bind::warder::plugin::caller, host::Host};

impl Host {
    fn caller(&mut self) -> wasmtime::Result<&Caller> {
        let call = self.call()?;
        call.observed.caller = true;
        Ok(&call.caller)
    }
}

impl caller::Host for Host {
    fn display_name(&mut self) -> wasmtime::Result<String> {
        Ok(self.caller()?.identity.as_ref().map(|identity| identity.display_name.clone()).unwrap_or_default())
    }

    fn entity_id(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.caller()?.identity.as_ref().and_then(|identity| identity.entity_id.clone()))
    }

    fn metadata(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        let Some(identity) = &self.caller()?.identity else { return Ok(Vec::new()) };
        Ok(identity.metadata.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    fn certificates(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self.caller()?.peer.certificates.clone())
    }

    fn remote_address(&mut self) -> wasmtime::Result<String> {
        Ok(self.caller()?.peer.address.map(|address| address.to_string()).unwrap_or_default())
    }
}

//! `clock`: one moment per call, and every question about it observed.

use warder_core::clock::Timestamp;

use crate::{bind::warder::plugin::clock, host::Host};

impl clock::Host for Host {
    fn now(&mut self) -> wasmtime::Result<u64> {
        let call = self.call()?;
        call.observed.unrepeatable = true;
        Ok(call.now.0)
    }

    fn reached(&mut self, moment: u64) -> wasmtime::Result<bool> {
        let call = self.call()?;
        let moment = Timestamp(moment);
        if moment <= call.now {
            return Ok(true);
        }
        call.observed.until = Some(call.observed.until.map_or(moment, |until| until.min(moment)));
        Ok(false)
    }
}

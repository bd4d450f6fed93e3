//! Calls of plugins, told to whoever measures them, also those whose caller went away.

use std::{sync::Arc, time::Instant};

use super::Broker;
use crate::{
    port::{
        backend::{MountScope, Ran},
        usage::{Calls, Ended, Export, Usage},
    },
    trace::{self, Stage, Value},
};

impl Broker {
    /// Tells every call of a plugin to `calls` from now on; the first one who asks stays.
    pub fn tell_calls(&self, calls: Arc<dyn Calls>) {
        let _ = self.calls.set(calls);
    }

    /// Runs an exported call and tells how it ended.
    pub(super) async fn told<T>(
        &self,
        scope: &MountScope,
        export: Export,
        ran: impl Future<Output = Ran<T>>,
    ) -> Ran<T> {
        let mut call = Telling {
            calls: self.calls.get(),
            scope,
            export,
            outcome: "cancelled",
            usage: Usage::default(),
            started: Instant::now(),
            stage: trace::stage("plugin.call"),
        };
        let ran = ran.await;
        call.usage = ran.usage;
        call.outcome = ran.result.as_ref().map_or_else(|error| error.kind.code(), |_| "ok");
        drop(call);
        ran
    }
}

/// A call under way; tells when it drops.
struct Telling<'a> {
    calls: Option<&'a Arc<dyn Calls>>,
    scope: &'a MountScope,
    export: Export,
    outcome: &'static str,
    usage: Usage,
    started: Instant,
    stage: Stage,
}

impl Telling<'_> {
    fn span(&mut self) {
        let (scope, usage) = (self.scope, self.usage);
        let mut stage = std::mem::replace(&mut self.stage, Stage::none());
        stage.about("warder.plugin", || Value::Text(scope.plugin.clone().into()));
        stage.about("warder.mount", || Value::Text(scope.path.clone().into()));
        stage.about("warder.call", || Value::Text(self.export.word().into()));
        stage.about("warder.outcome", || Value::Text(self.outcome.into()));
        stage.about("warder.cpu_us", || Value::Number(usage.processor.as_micros().try_into().unwrap_or(i64::MAX)));
        if let Some(fault) = usage.fault {
            stage.about("warder.fault", || Value::Text(fault.word().into()));
        }
        stage.ended(Some(self.outcome).filter(|outcome| *outcome != "ok"));
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        self.span();
        let Some(calls) = self.calls else { return };
        calls.ended(&Ended {
            plugin: &self.scope.plugin,
            mount: &self.scope.path,
            export: self.export,
            outcome: self.outcome,
            took: self.started.elapsed(),
            usage: self.usage,
        });
    }
}

//! `telemetry`: a plugin's words in Warder's log, under a constant message, bounded.

use crate::{bind::warder::plugin::telemetry, fault::bounded, host::Host};

/// Longest message and longest list of fields, bytes.
const TEXT_BYTES: usize = 1024;
/// Most fields of one line.
const FIELDS: usize = 16;

impl telemetry::Host for Host {
    fn log(&mut self, level: telemetry::Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        let share = self.share.clone();
        let plugin = &*share.plugin;
        let call = self.call()?;
        let mount = &*call.mount.path;
        if call.log_lines == 0 || !share.may_log() {
            return Ok(());
        }
        match call.log_lines {
            1 => tracing::warn!(plugin.name = plugin, mount.path = mount, "plugin log over its bound"),
            _ => write(level, plugin, mount, &bounded(&message, TEXT_BYTES), &listed(&fields)),
        }
        call.log_lines -= 1;
        Ok(())
    }
}

fn write(level: telemetry::Level, plugin: &str, mount: &str, text: &str, fields: &str) {
    use telemetry::Level;
    match level {
        Level::Debug => tracing::debug!(plugin.name = plugin, mount.path = mount, text, fields, "plugin log"),
        Level::Info => tracing::info!(plugin.name = plugin, mount.path = mount, text, fields, "plugin log"),
        Level::Warn => tracing::warn!(plugin.name = plugin, mount.path = mount, text, fields, "plugin log"),
        Level::Error => tracing::error!(plugin.name = plugin, mount.path = mount, text, fields, "plugin log"),
    }
}

/// `name="value" ...`, bounded as a whole.
fn listed(fields: &[(String, String)]) -> String {
    let words: Vec<String> = fields
        .iter()
        .take(FIELDS)
        .map(|(name, value)| format!("{}={:?}", bounded(name, 64), bounded(value, 256)))
        .collect();
    bounded(&words.join(" "), TEXT_BYTES)
}

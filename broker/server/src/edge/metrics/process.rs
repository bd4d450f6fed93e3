//! What the kernel knows of this process, under Prometheus' usual names.

use opentelemetry::{KeyValue, metrics::Meter};

pub(super) fn watch(meter: &Meter) {
    let version = [KeyValue::new("version", env!("CARGO_PKG_VERSION"))];
    let built = meter.u64_gauge("warder_build_info").with_description("1; the label says which build this is");
    built.build().record(1, &version);
    for (name, words) in [
        ("process_resident_memory_bytes", "Resident memory"),
        ("vault_runtime_alloc_bytes", "Resident memory, under the name that Vault's guides watch"),
    ] {
        let gauge = meter.u64_observable_gauge(name).with_description(words);
        gauge.with_callback(|out| resident().into_iter().for_each(|bytes| out.observe(bytes, &[]))).build();
    }
    let files = meter.u64_observable_gauge("process_open_fds").with_description("Open file descriptors");
    files.with_callback(|out| open_files().into_iter().for_each(|count| out.observe(count, &[]))).build();
}

/// `VmRSS` of proc(5), in bytes; none where there is no such file.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn open_files() -> Option<u64> {
    // Without the one that reads the folder.
    Some((std::fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}

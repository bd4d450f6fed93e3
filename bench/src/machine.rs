//! Where a number was measured, and what the kernel says of a process.

use std::{fs, process::Command, time::Duration};

use warder_testkit::{Failure, Result};

/// Others may use this share of the processors before the head of a table warns.
const QUIET: f64 = 0.1;

/// Processor, cores, kernel, commit, load; with a warning when others use the machine as well.
pub(crate) async fn head() -> Result<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("unknown", |it| it.1);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    let others = others().await?;
    let line = format!(
        "{model}, {cores} cores, Linux {}, commit {}, load {load}, others used {:.0} % of the processors just before",
        kernel.trim(),
        commit(),
        others * 100.0
    );
    let warning = "\n\n**The machine is not quiet: trust processor time a request and ratios, not rates.**";
    Ok(line + if others > QUIET { warning } else { "" })
}

/// Share of all processors that was busy while this program slept.
async fn others() -> Result<f64> {
    let before = ticks()?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let after = ticks()?;
    let (busy, all) = (after.0 - before.0, after.1 - before.1);
    Ok(busy as f64 / all.max(1) as f64)
}

/// Ticks of all processors since the boot: busy ones, and all.
fn ticks() -> Result<(u64, u64)> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().unwrap_or_default();
    // user nice system idle iowait irq softirq steal; what follows is in user already.
    let fields: Vec<u64> = line.split_whitespace().skip(1).take(8).filter_map(|field| field.parse().ok()).collect();
    let [_, _, _, idle, waiting, ..] = fields[..] else { return Err("unreadable /proc/stat".into()) };
    let all = fields.iter().sum();
    Ok((all - idle - waiting, all))
}

/// Processor time of a process so far (`utime` and `stime` of `/proc/PID/stat`, 100 a second).
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").ok_or("unreadable /proc stat")?;
    let ticks: u64 = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}

/// Processor time of the calling thread so far, to the nanosecond.
pub(crate) fn thread_time() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = stat.split(' ').next().and_then(|field| field.parse().ok());
    nanos.map(Duration::from_nanos).ok_or_else(|| Failure::from("unreadable /proc schedstat"))
}

/// Resident memory of a process in MiB (`VmRSS`).
pub(crate) fn resident(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = field.and_then(|text| text.trim().split(' ').next()).and_then(|text| text.parse::<f64>().ok());
    number.map(|kib| kib / 1024.0).ok_or_else(|| Failure::from("no VmRSS in /proc status"))
}

fn commit() -> String {
    let asked = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    asked.map_or_else(|_| "unknown".to_owned(), |told| String::from_utf8_lossy(&told.stdout).trim().to_owned())
}

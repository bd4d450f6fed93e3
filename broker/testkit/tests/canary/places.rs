//! Where a secret could be left: files, what the kernel shows of a process, its memory.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
};

use warder_testkit::{Failure, Result};

use crate::search::{Find, Search};

/// Read at once; regions are looked through in such pieces.
const PIECE: usize = 4 << 20;
/// Pieces overlap, so that nothing is cut in two: longer than the longest form of a half.
const OVERLAP: usize = 4096;
const PAGE: u64 = 4096;
/// What a region of memory that is a stack is called.
const STACK: &str = "[stack]";

/// Names and contents of all files below a folder.
pub(crate) fn files(search: &Search, folder: &Path) -> Result<Vec<Find>> {
    let mut finds = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let place = path.display().to_string();
        finds.extend(search.look(&format!("the name of {place}"), place.as_bytes()));
        if path.is_dir() {
            finds.extend(files(search, &path)?);
        } else if path.is_file() {
            finds.extend(search.look(&place, &fs::read(&path)?));
        }
    }
    Ok(finds)
}

/// Arguments and environment, as every user of the machine may see them.
pub(crate) fn process(search: &Search, pid: u32) -> Result<Vec<Find>> {
    let mut finds = Vec::new();
    for what in ["cmdline", "environ", "comm", "maps"] {
        let file = format!("/proc/{pid}/{what}");
        let bytes = fs::read(&file).map_err(|why| Failure::new(&file, why))?;
        finds.extend(search.look(&file, &bytes));
    }
    Ok(finds)
}

/// A writable range of a process's memory.
#[derive(Clone, Debug)]
struct Region {
    from: u64,
    to: u64,
    /// `[heap]`, `[stack]`, a file, or nothing.
    name: String,
}

/// All memory that the process can write to.
///
/// # Errors
/// When the kernel does not let this process read it; the words say what would.
pub(crate) fn memory(search: &Search, pid: u32) -> Result<Vec<Find>> {
    let refused = |why: io::Error| {
        let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
        Failure::from(format!(
            "/proc/{pid}/mem: {why}: this test reads the memory of its own child, which needs \
             kernel.yama.ptrace_scope of 0 or 1 (it is {:?}) or CAP_SYS_PTRACE: \
             `sysctl kernel.yama.ptrace_scope=1`, or run the tests as root",
            scope.trim()
        ))
    };
    let memory = File::open(format!("/proc/{pid}/mem")).map_err(refused)?;
    let pagemap = File::open(format!("/proc/{pid}/pagemap")).map_err(refused)?;
    let (mut finds, mut looked) = (Vec::new(), 0);
    for region in regions(pid)? {
        for (from, to) in present(&pagemap, &region)? {
            looked += to - from;
            finds.extend(range(search, &memory, &region, from, to).map_err(refused)?);
        }
    }
    // A process of ours has more than that: less means that nothing was really read.
    if looked < 1 << 20 {
        return Err(Failure::from(format!("only {looked} bytes of the memory of {pid} could be looked at")));
    }
    // Unoptimized code keeps on the stack what optimized code has in registers only.
    finds.retain(|find| !(cfg!(debug_assertions) && find.place.ends_with(STACK)));
    finds.sort();
    finds.dedup();
    Ok(finds)
}

fn regions(pid: u32) -> Result<Vec<Region>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    let parse = |line: &str| {
        let mut words = line.split_whitespace();
        let (from, to) = words.next()?.split_once('-')?;
        let rights = words.next()?.to_owned();
        let name = words.nth(3).unwrap_or_default().to_owned();
        Some((rights, Region { from: number(from)?, to: number(to)?, name }))
    };
    let mut all: Vec<(String, Region)> = maps.lines().filter_map(parse).collect();
    // Threads and sandboxes have their stacks above a page that nobody may touch.
    for at in 1..all.len() {
        let (guard, below) = &all[at - 1];
        if guard == "---p" && below.to - below.from == PAGE && below.to == all[at].1.from && all[at].1.name.is_empty() {
            STACK.clone_into(&mut all[at].1.name);
        }
    }
    Ok(all.into_iter().filter(|(rights, _)| rights.starts_with("rw")).map(|(_, region)| region).collect())
}

/// Runs of pages that hold anything: untouched memory is zero and may be very large.
fn present(pagemap: &File, region: &Region) -> Result<Vec<(u64, u64)>> {
    const ENTRY: u64 = 8;
    /// Present in memory, or swapped out (Linux, Documentation/admin-guide/mm/pagemap.rst).
    const USED: u64 = 0b11 << 62;
    let mut runs: Vec<(u64, u64)> = Vec::new();
    let pages = (region.to - region.from) / PAGE;
    let mut entries = vec![0; 1 << 20];
    let mut at = 0;
    while at < pages {
        let want = usize::try_from((pages - at) * ENTRY).unwrap_or(usize::MAX).min(entries.len());
        pagemap.read_exact_at(&mut entries[..want], (region.from / PAGE + at) * ENTRY)?;
        for entry in entries[..want].as_chunks::<8>().0 {
            let start = region.from + at * PAGE;
            at += 1;
            match runs.last_mut() {
                _ if u64::from_ne_bytes(*entry) & USED == 0 => {}
                Some((_, end)) if *end == start => *end += PAGE,
                _ => runs.push((start, start + PAGE)),
            }
        }
    }
    Ok(runs)
}

fn range(search: &Search, memory: &File, region: &Region, from: u64, to: u64) -> io::Result<Vec<Find>> {
    let (mut finds, mut at) = (Vec::new(), from);
    let mut piece = vec![0; PIECE + OVERLAP];
    while at < to {
        let want = usize::try_from(to - at).unwrap_or(usize::MAX).min(piece.len());
        match memory.read_exact_at(&mut piece[..want], at) {
            Ok(()) => finds.extend(search.look(&format!("memory {at:x} {}", region.name), &piece[..want])),
            // Unmapped since the list was read: a thread or a buffer that ended.
            Err(error) if error.raw_os_error() == Some(5) || error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(error),
        }
        at += PIECE as u64;
    }
    Ok(finds)
}

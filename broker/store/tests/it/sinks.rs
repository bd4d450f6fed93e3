//! Audit sinks take whole records or none.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use warder_core::port::sink::Sink;
use warder_store::sink::{self, FileSink, Options, SinkError, StdoutSink, Sync};

fn open(path: &Path) -> Result<FileSink, SinkError> {
    FileSink::open(path, Sync::Always)
}

#[test]
fn records_are_appended_and_the_last_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let mut sink = open(&path).unwrap();
    assert_eq!(sink.last_line().unwrap(), None);
    sink.append(b"{\"n\":1}\n{\"n\":2}\n", true).unwrap();
    drop(sink);
    let mut sink = open(&path).unwrap();
    assert_eq!(sink.last_line().unwrap().as_deref(), Some(&b"{\"n\":2}"[..]));
    let long = [&b"{\"long\":\""[..], &vec![b'x'; 200_000], b"\"}"].concat();
    sink.append(&[&long[..], b"\n"].concat(), true).unwrap();
    assert_eq!(sink.last_line().unwrap(), Some(long));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_torn_record_is_cut_off_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    for (before, after) in [
        (&b"{\"n\":1}\n{\"n\""[..], &b"{\"n\":1}\n"[..]),
        (b"{\"n\":1}\n\0\0\0", b"{\"n\":1}\n"),
        (b"{\"torn at on", b""),
        (b"{\"n\":1}\n", b"{\"n\":1}\n"),
        (b"", b""),
    ] {
        fs::write(&path, before).unwrap();
        let mut sink = open(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), after);
        assert_eq!(sink.last_line().unwrap(), after.strip_suffix(b"\n").map(<[u8]>::to_vec));
    }
    for foreign in [&b"#!/bin/sh"[..], b"{\"n\":1}\nroot:x:0:0", &vec![b'{'; 17 << 20]] {
        fs::write(&path, foreign).unwrap();
        assert!(matches!(open(&path), Err(SinkError::Foreign { .. })));
        assert_eq!(fs::read(&path).unwrap(), foreign);
    }
}

#[test]
fn what_is_no_regular_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (target, link) = (folder.path().join("target"), folder.path().join("link"));
    symlink(&target, &link).unwrap();
    for (path, what) in [
        (&*link, "a symbolic link"),
        (folder.path(), "a directory"),
        (Path::new("/dev/full"), "a device, pipe or socket"),
    ] {
        let error = open(path).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
    assert!(!target.exists());
    assert!(matches!(open(&folder.path().join("no/such")), Err(SinkError::Io { .. })));
}

#[test]
fn a_rotated_log_is_left_at_reopen_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let (path, rotated) = (folder.path().join("audit.log"), folder.path().join("audit.log.1"));
    let mut sink = open(&path).unwrap();
    sink.append(b"{\"n\":1}\n", true).unwrap();
    fs::rename(&path, &rotated).unwrap();
    sink.append(b"{\"n\":2}\n", true).unwrap();
    sink.reopen().unwrap();
    sink.append(b"{\"n\":3}\n", true).unwrap();
    assert_eq!(fs::read(&rotated).unwrap(), b"{\"n\":1}\n{\"n\":2}\n");
    assert_eq!(fs::read(&path).unwrap(), b"{\"n\":3}\n");
    fs::rename(&path, &rotated).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(sink.reopen().is_err());
    sink.append(b"{\"n\":4}\n", true).unwrap();
    assert_eq!(fs::read(&rotated).unwrap(), b"{\"n\":3}\n{\"n\":4}\n", "the old one stays in use");
}

#[test]
fn options_are_checked_by_name() {
    let options =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Options>();
    for (kind, given, expected) in [
        ("file", &[][..], "option file_path: expected an absolute path"),
        ("file", &[("file_path", "audit.log")], "option file_path: expected an absolute path"),
        ("file", &[("file_path", "/tmp/x"), ("sync", "yes")], "option sync: expected always, effects or never"),
        ("file", &[("path", "/tmp/x")], "option path: the file sink has the options file_path and sync"),
        ("stdout", &[("sync", "true")], "option sync: the stdout sink has no options"),
        ("syslog", &[], "there is no audit sink of kind syslog; the kinds are file and stdout"),
    ] {
        let error = sink::open(kind, &options(given)).err().unwrap();
        assert_eq!(error.to_string(), expected);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let mut sink = sink::open("file", &options(&[("file_path", path.to_str().unwrap()), ("sync", "never")])).unwrap();
    sink.append(b"{}\n", true).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"{}\n");
    assert!(sink::open("stdout", &options(&[])).is_ok());
}

#[test]
fn stdout_takes_whole_records_and_remembers_none() {
    let mut sink = StdoutSink::new(Vec::new());
    sink.append(b"{}\n", true).unwrap();
    sink.reopen().unwrap();
    assert_eq!((sink.last_line().unwrap(), &sink.output()[..]), (None, &b"{}\n"[..]));
    let mut full = StdoutSink::new(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    assert!(full.append(b"{}\n", true).is_err());
    assert_eq!(full.last_line().unwrap(), None);
}

/// Takes `room` bytes, then fails until it is given more.
struct Narrow {
    taken: Vec<u8>,
    room: usize,
}

impl io::Write for Narrow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fits = bytes.len().min(self.room);
        self.room -= fits;
        self.taken.extend_from_slice(&bytes[..fits]);
        if fits == 0 { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(fits) }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stream_that_broke_in_a_record_completes_it_before_the_next() {
    const GROUP: &[u8] = b"{\"first\":1}\n{\"second\":2}\n{\"third\":3}\n";
    let ends: Vec<usize> = GROUP.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
    for room in 0..GROUP.len() {
        let mut sink = StdoutSink::new(Narrow { taken: Vec::new(), room });
        assert!(sink.append(GROUP, true).is_err());
        assert_eq!(sink.reopen().is_err(), room != 0 && !ends.contains(&room), "{room}");
        sink.output().room = usize::MAX;
        sink.reopen().unwrap();
        let end = *[0].iter().chain(&ends).find(|end| **end >= room).unwrap();
        assert_eq!(&sink.output().taken[..], &GROUP[..end], "{room}");
        let last =
            GROUP[..end].trim_ascii_end().split(|byte| *byte == b'\n').next_back().filter(|line| !line.is_empty());
        assert_eq!(sink.last_line().unwrap().as_deref(), last, "{room}");
        sink.append(b"{}\n", true).unwrap();
        assert_eq!((sink.last_line().unwrap(), sink.output().taken.len()), (None, end + 3));
    }
}

#[test]
fn a_file_that_was_removed_is_made_anew_before_an_effect() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let mut sink = FileSink::open(&path, Sync::Effects).unwrap();
    sink.append(b"{\"first\":1}\n", true).unwrap();
    fs::remove_file(&path).unwrap();
    sink.append(b"{\"second\":2}\n", true).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"{\"second\":2}\n");
}

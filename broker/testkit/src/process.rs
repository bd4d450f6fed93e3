//! A server process: its output collected, itself ended when the fixture drops.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::{Failure, Result};

/// A child of this test. Dropping it kills that one process and waits for it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Output {
    text: Mutex<Text>,
    grown: Condvar,
}

/// Longest wait for words that must come.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Default)]
struct Text {
    stdout: String,
    stderr: String,
    /// Streams that have ended.
    ended: usize,
}

impl Process {
    /// Starts `command` with nothing on its standard input.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(name: &str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|why| Failure::new(format_args!("start {name}"), why))?;
        let output = Arc::new(Output::default());
        let out = child.stdout.take().map(|stream| collect(stream, &output, |text| &mut text.stdout));
        let err = child.stderr.take().map(|stream| collect(stream, &output, |text| &mut text.stderr));
        Ok(Self { name: name.to_owned(), child, output, readers: out.into_iter().chain(err).collect() })
    }

    /// Waits until `find` sees what it looks for in the standard output so far.
    ///
    /// # Errors
    /// When the process ends or `patience` runs out first; the words quote its output.
    pub fn wait_for<T>(&self, patience: Duration, find: impl Fn(&str) -> Option<T>) -> Result<T> {
        self.wait(patience, |text| find(&text.stdout))
    }

    /// Waits a while until these words stand in the standard error: what a program has said before it
    /// answered may come a moment after the answer.
    ///
    /// # Errors
    /// As [`Process::wait_for`] has them.
    pub fn says(&self, words: &str) -> Result {
        self.wait(PATIENCE, |text| text.stderr.contains(words).then_some(()))
    }

    fn wait<T>(&self, patience: Duration, find: impl Fn(&Text) -> Option<T>) -> Result<T> {
        let start = Instant::now();
        let mut text = self.text();
        loop {
            if let Some(found) = find(&text) {
                return Ok(found);
            }
            let left = patience.saturating_sub(start.elapsed());
            if text.ended == 2 || left.is_zero() {
                let why = if text.ended == 2 { "ended" } else { "was not ready in time" };
                return Err(Failure::from(format!("{} {why}\n{}\n{}", self.name, text.stdout, text.stderr)));
            }
            text = self.output.grown.wait_timeout(text, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.text().stdout.clone()
    }

    /// Standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.text().stderr.clone()
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end (`SIGTERM`) and waits until it has.
    ///
    /// # Errors
    /// When it cannot be signalled or waited for.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).map_err(|why| Failure::new(format_args!("stop {}", self.name), why))?;
        self.join()
    }

    /// Ends it at once (`SIGKILL`), as a power cut would end its memory.
    ///
    /// # Errors
    /// When it cannot be signalled or waited for.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.child.kill()?;
        self.join()
    }

    fn join(&mut self) -> Result<ExitStatus> {
        let status = self.child.wait()?;
        for reader in self.readers.drain(..) {
            _ = reader.join();
        }
        Ok(status)
    }

    fn text(&self) -> MutexGuard<'_, Text> {
        self.output.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.readers.is_empty() {
            _ = self.kill();
        }
    }
}

fn collect(
    stream: impl Read + Send + 'static,
    output: &Arc<Output>,
    place: fn(&mut Text) -> &mut String,
) -> JoinHandle<()> {
    let output = Arc::clone(output);
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let mut text = output.text.lock().unwrap_or_else(PoisonError::into_inner);
            place(&mut text).push_str(&String::from_utf8_lossy(&line));
            output.grown.notify_all();
            line.clear();
        }
        output.text.lock().unwrap_or_else(PoisonError::into_inner).ended += 1;
        output.grown.notify_all();
    })
}

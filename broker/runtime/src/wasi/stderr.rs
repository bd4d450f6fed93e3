//! What a guest writes to stderr: bounded, for the log only.

use crate::{fault::bounded, share::Share};

/// Longest line kept, bytes.
const LINE_BYTES: usize = 1024;

/// Lines of one call; those over the bound are counted and dropped.
#[derive(Debug)]
pub(crate) struct Stderr {
    lines: Vec<String>,
    partial: Vec<u8>,
    limit: usize,
    dropped: usize,
}

impl Stderr {
    pub(crate) const fn new(limit: usize) -> Self {
        Self { lines: Vec::new(), partial: Vec::new(), limit, dropped: 0 }
    }

    /// Takes bytes as they come; a line ends at `\n`.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE_BYTES.saturating_sub(self.partial.len());
            self.partial.extend(piece.iter().take(room));
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    /// The line that says why: the last one, without notes on how to get a backtrace.
    pub(crate) fn last_words(&self) -> Option<&str> {
        let told = |line: &&String| !line.is_empty() && !line.starts_with("note: ");
        self.lines.iter().rfind(told).map(String::as_str)
    }

    /// Writes the lines to the log.
    pub(crate) fn report(&self, share: &Share, mount: &str) {
        let plugin = &*share.plugin;
        for line in self.lines.iter().take_while(|_| share.may_log()) {
            tracing::info!(plugin.name = plugin, mount.path = mount, line = %line, "plugin stderr");
        }
        if self.dropped > 0 && share.may_log() {
            tracing::warn!(
                plugin.name = plugin,
                mount.path = mount,
                dropped = self.dropped,
                "plugin stderr over its bound"
            );
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.partial);
        if self.lines.len() >= self.limit {
            self.dropped += 1;
            return;
        }
        let text = String::from_utf8_lossy(&line);
        self.lines.push(bounded(text.trim_end(), LINE_BYTES));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_in_length_and_number() {
        let mut stderr = Stderr::new(2);
        stderr.write(b"thread panicked at ");
        stderr.write(b"x\nnote: run with\n");
        stderr.write(&[b'a'; 10_000]);
        stderr.write(b"\n\n");
        assert_eq!((stderr.lines.len(), stderr.dropped), (2, 2));
        assert_eq!(stderr.last_words(), Some("thread panicked at x"));
        assert!(stderr.partial.len() <= LINE_BYTES);
    }
}

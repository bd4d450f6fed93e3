//! Port: where audit records go.

use std::io;

/// One destination of audit records. Called by one thread at a time: the sink's own worker, so it
/// may block, or, for a [quick](Sink::is_quick) one, whoever brings a record. A call that outlasts
/// the sink's deadline counts as a refusal for the waiting requests.
pub trait Sink: Send + 'static {
    /// Appends whole records, each one line ending in `\n`, in order. `Ok` means: taken. They
    /// survive this process from then on; with `before_effect`, one of them announces an effect
    /// that will be durable itself, so they should survive a power cut too, unless the operator
    /// told the sink otherwise.
    ///
    /// # Errors
    /// Any; the records are then refused, and none of them may be half there after a reopen.
    fn append(&mut self, lines: &[u8], before_effect: bool) -> io::Result<()>;

    /// Whether an append that is not `before_effect` only hands bytes to the kernel and so never
    /// waits for a reader or, on a disk that works, for the disk.
    fn is_quick(&self) -> bool {
        false
    }

    /// Reopens what it writes to (log rotation).
    ///
    /// # Errors
    /// When the destination cannot be opened; the old one stays in use.
    fn reopen(&mut self) -> io::Result<()>;

    /// The last complete record it holds, to continue the hash chain: asked at the start and after
    /// an append that failed. None for an empty or write-only destination, which leaves the chain
    /// where it is.
    ///
    /// # Errors
    /// When the destination cannot be read.
    fn last_line(&mut self) -> io::Result<Option<Vec<u8>>>;
}

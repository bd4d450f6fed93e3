//! Audit sinks: where records go. Core's audit room drives them through its sink port; the
//! composition root opens them by kind.
//!
//! To add a kind: a file with a type that implements core's `Sink` and a line in [`KINDS`].

use std::{collections::BTreeMap, io, path::PathBuf};

use warder_core::port::sink::Sink;

mod file;
mod stdout;

pub use self::{
    file::{FileSink, Sync},
    stdout::StdoutSink,
};

/// Options by name, as an operator wrote them.
pub type Options = BTreeMap<String, String>;

/// How a sink of one kind is opened.
pub type Opener = fn(&Options) -> Result<Box<dyn Sink>, SinkError>;

/// Every kind by name.
pub const KINDS: &[(&str, Opener)] = &[("file", file::open), ("stdout", stdout::open)];

/// Opens a sink of `kind`.
///
/// # Errors
/// [`SinkError`] names the option or the file and what was expected.
pub fn open(kind: &str, options: &Options) -> Result<Box<dyn Sink>, SinkError> {
    let known = KINDS.iter().find(|(name, _)| *name == kind);
    known.map_or_else(|| Err(SinkError::UnknownKind { kind: kind.to_owned() }), |(_, open)| open(options))
}

/// Why a sink was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The file's end is no torn record of ours.
    #[error("{path} is not an audit log: it ends in something else than a record")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Reading or writing failed.
    #[error("{path} cannot be opened for appending")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        #[source]
        source: io::Error,
    },
    /// A symbolic link, a directory, a device.
    #[error("{path} is {what}; an audit log is a regular file")]
    NotAFile {
        /// What was named.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// An option is missing, unknown or wrong.
    #[error("option {option}: {expected}")]
    Option {
        /// Its name.
        option: String,
        /// What was expected.
        expected: &'static str,
    },
    /// No such sink.
    #[error("there is no audit sink of kind {kind}; the kinds are file and stdout")]
    UnknownKind {
        /// As asked for.
        kind: String,
    },
}

/// Refuses options that a kind does not have.
fn only(options: &Options, known: &[&str], expected: &'static str) -> Result<(), SinkError> {
    match options.keys().find(|name| !known.contains(&name.as_str())) {
        Some(option) => Err(SinkError::Option { option: option.clone(), expected }),
        None => Ok(()),
    }
}

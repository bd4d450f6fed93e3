//! What broker/fuzz sees of audit: the hidden form of a document, and lines as a worker writes them.

use super::{
    Record,
    chain::Chain,
    digest,
    line::{Formatter, write_content},
};
use crate::secret::Secret;

/// `text` as it stands in a record: every leaf, or the whole, as a digest.
#[must_use]
pub fn hidden(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    digest::write_hidden(&mut out, Some(&digest::Keys::new(&Secret::from("salt"))), text);
    out
}

/// The records as one sink's log.
#[must_use]
pub fn log<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<u8> {
    let keys = digest::Keys::new(&Secret::from("salt"));
    let (mut out, mut chain, mut formatter) = (Vec::new(), Chain::default(), Formatter::default());
    for record in records {
        let mut content = Vec::new();
        write_content(&mut content, Some(&keys), record);
        formatter.write(&mut out, &mut chain, record.moment(), &content);
    }
    out
}

/// Whether a sink that ends in this line can be continued.
#[must_use]
pub fn continues(line: &[u8]) -> bool {
    Chain::after(line).is_ok()
}

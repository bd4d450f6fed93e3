//! What broker/fuzz sees of the broker: how a plugin's answer becomes the caller's.

use super::plugin;
use crate::{error::Result, port::backend::PluginAnswer, request::Answer};

/// The answer with its sealed values in place.
///
/// # Errors
/// `upstream_protocol` when it is not what it declares.
pub fn reveal(answer: PluginAnswer) -> Result<Answer> {
    plugin::reveal(answer)
}

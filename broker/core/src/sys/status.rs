//! The seal, as far as an authorized caller may move it.

use super::{Served, Sys};
use crate::error::Result;

pub(super) async fn seal(sys: &Sys) -> Result<Served> {
    sys.seal.seal().await?;
    sys.attempts.forget().await;
    sys.audit.clear_salt();
    Ok(Served::nothing())
}

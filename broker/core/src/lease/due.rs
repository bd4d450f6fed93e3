//! What is to be done, in the order of time. A lease whose time has come is doomed before its plugin
//! is called: a renewal that comes meanwhile finds that it is too late.

use super::{Held, Leases, State, doom::doomed, held, keys};
use crate::{
    clock::Timestamp,
    error::Result,
    port::storage::{Batch, Outcome},
};

/// A lease that is to be revoked now, as its key tells without being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    name: String,
    /// The mount that it belongs to.
    pub mount: String,
}

impl Due {
    /// The last segment of the lease's id, which no other lease has.
    #[must_use]
    pub fn lease(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or_default()
    }
}

/// What is due, and what comes after.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Those that are due, in order.
    pub due: Vec<Due>,
    /// When the next one is; none when the page was full of those that are due, or there is none.
    pub next: Option<Timestamp>,
    /// Whether there may be more that are due, behind the last of these.
    pub more: bool,
}

impl Leases {
    /// At most `limit` leases that are due, behind `after`.
    ///
    /// # Errors
    /// What storage says.
    pub async fn due(&self, after: Option<&Due>, limit: usize) -> Result<Page> {
        let now = self.clock.now();
        let after = after.map(|due| due.name.as_str());
        let names = self.storage.snapshot().await?.children(keys::DUE, after, limit).await?;
        let mut page = Page { more: names.len() >= limit, ..Page::default() };
        for name in names {
            match keys::parse_due(&name) {
                Some((at, mount)) if at <= now => {
                    let mount = mount.to_owned();
                    page.due.push(Due { name, mount });
                }
                Some((at, _)) => {
                    (page.next, page.more) = (Some(at), false);
                    break;
                }
                None => {}
            }
        }
        Ok(page)
    }

    /// Dooms these and says which are to be revoked: those that were renewed, or are gone, are not.
    ///
    /// # Errors
    /// What storage says.
    pub async fn taken(&self, due: &[Due]) -> Result<Vec<Held>> {
        let now = self.clock.now();
        let snapshot = self.storage.snapshot().await?;
        let (mut all, mut fresh, mut batch) = (Vec::with_capacity(due.len()), Vec::new(), Batch::default());
        for Due { name, .. } in due {
            let Some(entry) = snapshot.get(&format!("{}{name}", keys::DUE)).await? else { continue };
            match held(&*snapshot, entry.value.expose_str().unwrap_or_default()).await? {
                Some(found) if found.record.due > now => {}
                Some(found) if found.record.state == State::Revoking => all.push(found),
                Some(mut found) => {
                    found.record.timed_out = found.record.state == State::Confirmed;
                    fresh.push(doomed(&found, now, &mut batch)?);
                }
                None => {}
            }
        }
        if fresh.is_empty() {
            return Ok(all);
        }
        // A conflict is a renewal, or somebody else who dooms: the next look sees it.
        if let Outcome::Committed(revision) = self.storage.commit(batch).await? {
            all.extend(fresh.into_iter().map(|record| Held { record, revision }));
        }
        Ok(all)
    }
}

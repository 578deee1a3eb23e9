//! Snapshots of orgs in the ledger, for a server that is started while Stripe is unavailable.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::store::{Entry, OrgKey};
use super::usage::UsageSnapshot;
use super::{StaleReason, Terms};
use crate::domain::{Domain, Error, Result};
use crate::ledger::Snapshot;
use crate::ledger::values::Time;

/// How often an unchanged snapshot is saved again, in milliseconds. A snapshot that is too old is not used.
const REWRITE_AFTER: i64 = 5 * 60 * 1000;

/// The text of a snapshot: an entry and its customer.
#[derive(Serialize, Deserialize)]
struct StoredSnapshot {
    customer: String,
    /// Unix seconds.
    until: Option<i64>,
    terms: Option<Terms>,
    usage: UsageSnapshot,
}

impl Domain {
    /// Saves a snapshot of the org in the ledger, if there is a ledger and its snapshot is old or differs. `before` is
    /// the previously remembered entry.
    pub(super) fn save_snapshot(
        &self,
        (_, org): &OrgKey,
        customer: &Arc<str>,
        entry: &Entry<UsageSnapshot>,
        before: Option<&Entry<UsageSnapshot>>,
    ) {
        let is_same = |before: &Entry<UsageSnapshot>| {
            let is_recent =
                before.read_at.div_euclid(REWRITE_AFTER) == entry.read_at.div_euclid(REWRITE_AFTER);
            is_recent && before.terms == entry.terms && before.until == entry.until
        };
        let Some(ledger) = self.opened_ledger() else {
            return;
        };
        if before.is_some_and(is_same) {
            return;
        }
        let kept = serde_json::to_string(&StoredSnapshot {
            customer: customer.to_string(),
            until: entry.until,
            terms: entry.terms,
            usage: (*entry.value).clone(),
        });
        match kept {
            Ok(text) => ledger.keep(Snapshot {
                org: org.as_str().into(),
                read_at: Time::from_millis(entry.read_at),
                text,
            }),
            Err(error) => tracing::error!(%error, "could not save the snapshot of an org"),
        }
    }

    /// The ledger's snapshot of an org, and its customer.
    pub(super) async fn load_snapshot(
        &self,
        (_, org): &OrgKey,
    ) -> Result<Option<(Arc<str>, Entry<UsageSnapshot>)>> {
        let Some(handle) = self.ledger() else {
            return Ok(None);
        };
        let name = org.as_str().into();
        let found = handle.read(move |reader| reader.snapshot(&name));
        let Some(snapshot) = found.await? else {
            return Ok(None);
        };
        if snapshot.text.contains(r#""on_meter":true"#) {
            // An earlier version wrote the snapshot, without the meters' ids.
            return Ok(None);
        }
        let kept: StoredSnapshot = serde_json::from_str(&snapshot.text)
            .map_err(|error| Error::LedgerUnavailable(error.to_string()))?;
        let plan = kept.usage.plan();
        let entry = Entry {
            value: Arc::new(kept.usage.in_order()),
            read_at: snapshot.read_at.millis(),
            until: kept.until,
            terms: kept.terms,
            is_outdated: false,
            plan,
        };
        Ok(Some((kept.customer.as_str().into(), entry)))
    }
}

impl Error {
    /// The reason to accept an older answer in place of this error, if an older answer is acceptable.
    pub(super) fn stale_reason(&self) -> Option<StaleReason> {
        match self {
            Self::RateLimited { .. } => Some(StaleReason::RateLimited),
            Self::Unavailable { .. } | Self::TimedOut { .. } | Self::Busy { .. } => {
                Some(StaleReason::Unavailable)
            }
            _ => None,
        }
    }
}

//! Snapshots of orgs in the ledger, which a server uses that is started while Stripe is unavailable.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::store::{Entry, Key, Until};
use super::usage::UsageSnapshot;
use super::{Stale, Terms};
use crate::domain::{Domain, Error, Result};
use crate::ledger::Snapshot;
use crate::ledger::values::Time;

/// How often an unchanged snapshot is written again, in milliseconds, since its age decides whether it may be used.
const REWRITE_AFTER: i64 = 5 * 60 * 1000;

/// A stored entry, and its customer.
#[derive(Serialize, Deserialize)]
struct Kept {
    customer: String,
    /// Unix seconds.
    until: Option<i64>,
    terms: Option<Terms>,
    usage: UsageSnapshot,
}

impl Domain {
    /// Stores the org's state in the ledger, if there is one and its snapshot is not recent. `before` is the state
    /// remembered until then.
    pub(super) fn keep_in_ledger(
        &self,
        (_, org): &Key,
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
        let kept = serde_json::to_string(&Kept {
            customer: customer.to_string(),
            until: entry.until.get(),
            terms: entry.terms,
            usage: (*entry.value).clone(),
        });
        match kept {
            Ok(text) => ledger.keep(Snapshot {
                org: org.as_str().into(),
                read_at: Time::from_millis(entry.read_at),
                text,
            }),
            Err(error) => tracing::error!(%error, "what was read of an org cannot be kept"),
        }
    }

    /// The ledger's snapshot of an org, and its customer.
    pub(super) async fn kept_in_ledger(
        &self,
        (_, org): &Key,
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
            // Of a version that did not keep which meter it is.
            return Ok(None);
        }
        let kept: Kept = serde_json::from_str(&snapshot.text)
            .map_err(|error| Error::LedgerUnavailable(error.to_string()))?;
        let plan = kept.usage.plan();
        let entry = Entry {
            value: Arc::new(kept.usage.in_order()),
            read_at: snapshot.read_at.millis(),
            until: Until::of(kept.until),
            terms: kept.terms,
            is_outdated: false,
            plan,
        };
        Ok(Some((kept.customer.as_str().into(), entry)))
    }
}

impl Error {
    /// The reason to accept an older answer in place of this error, if there is one.
    pub(super) fn stale(&self) -> Option<Stale> {
        match self {
            Self::RateLimited { .. } => Some(Stale::RateLimited),
            Self::Unavailable { .. } | Self::TimedOut { .. } | Self::Busy { .. } => {
                Some(Stale::Unavailable)
            }
            _ => None,
        }
    }
}

//! Periodic maintenance of the ledger: settles ended periods, compacts old entries, and counts undelivered usage.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::settle::Settlement;
use crate::domain::{Domain, Result};
use crate::ledger::state::{Total, TotalId};
use crate::ledger::store::read::Status;
use crate::ledger::values::{HOUR, Time};

/// How long after a period's end its invoice is final, in milliseconds. Invoices are drafts for about an hour.
const BILLED_AFTER: i64 = 2 * HOUR;

/// The maximum number of totals settled, or compacted, in one run.
const MAX_TOTALS: usize = 200;

/// How long a total that cannot be settled yet waits at first, so that it does not cost calls to Stripe each minute. Each
/// further time it waits twice as long.
const FIRST_WAIT: i64 = HOUR;

/// How long it waits at most.
const LONGEST_WAIT: i64 = 8 * HOUR;

/// The totals that could not be settled.
#[derive(Debug, Default)]
pub(super) struct Postponed(Mutex<HashMap<TotalId, Wait>>);

/// When a total began to wait, and for how many milliseconds.
#[derive(Clone, Copy, Debug)]
struct Wait {
    since: Time,
    length: i64,
    /// The end of its period, which may have moved.
    period_end: Time,
}

impl Postponed {
    fn add(&self, total: TotalId, period_end: Time, now: Time) {
        let mut waits = self.lock();
        let before = waits.get(&total);
        let length = before.map_or(FIRST_WAIT, |wait| wait.length.saturating_mul(2));
        let wait = Wait {
            since: now,
            length: length.min(LONGEST_WAIT),
            period_end,
        };
        waits.insert(total, wait);
    }

    /// The end of the total's period, as far as it is known.
    fn end_of(&self, total: &Total) -> Time {
        let known = self.lock().get(&total.id).map(|wait| wait.period_end);
        known.unwrap_or_default().max(total.period.end)
    }

    /// The totals that wait at `now`.
    fn at(&self, now: Time) -> HashSet<TotalId> {
        let mut waits = self.lock();
        // Those that settled in the meantime are forgotten, and all if the clock was set back.
        waits.retain(|_, wait| wait.since <= now && now < wait.since.plus(2 * LONGEST_WAIT));
        let waiting = waits
            .iter()
            .filter(|(_, wait)| now < wait.since.plus(wait.length));
        waiting.map(|(total, _)| *total).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TotalId, Wait>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Domain {
    /// Settles ended periods, compacts old entries, and updates the metrics.
    ///
    /// # Errors
    /// If Stripe cannot be asked, or the ledger cannot be read or written. The next run continues.
    pub async fn maintain_ledger(&self) -> Result<()> {
        let Some(handle) = self.ledger() else {
            return Ok(());
        };
        let Some(ledger) = self.opened_ledger() else {
            return Ok(());
        };
        let now = Time::from_millis(self.account.clock.millis());
        let postponed = handle.0.postponed.at(now);
        let max = MAX_TOTALS + postponed.len();
        let due = handle.read(move |reader| {
            let ended_before = now.plus(-BILLED_AFTER);
            Ok((reader.status()?, reader.unsettled(ended_before, max)?))
        });
        let (status, mut due) = due.await?;
        self.update_metrics(&status, now);
        due.retain(|total| !postponed.contains(&total.id));
        // A total that cannot be settled does not hold up the others.
        let mut result = Ok(());
        for mut total in due {
            let postponed = &handle.0.postponed;
            total.period.end = postponed.end_of(&total);
            let settled = self.settle_total(handle, ledger, &total, now).await;
            match settled {
                Ok(Settlement::Settled) => {}
                Ok(Settlement::Runs(end)) => postponed.add(total.id, end, now),
                Ok(Settlement::Waits) | Err(_) => postponed.add(total.id, total.period.end, now),
            }
            result = result.and(settled.map(drop));
        }
        let keep = i64::try_from(handle.0.settings.keep.as_millis()).unwrap_or(i64::MAX);
        let old = now.plus(keep.saturating_neg());
        while ledger.compact(old, MAX_TOTALS).await? == MAX_TOTALS {}
        result
    }

    fn update_metrics(&self, status: &Status, now: Time) {
        let metrics = self.stripe().metrics();
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        metrics.ledger_undelivered.set(count(status.undelivered));
        metrics.ledger_parked.set(count(status.parked));
        let oldest = status.oldest_undelivered.as_ref();
        let since = oldest.and_then(|total| total.delivery.changed);
        let lag = since.map_or(0, |since| (now.millis() - since.millis()).max(0) / 1000);
        metrics.ledger_lag.set(lag);
    }
}

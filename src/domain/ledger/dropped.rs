//! Meter events that Stripe has accepted and dropped later.
//!
//! Stripe's report names some of them. Which units are lost is not left to it: what the meter has counted is compared with
//! the ledger, soon in place of when the period is settled, and what it lacks is parked.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::LedgerHandle;
use super::deliver::{Handled, is_refusal, unread};
use crate::billing::{DroppedEvent, MeterErrors};
use crate::domain::refs::is_stripe_id_of_tier;
use crate::domain::{Domain, Error, Result};
use crate::ledger::Ledger;
use crate::ledger::state::{Event, ReadSummary, Total};
use crate::ledger::values::{Meter, Time};

/// How many reports are remembered, since Stripe may send one again.
const MAX_REPORTS: usize = 1_000;

/// How long before the time of a report its events may have been sent. Stripe gives no bound for the time in which it
/// processes an event.
const SENT_BEFORE: i64 = 60 * 60 * 1000;

/// The ids of reports that were applied.
#[derive(Debug, Default)]
pub(in crate::domain) struct Reports(Mutex<VecDeque<String>>);

impl Reports {
    fn has(&self, id: &str) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().any(|known| known == id)
    }

    /// Returns whether the report is new.
    fn add(&self, id: &str) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.iter().any(|known| known == id) {
            return false;
        }
        known.push_back(id.to_owned());
        if known.len() > MAX_REPORTS {
            known.pop_front();
        }
        true
    }
}

impl Domain {
    /// Compares a total with what its meter has counted.
    pub(super) async fn compare_with_meter(
        &self,
        ledger: &Ledger,
        read: &ReadSummary,
        meter: &Meter,
    ) -> Result<Handled> {
        let value = match self.counted_in_period(meter, read.period).await {
            Ok(value) => Some(value),
            Err(error) => {
                let is_final = is_refusal(&error) || error.is_missing();
                match error.into() {
                    // Nothing more is billed to a deleted customer.
                    Error::CustomerVanished { .. } => Some(0),
                    _ if is_final => None,
                    error => return Ok(unread(&error, read)),
                }
            }
        };
        let counted = Event::Counted {
            total: read.total,
            number: read.number,
            value,
        };
        let usage = (&read.org, &read.feature, read.total);
        self.submit_outcome(ledger, usage, counted).await?;
        Ok(Handled::Told)
    }

    /// Applies a meter's report. One about a meter that is not Tier's is ignored.
    ///
    /// # Errors
    /// If it cannot be read, or the ledger cannot be written. Stripe sends it again then.
    pub(in crate::domain) async fn check_dropped(&self, event: &str) -> Result<()> {
        let shared = self.shared().await?;
        if shared.reports_of_meters.has(event) {
            return Ok(());
        }
        let report = match self.billing().meter_errors(event).await {
            Ok(report) => report,
            // Whatever Stripe's reason is, its event is not at fault.
            Err(error) => {
                return Err(Error::Unavailable {
                    reason: "the event could not be fetched".to_owned(),
                    source: Some(Box::new(error)),
                });
            }
        };
        if !self.is_of_own_meter(&report).await? {
            return Ok(());
        }
        let mut compared = 0;
        if let Some(handle) = self.ledger() {
            compared = self.compare_dropped(handle, &report).await?;
        }
        if !shared.reports_of_meters.add(event) {
            return Ok(());
        }
        self.stripe().metrics().meter_errors.inc_by(report.count);
        let sample = report.samples.first();
        tracing::warn!(
            event,
            meter = report.meter,
            count = report.count,
            summary = report.summary,
            compared,
            code = sample.map(|one| &one.code),
            reason = sample.map(|one| &one.message),
            identifier = sample.map(|one| &one.identifier),
            "Stripe has dropped usage that it had accepted"
        );
        Ok(())
    }

    async fn is_of_own_meter(&self, report: &MeterErrors) -> Result<bool> {
        let Some(meter) = &report.meter else {
            // The messages have the names of the events.
            let mut samples = report.samples.iter();
            return Ok(samples.any(|one| {
                let mut words = one.message.split_whitespace();
                words.any(is_stripe_id_of_tier)
            }));
        };
        Ok(is_stripe_id_of_tier(&self.event_name_of(meter).await?))
    }

    /// Has the totals compared that the report may be about, and returns their number.
    async fn compare_dropped(&self, handle: &LedgerHandle, report: &MeterErrors) -> Result<usize> {
        let ledger = handle.opened()?;
        let (meter, samples) = (report.meter.clone(), report.samples.clone());
        let totals = handle.read(move |reader| {
            let items: Vec<&str> = samples.iter().map(item_of).collect();
            reader.sent_to_meter(meter.as_deref(), &items)
        });
        let totals = totals.await?;
        let now = self.by_clock(self.ledger_time().await?);
        let concerned = totals.iter().filter(|total| is_concerned(total, report));
        let events: Vec<Event> = concerned.map(|total| Event::Dropped(total.id)).collect();
        let compared = events.len();
        for answer in ledger.submit(events, now).await? {
            if let Err(refusal) = answer {
                tracing::error!(%refusal, "the ledger refuses to compare what Stripe has dropped");
            }
        }
        Ok(compared)
    }
}

/// Whether the report may be about the total: it names one of its events, or has more errors than it names.
fn is_concerned(total: &Total, report: &MeterErrors) -> bool {
    let mut samples = report.samples.iter();
    if samples.any(|one| item_of(one) == total.item.as_str()) {
        return true;
    }
    let named = u64::try_from(report.samples.len()).unwrap_or(u64::MAX);
    let since = report.since.map(Time::from_seconds);
    let was_sent = |since: Time| {
        let sent = total.delivery.sent;
        sent.is_none_or(|sent| sent >= since.plus(-SENT_BEFORE))
    };
    report.count > named && since.is_none_or(was_sent)
}

/// The item in an event's identifier.
fn item_of(event: &DroppedEvent) -> &str {
    event.identifier.split(':').next().unwrap_or_default()
}

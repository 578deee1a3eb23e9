//! Meter events that Stripe has accepted and dropped later.
//!
//! Stripe's error report names only some of them, so it does not decide which units are lost. It only causes an early
//! comparison of the ledger with the meter's count, which otherwise happens when the period is settled. Missing units
//! are parked.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::LedgerHandle;
use super::deliver::{CallResult, is_refusal, read_again_later};
use crate::billing::{DroppedEvent, MeterErrors};
use crate::domain::refs::is_stripe_id_of_tier;
use crate::domain::{Domain, Error, Result};
use crate::ledger::Ledger;
use crate::ledger::state::{Event, ReadSummary, Total};
use crate::ledger::values::{Meter, Time};

/// The maximum number of remembered reports. Stripe may send a report more than once.
const MAX_REPORTS: usize = 1_000;

/// How long before the start of a report's time range its events may have been sent, in milliseconds. Stripe documents
/// no limit for the processing of an event.
const MAX_PROCESSING: i64 = 60 * 60 * 1000;

/// The ids of the error reports that were applied.
#[derive(Debug, Default)]
pub(in crate::domain) struct AppliedReports(Mutex<VecDeque<String>>);

impl AppliedReports {
    fn has(&self, id: &str) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().any(|known| known == id)
    }

    /// Adds a report. Returns whether it is new.
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
    /// Compares a total with its meter's count.
    pub(super) async fn compare_with_meter(
        &self,
        ledger: &Ledger,
        read: &ReadSummary,
        meter: &Meter,
    ) -> Result<CallResult> {
        let value = match self.counted_in_period(meter, read.period).await {
            Ok(value) => Some(value),
            Err(error) => {
                let is_final = is_refusal(&error) || error.is_missing();
                match error.into() {
                    // Nothing more is billed to a deleted customer.
                    Error::CustomerVanished { .. } => Some(0),
                    _ if is_final => None,
                    error => return Ok(read_again_later(&error, read)),
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
        Ok(CallResult::Done)
    }

    /// Applies the error report of a meter. `event` is the id of the event that announced it. Reports about meters that
    /// are not Tier's are ignored.
    ///
    /// # Errors
    /// If the report cannot be read, or the ledger cannot be written. Stripe sends the event again then.
    pub(in crate::domain) async fn apply_meter_errors(&self, event: &str) -> Result<()> {
        let shared = self.shared().await?;
        if shared.meter_error_reports.has(event) {
            return Ok(());
        }
        let report = match self.billing().meter_errors(event).await {
            Ok(report) => report,
            // Whatever the reason, the event itself is valid, so it must not be refused.
            Err(error) => {
                return Err(Error::Unavailable {
                    reason: "the event could not be fetched".to_owned(),
                    source: Some(Box::new(error)),
                });
            }
        };
        if !self.is_about_tiers_meter(&report).await? {
            return Ok(());
        }
        let mut compared = 0;
        if let Some(handle) = self.ledger() {
            compared = self.compare_dropped(handle, &report).await?;
        }
        if !shared.meter_error_reports.add(event) {
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
            code = sample.map(|sample| &sample.code),
            reason = sample.map(|sample| &sample.message),
            identifier = sample.map(|sample| &sample.identifier),
            "Stripe has dropped usage that it had accepted"
        );
        Ok(())
    }

    async fn is_about_tiers_meter(&self, report: &MeterErrors) -> Result<bool> {
        let Some(meter) = &report.meter else {
            // The messages contain the names of the events.
            let mut samples = report.samples.iter();
            return Ok(samples.any(|sample| {
                let mut words = sample.message.split_whitespace();
                words.any(is_stripe_id_of_tier)
            }));
        };
        Ok(is_stripe_id_of_tier(&self.event_name_of(meter).await?))
    }

    /// Requests a comparison of the totals that the report may be about. Returns their number.
    async fn compare_dropped(&self, handle: &LedgerHandle, report: &MeterErrors) -> Result<usize> {
        let ledger = handle.opened()?;
        let (meter, samples) = (report.meter.clone(), report.samples.clone());
        let totals = handle.read(move |reader| {
            let items: Vec<&str> = samples.iter().map(item_of).collect();
            reader.sent_to_meter(meter.as_deref(), &items)
        });
        let totals = totals.await?;
        let now = self.by_clock(self.ledger_time().await?);
        let affected = totals.iter().filter(|total| may_be_affected(total, report));
        let events: Vec<Event> = affected.map(|total| Event::Dropped(total.id)).collect();
        let compared = events.len();
        for answer in ledger.submit(events, now).await? {
            if let Err(refusal) = answer {
                tracing::error!(%refusal, "the ledger refused to compare a total with its meter");
            }
        }
        Ok(compared)
    }
}

/// Whether the report may be about the total: it names one of the total's events, or it counts more errors than it
/// names.
fn may_be_affected(total: &Total, report: &MeterErrors) -> bool {
    let mut samples = report.samples.iter();
    if samples.any(|sample| item_of(sample) == total.item.as_str()) {
        return true;
    }
    let named = u64::try_from(report.samples.len()).unwrap_or(u64::MAX);
    let since = report.since.map(Time::from_seconds);
    let was_sent = |since: Time| {
        let sent = total.delivery.sent;
        sent.is_none_or(|sent| sent >= since.plus(-MAX_PROCESSING))
    };
    report.count > named && since.is_none_or(was_sent)
}

/// The item in an event's identifier.
fn item_of(event: &DroppedEvent) -> &str {
    event.identifier.split(':').next().unwrap_or_default()
}

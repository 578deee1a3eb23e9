//! The sender, which delivers the ledger's totals to Stripe.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};

use super::{LedgerHandle, org_in_ledger};
use crate::billing::{UsageAction, UsageRecord, UsageRecordSummary};
use crate::domain::entitlement::UsageSnapshot;
use crate::domain::refs::OrgName;
use crate::domain::{Domain, Error, Result};
use crate::ledger::Ledger;
use crate::ledger::state::{
    Answer, Event, Move, Outcome, ReadSummary, Seal, Sealed, Set, Summed, TotalId,
};
use crate::ledger::values::{Feature, Org, Period, Target, Time};
use crate::stripe;

/// The maximum number of totals delivered in one round.
const MAX_TOTALS: usize = 200;

/// The maximum number of rounds in which all usage of an org is delivered. A total may need a summary and a set, and
/// reports may arrive meanwhile.
const MAX_ROUNDS: u32 = 8;

/// The numbers of calls to Stripe in one round of deliveries, by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// Successful calls, including those that only read.
    pub delivered: usize,
    /// Calls without a definite answer, which are repeated.
    pub unanswered: usize,
    /// Permanently refused calls.
    pub refused: usize,
}

/// The result of one call.
pub(super) enum CallResult {
    Done,
    Unanswered,
    Refused,
}

impl Domain {
    /// Delivers the totals that are due.
    ///
    /// # Errors
    /// If the ledger cannot be written. Failed deliveries are retried.
    pub async fn deliver(&self) -> Result<DeliveryCounts> {
        let Some(handle) = self.ledger() else {
            return Ok(DeliveryCounts::default());
        };
        let ledger = handle.opened()?;
        let sealed = self.seal(handle, None).await?;
        self.make_calls(ledger, sealed).await
    }

    /// Delivers all usage of an org now, without waiting for further reports.
    ///
    /// # Errors
    /// [`Error::Undelivered`] if Stripe has not accepted all of it.
    pub(super) async fn deliver_org(&self, handle: &LedgerHandle, org: &OrgName) -> Result<()> {
        let ledger = handle.opened()?;
        let mut latest = i64::MIN;
        for _ in 0..MAX_ROUNDS {
            let sealed = self.seal(handle, Some(org)).await?;
            if sealed.is_empty() {
                self.wait_out_second(latest).await;
                return Ok(());
            }
            let sets = sealed.sets.iter().map(|set| set.timestamp);
            let events = sealed.events.iter().map(|event| event.timestamp);
            latest = sets.chain(events).fold(latest, i64::max);
            let waiting = sealed.waiting;
            let delivered = self.make_calls(ledger, sealed).await?;
            if delivered.unanswered > 0 || waiting > 0 {
                break;
            }
        }
        Err(Error::Undelivered)
    }

    /// Waits until `second` has ended at Stripe, if it is the current second or the next. Usage recorded in the second
    /// in which a phase ends would not be billed with that phase. On a test clock there is no wait, since waiting does
    /// not advance the clock.
    async fn wait_out_second(&self, second: i64) {
        if self.test_clock.is_some() {
            return;
        }
        let now = self.stripe().server_time();
        let ahead = now.map_or(0, |now| second.saturating_sub(now) + 1);
        if let Ok(wait @ 1..=2) = u64::try_from(ahead) {
            tokio::time::sleep(Duration::from_secs(wait)).await;
        }
    }

    /// The time that decides which deliveries are due: this machine's, or that of the orgs' test clock.
    pub(super) async fn delivery_time(&self) -> Result<Time> {
        match &self.test_clock {
            Some(_) => self.ledger_time().await,
            None => Ok(Time::from_millis(self.account.clock.millis())),
        }
    }

    /// Seals the due usage of `org`, or of all orgs. Returns the calls to make.
    async fn seal(&self, handle: &LedgerHandle, org: Option<&OrgName>) -> Result<Sealed> {
        let now = self.delivery_time().await?;
        let wait = handle.0.settings.deliver_after.as_millis();
        // Stripe refuses a timestamp that is ahead of its clock.
        let date = match &self.test_clock {
            Some(_) => now,
            None => self.stripe().server_time().map_or(now, Time::from_seconds),
        };
        let seal = Event::Seal(Seal {
            date,
            deliver_after: i64::try_from(wait).unwrap_or(i64::MAX),
            org: org.map(org_in_ledger),
            max: MAX_TOTALS,
        });
        let now = self.by_clock(now);
        let answers = handle.opened()?.submit(vec![seal], now).await?;
        match answers.into_iter().next() {
            Some(Ok(Answer::Sealed(sealed))) => Ok(sealed),
            _ => Ok(Sealed::default()),
        }
    }

    async fn make_calls(&self, ledger: &Ledger, sealed: Sealed) -> Result<DeliveryCounts> {
        let sets = sealed.sets.into_iter();
        let sets = sets.map(|set| self.send_set(ledger, set).boxed());
        let events = sealed.events.into_iter();
        let events = events.map(|event| self.send_to_meter(ledger, event).boxed());
        let summaries = sealed.summaries.into_iter();
        let summaries = summaries.map(|read| self.read_summary(ledger, read).boxed());
        let moves = sealed.moves.into_iter();
        let moves = moves.map(|late| self.move_or_retry(ledger, late).boxed());
        let calls = sets.chain(events).chain(summaries).chain(moves);
        let calls: Vec<BoxFuture<'_, Result<CallResult>>> = calls.collect();
        let mut calls = stream::iter(calls).buffer_unordered(self.parallel());
        let mut delivered = DeliveryCounts::default();
        while let Some(result) = calls.next().await {
            match result? {
                CallResult::Done => delivered.delivered += 1,
                CallResult::Unanswered => delivered.unanswered += 1,
                CallResult::Refused => delivered.refused += 1,
            }
        }
        Ok(delivered)
    }

    async fn move_or_retry(&self, ledger: &Ledger, usage: Move) -> Result<CallResult> {
        match self.move_usage(ledger, &usage).await {
            Ok(_) => Ok(CallResult::Done),
            Err(error @ Error::LedgerUnavailable(_)) => Err(error),
            Err(error) => {
                tracing::debug!(%error, org = %usage.org, "could not look up where usage goes now; will try again");
                Ok(CallResult::Unanswered)
            }
        }
    }

    async fn send_set(&self, ledger: &Ledger, set: Set) -> Result<CallResult> {
        let record = UsageRecord {
            quantity: set.quantity,
            action: UsageAction::Set,
            at: Some(set.timestamp),
        };
        let write = self
            .billing()
            .record_usage(set.item.as_str(), record)
            .ignore_answer();
        let (outcome, result) = match write.key(set.key.clone()).send().await {
            Ok(_) => (Outcome::Done, CallResult::Done),
            Err(error) if error.is_replayed() && error.is_stripe_failure() => {
                tracing::warn!(%error, item = %set.item, "Stripe replays a failure; the total is sent again under a new key");
                (Outcome::Ended, CallResult::Unanswered)
            }
            Err(error) if is_refusal(&error) => {
                let Ok(next) = self.current_target(&set.org, &set.feature).await else {
                    return Ok(CallResult::Unanswered);
                };
                let reason = error.to_string().into();
                (Outcome::Refused { reason, next }, CallResult::Refused)
            }
            Err(error) => {
                tracing::debug!(%error, item = %set.item, "could not deliver a total; will try again");
                (Outcome::Lost, CallResult::Unanswered)
            }
        };
        let usage = (&set.org, &set.feature, set.total);
        let answered = Event::Answered {
            total: set.total,
            number: set.number,
            outcome,
        };
        self.submit_outcome(ledger, usage, answered).await?;
        Ok(result)
    }

    /// Submits an event that may move or park usage, and logs it if so. Returns false if the ledger refused it.
    pub(super) async fn submit_outcome(
        &self,
        ledger: &Ledger,
        (org, feature, total): (&Org, &Feature, TotalId),
        event: Event,
    ) -> Result<bool> {
        let total = total.0;
        let answer = self.submit_one(ledger, event).await?;
        match answer {
            Some(Answer::Late { n, parked: true }) => {
                tracing::error!(%org, %feature, total, n, "parked usage that Stripe refuses");
            }
            Some(Answer::Late { n, parked: false }) if n != 0 => {
                tracing::warn!(%org, %feature, total, n, "moved late usage to the current item and period");
            }
            _ => {}
        }
        Ok(answer.is_some())
    }

    /// Where usage of a feature goes now; `None` if the org no longer has the feature. Boxed, because reading an org
    /// may change its plan, which delivers usage.
    ///
    /// # Errors
    /// If Stripe cannot be asked now.
    pub(super) fn current_target<'a>(
        &'a self,
        org: &'a Org,
        feature: &'a Feature,
    ) -> BoxFuture<'a, Result<Option<Target>>> {
        let target = async move {
            let (Ok(org), Ok(feature)) = (org.as_str().parse(), feature.as_str().parse()) else {
                return Ok(None);
            };
            // The remembered item may be the one for which Stripe has just refused the usage.
            let usage = match self
                .asking_stripe()
                .entitlement::<UsageSnapshot>(&org)
                .await
            {
                Err(Error::OrgNotFound) => return Ok(None),
                usage => usage?.value,
            };
            let now = self.delivery_time().await?;
            Ok(usage.target(&org, &feature, now).ok())
        };
        target.boxed()
    }

    async fn read_summary(&self, ledger: &Ledger, read: ReadSummary) -> Result<CallResult> {
        let (total, number, item) = (read.total, read.number, &read.item);
        let value = match &read.of {
            Summed::Period(meter) => return self.compare_with_meter(ledger, &read, meter).await,
            Summed::Records => match self.summary_of(item.as_str(), read.period).await {
                // The item is gone. The set will be refused, and that decides the outcome.
                Err(error) if error.is_item_gone() => Ok(0),
                summary => summary
                    .map(|summary| summary.map_or(0, |summary| summary.total_usage))
                    .map_err(Error::from),
            },
            Summed::Preview => self.previewed_usage(&read.org, item).await,
            Summed::Minutes { meter, start, end } => {
                self.counted_in_minutes(meter, *start, *end).await
            }
        };
        let value = match value {
            Ok(value) => value,
            Err(error) => return Ok(read_again_later(&error, &read)),
        };
        let summary = Event::Summary {
            total,
            number,
            value,
        };
        let answer = self.submit_one(ledger, summary).await?;
        if let Some(Answer::Overwritten { found, delivered }) = answer {
            tracing::warn!(%item, found, delivered, "another program overwrote a level; it is set again");
        }
        Ok(CallResult::Done)
    }

    /// Submits an event. `None` if the ledger refused it.
    pub(super) async fn submit_one(&self, ledger: &Ledger, event: Event) -> Result<Option<Answer>> {
        let now = self.by_clock(self.delivery_time().await?);
        let answers = ledger.submit(vec![event], now).await?;
        let answer = answers.into_iter().next();
        Ok(answer.and_then(|answer| {
            let refused =
                |refusal| tracing::error!(%refusal, "the ledger refused the outcome of a delivery");
            answer.map_err(refused).ok()
        }))
    }

    /// Stripe's summary for a period of an item; `None` if there is no such summary.
    pub(super) async fn summary_of(
        &self,
        item: &str,
        period: Period,
    ) -> Result<Option<UsageRecordSummary>, stripe::Error> {
        let summaries = self.billing().usage_summaries(item, 100).await?;
        let start = period.start.seconds();
        Ok(summaries.into_iter().find(|summary| {
            let (from, to) = (summary.period.start, summary.period.end);
            from.is_none_or(|from| from <= start) && to.is_none_or(|to| start < to)
        }))
    }
}

/// The result for a summary that could not be read.
pub(super) fn read_again_later(error: &Error, read: &ReadSummary) -> CallResult {
    tracing::debug!(%error, item = %read.item, "could not read a summary; will try again");
    CallResult::Unanswered
}

/// Whether Stripe refused the content permanently, rather than the API key or the rate.
pub(super) fn is_refusal(error: &stripe::Error) -> bool {
    error.is_item_missing() || error.is_invalid_request()
}

//! Delivery of usage to billing meters. Stripe processes meter events asynchronously.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::deliver::{CallResult, is_refusal};
use crate::billing::{self, Subscription, SubscriptionItem};
use crate::domain::entitlement::UsageSnapshot;
use crate::domain::refs::OrgName;
use crate::domain::subscription::Detail;
use crate::domain::usage::UsedByItem;
use crate::domain::{Domain, Error, Failure, Result};
use crate::ledger::Ledger;
use crate::ledger::state::{Event, ItemUsed, MeterEvent, Move, Outcome, Total};
use crate::ledger::values::{Item, Meter, Org, Period, Time};
use crate::stripe;

/// How long after the last event a change of plan still waits for Stripe to process the event, in milliseconds. After
/// that, Stripe has dropped the event, or another program has changed the total.
const PROCESSED_AFTER: i64 = 5 * 60 * 1000;

/// The length of a minute, in seconds.
const MINUTE: i64 = 60;

/// What became of usage that was to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// It was moved, or did not have to.
    Done,
    /// The ledger refused it, as while the org's plan is being changed.
    Refused,
    /// No item bills the feature now.
    Nowhere,
}

impl Domain {
    pub(super) async fn send_to_meter(
        &self,
        ledger: &Ledger,
        event: MeterEvent,
    ) -> Result<CallResult> {
        let (outcome, result) = match self.event_outcome(&event).await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::debug!(%error, identifier = event.identifier, "could not send a meter event; will try again");
                (Outcome::Lost, CallResult::Unanswered)
            }
        };
        let answered = Event::Answered {
            total: event.total,
            number: event.number,
            outcome,
        };
        let usage = (&event.org, &event.feature, event.total);
        self.submit_outcome(ledger, usage, answered).await?;
        Ok(result)
    }

    /// Sends an event.
    ///
    /// # Errors
    /// If its outcome is unknown.
    async fn event_outcome(&self, event: &MeterEvent) -> Result<(Outcome, CallResult)> {
        let name = match self.billed_event_name(event).await {
            Ok(Some(name)) => name,
            Ok(None) => return Ok(self.outcome_of_unbilled(event).await),
            Err(error) => return Ok(send_again_later(event, &error)),
        };
        let sent = billing::MeterEvent {
            name: &name,
            customer: &event.meter.customer,
            value: event.value,
            at: Some(event.timestamp),
            identifier: &event.identifier,
        };
        match self.send_event(&sent).await {
            Ok(_) => Ok((Outcome::Done, CallResult::Done)),
            // If this is not the first attempt, an earlier one may have been counted. The summary of its minute
            // decides.
            Err(Failure::Stripe(error)) if is_refusal(&error) && event.is_new => {
                Ok(self.outcome_of_refused(event, &error.to_string()).await)
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// The outcome of an event whose item no subscription bills any more.
    async fn outcome_of_unbilled(&self, event: &MeterEvent) -> (Outcome, CallResult) {
        match self.delivery_time().await {
            // Within its period, the usage moves at once to the item that bills the feature now, before the plan
            // changes again.
            Ok(now) if event.is_new && now < event.period_end => {
                self.outcome_of_refused(event, "the subscription item is gone")
                    .await
            }
            Ok(_) => (Outcome::Gone, CallResult::Refused),
            Err(error) => send_again_later(event, &error),
        }
    }

    /// The outcome of an event that is refused. If the current target of its usage cannot be looked up, it is sent
    /// again.
    async fn outcome_of_refused(&self, event: &MeterEvent, reason: &str) -> (Outcome, CallResult) {
        match self.current_target(&event.org, &event.feature).await {
            Ok(next) => {
                let reason = reason.into();
                (Outcome::Refused { reason, next }, CallResult::Refused)
            }
            Err(error) => send_again_later(event, &error),
        }
    }

    /// The event's name; `None` if no subscription bills its item any more. Stripe would accept the event even then,
    /// but it would not be billed.
    async fn billed_event_name(&self, event: &MeterEvent) -> Result<Option<Arc<str>>> {
        if !self.is_billed(event).await? {
            return Ok(None);
        }
        self.event_name_of(&event.meter.id).await.map(Some)
    }

    /// Whether the org has the item, or had it in a period whose invoice is still a draft. The remembered org can only
    /// confirm this, not deny it. Boxed, because reading an org may change its plan, which delivers usage.
    fn is_billed<'a>(&'a self, event: &'a MeterEvent) -> BoxFuture<'a, Result<bool>> {
        let is_billed = async move {
            let org: OrgName = event.org.as_str().parse()?;
            let is_late = self.delivery_time().await? >= event.period_end;
            if !is_late {
                let remembered = self.remembered_usage(&org).await?;
                let mut items = remembered.iter().flat_map(|usage| usage.items());
                if items.any(|item| *item.id == *event.item.as_str()) {
                    return Ok(true);
                }
            }
            let org = match self.resolve_org(&org).await {
                Err(Error::OrgNotFound) => return Ok(false),
                org => org?,
            };
            let detail = if is_late {
                Detail::Schedule
            } else {
                Detail::Items
            };
            let found = self.subscriptions(&org.customer, detail).await?;
            // A superseded subscription still bills its items.
            let mut live = found.current.iter().chain(&found.superseded);
            if is_late {
                let end = event.period_end.seconds();
                return Ok(live.any(|live| still_bills_period_ending_at(live, end)));
            }
            let mut items = live
                .chain(&found.payment_pending)
                .flat_map(|one| &one.items);
            Ok(items.any(|own| own.id == event.item.as_str()))
        };
        is_billed.boxed()
    }

    /// Moves usage that is too late for its period, or continues a level whose period has ended, on the item that bills
    /// the feature now. Late usage that has nowhere to go is parked.
    ///
    /// # Errors
    /// If Stripe cannot be asked now, or the ledger cannot be written.
    pub(super) async fn move_usage(&self, ledger: &Ledger, usage: &Move) -> Result<Moved> {
        let next = self.current_target(&usage.org, &usage.feature).await?;
        let total = usage.total;
        let event = match (usage.is_late, next) {
            (true, next) => Event::TooLate { total, next },
            (false, Some(target)) => Event::Continue { total, target },
            // The org no longer has the feature.
            (false, None) => return Ok(Moved::Nowhere),
        };
        let usage = (&usage.org, &usage.feature, total);
        Ok(if self.submit_outcome(ledger, usage, event).await? {
            Moved::Done
        } else {
            Moved::Refused
        })
    }

    /// The usage of an item that the next invoice will bill. Boxed, because reading an org may change its plan, which
    /// delivers usage.
    pub(super) fn previewed_usage<'a>(
        &'a self,
        org: &'a Org,
        item: &'a Item,
    ) -> BoxFuture<'a, Result<i64>> {
        let previewed = async move {
            let org: OrgName = org.as_str().parse()?;
            let usage = match self
                .asking_stripe()
                .entitlement::<UsageSnapshot>(&org)
                .await
            {
                Err(Error::OrgNotFound) => return Ok(0),
                usage => usage?,
            };
            let mut items = usage.value.items().iter();
            let found = items.find(|found| *found.id == *item.as_str());
            Ok(found.map_or(0, |found| found.used))
        };
        previewed.boxed()
    }

    /// A meter's count from `start` (inclusive) to `end` (exclusive), each the first Unix second of a minute. If Stripe
    /// no longer has it, the result is an impossible value ([`i64::MIN`]), so that the usage is parked for an operator.
    pub(super) async fn counted_in_minutes(
        &self,
        meter: &Meter,
        start: i64,
        end: i64,
    ) -> Result<i64> {
        let counted = self
            .billing()
            .meter_total(&meter.id, &meter.customer, start, end);
        match counted.await {
            Err(error) if is_refusal(&error) || error.is_missing() => Ok(i64::MIN),
            counted => Ok(counted?),
        }
    }

    /// A meter's count for a total. For a sum: in the total's period, including events that other programs sent, and
    /// the whole minutes in which the period begins and ends. For a level: in the minute of the last event.
    ///
    /// # Errors
    /// If Stripe cannot be asked.
    pub async fn counted_by_meter(&self, total: &Total) -> Result<i64> {
        let Some(meter) = &total.meter else {
            return Ok(0);
        };
        if total.aggregate.is_level() && total.delivery.delivered == 0 {
            // The level has moved to another item. Its last event is still counted in its minute.
            return Ok(0);
        }
        if let Some(at) = total
            .delivery
            .timestamp
            .filter(|_| total.aggregate.is_level())
        {
            let start = minute_start(at);
            return self.counted_in_minutes(meter, start, start + MINUTE).await;
        }
        Ok(self.counted_in_period(meter, total.period).await?)
    }

    /// A meter's count in a period, including the whole minutes in which the period begins and ends: the sum of all
    /// events, or the last level.
    pub(super) async fn counted_in_period(
        &self,
        meter: &Meter,
        period: Period,
    ) -> Result<i64, stripe::Error> {
        let start = minute_start(period.start.seconds());
        let end = minute_start(period.end.seconds() + MINUTE - 1);
        let counted = self
            .billing()
            .meter_total(&meter.id, &meter.customer, start, end);
        counted.await
    }

    /// Waits until Stripe has processed the events of the org's items, so that they are billed with the plan that ends.
    ///
    /// # Errors
    /// [`Error::Unprocessed`] if it takes too long. The plan must not be changed then.
    pub(super) async fn await_ledger_events(&self, ledger: &Ledger, org: &OrgName) -> Result<()> {
        let now = self.delivery_time().await?;
        let mut sent = ledger.items(org.as_str());
        sent.retain(|item| {
            let sent = item.sent_to_meter;
            sent.is_some_and(|sent| {
                now.millis().abs_diff(sent.millis()) < PROCESSED_AFTER.unsigned_abs()
            })
        });
        if sent.is_empty() {
            return Ok(());
        }
        let resolved = match self.resolve_org(org).await {
            Err(Error::OrgNotFound) => return Ok(()),
            resolved => resolved?,
        };
        let found = self
            .subscriptions(&resolved.customer, Detail::Items)
            .await?;
        for subscription in found.current.iter().chain(&found.superseded) {
            let period = Time::from_seconds(subscription.current_period_start);
            let awaited = subscription.items.iter().filter_map(|item| {
                let is_of_item =
                    |used: &&ItemUsed| used.item.as_str() == item.id && used.period_start == period;
                Some((item, sent.iter().find(is_of_item)?))
            });
            let awaited: Vec<_> = awaited.collect();
            if awaited.is_empty() {
                continue;
            }
            let is_processed = |totals: &UsedByItem| {
                let total_of = |item: &SubscriptionItem| totals.get(&item.id).copied().unwrap_or(0);
                let mut awaited = awaited.iter();
                awaited.all(|(item, sent)| total_of(item) == sent.recorded)
            };
            self.await_totals(subscription, is_processed).await?;
        }
        Ok(())
    }
}

/// The outcome of an event that could not be sent, because a lookup before it failed.
fn send_again_later(event: &MeterEvent, error: &Error) -> (Outcome, CallResult) {
    tracing::debug!(%error, org = %event.org, "could not prepare a meter event; will try again");
    (Outcome::Unsent, CallResult::Unanswered)
}

/// The first second of the minute that contains `second`.
fn minute_start(second: i64) -> i64 {
    second - second.rem_euclid(MINUTE)
}

/// Whether the subscription has a period that ends at `end`, and continues after it. The invoice of such a period
/// accepts usage for a while. The last invoice of a subscription does not.
fn still_bills_period_ending_at(subscription: &Subscription, end: i64) -> bool {
    let is_period_end = [
        subscription.current_period_start,
        subscription.current_period_end,
    ]
    .contains(&end);
    let continues = subscription
        .planned_end()
        .is_none_or(|planned| planned > end);
    subscription.start_date < end && is_period_end && continues
}

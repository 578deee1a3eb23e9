//! Delivery to billing meters, which process events later.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::deliver::{Handled, is_refusal};
use crate::billing::{self, Subscription};
use crate::domain::entitlement::UsageSnapshot;
use crate::domain::refs::OrgName;
use crate::domain::subscription::Detail;
use crate::domain::usage::Used;
use crate::domain::{Domain, Error, Failure, Result};
use crate::ledger::Ledger;
use crate::ledger::state::{Event, ItemUsed, MeterEvent, Move, Outcome, Total};
use crate::ledger::values::{Item, Meter, Org, Period, Time};
use crate::stripe;

/// How long after the last event a change of plan waits for Stripe to process it. By then Stripe has dropped it, or
/// somebody has corrected the total.
const PROCESSED_AFTER: i64 = 5 * 60 * 1000;

/// The length of a minute, in seconds.
const MINUTE: i64 = 60;

impl Domain {
    pub(super) async fn send_to_meter(
        &self,
        ledger: &Ledger,
        event: MeterEvent,
    ) -> Result<Handled> {
        let (outcome, handled) = match self.event_outcome(&event).await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::debug!(%error, identifier = event.identifier, "an event was not sent, and is sent again");
                (Outcome::Lost, Handled::Unanswered)
            }
        };
        let answered = Event::Answered {
            total: event.total,
            number: event.number,
            outcome,
        };
        let usage = (&event.org, &event.feature, event.total);
        self.submit_outcome(ledger, usage, answered).await?;
        Ok(handled)
    }

    /// Sends an event.
    ///
    /// # Errors
    /// If its outcome is unknown.
    async fn event_outcome(&self, event: &MeterEvent) -> Result<(Outcome, Handled)> {
        let name = match self.before_event(event).await {
            Ok(Some(name)) => name,
            Ok(None) => return Ok(self.gone(event).await),
            Err(error) => return Ok(unsent(event, &error)),
        };
        let sent = billing::MeterEvent {
            name: &name,
            customer: &event.meter.customer,
            value: event.value,
            at: Some(event.timestamp),
            identifier: &event.identifier,
        };
        match self.send_event(&sent).await {
            Ok(_) => Ok((Outcome::Done, Handled::Told)),
            // An earlier attempt may have been counted, which the summary of its minute tells.
            Err(Failure::Stripe(error)) if is_refusal(&error) && event.is_new => {
                Ok(self.refused(event, &error.to_string()).await)
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// The outcome of an event that nothing bills any more.
    async fn gone(&self, event: &MeterEvent) -> (Outcome, Handled) {
        match self.delivery_time().await {
            // In its period it goes at once to where its feature is billed now, before another change of plan.
            Ok(now) if event.is_new && now < event.period_end => {
                self.refused(event, "the subscription item is gone").await
            }
            Ok(_) => (Outcome::Gone, Handled::Refused),
            Err(error) => unsent(event, &error),
        }
    }

    /// The outcome of an event that is refused. It is sent again if it is not known where its usage goes now.
    async fn refused(&self, event: &MeterEvent, reason: &str) -> (Outcome, Handled) {
        match self.next_target(&event.org, &event.feature).await {
            Ok(next) => {
                let reason = reason.into();
                (Outcome::Refused { reason, next }, Handled::Refused)
            }
            Err(error) => unsent(event, &error),
        }
    }

    /// The name of an event that can be sent. None if nothing bills it any more: Stripe would accept it.
    async fn before_event(&self, event: &MeterEvent) -> Result<Option<Arc<str>>> {
        if !self.is_billed(event).await? {
            return Ok(None);
        }
        self.event_name_of(&event.meter.id).await.map(Some)
    }

    /// Whether the org has the item, or had it in a period whose invoice is a draft. What is remembered only tells that it
    /// has. Boxed, because reading an org may cause a change of plan, which delivers.
    fn is_billed<'a>(&'a self, event: &'a MeterEvent) -> BoxFuture<'a, Result<bool>> {
        let is_billed = async move {
            let org: OrgName = event.org.as_str().parse()?;
            let is_late = self.delivery_time().await? >= event.period_end;
            if !is_late {
                let remembered = self.remembered_usage(&org).await?;
                let mut items = remembered.iter().flat_map(|usage| usage.items());
                if items.any(|own| *own.id == *event.item.as_str()) {
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
                return Ok(live.any(|one| takes_usage_before(one, end)));
            }
            let mut items = live.chain(&found.others).flat_map(|one| &one.items);
            Ok(items.any(|own| own.id == event.item.as_str()))
        };
        is_billed.boxed()
    }

    /// Finds where usage goes now that is too late for its period, or a level whose period has ended.
    ///
    /// # Errors
    /// If Stripe cannot be asked now, or the ledger cannot be written.
    pub(super) async fn move_usage(&self, ledger: &Ledger, one: &Move) -> Result<()> {
        let next = self.next_target(&one.org, &one.feature).await?;
        let total = one.total;
        let event = match (one.is_late, next) {
            (true, next) => Event::TooLate { total, next },
            (false, Some(target)) => Event::Continue { total, target },
            // The org has the feature no longer.
            (false, None) => return Ok(()),
        };
        let usage = (&one.org, &one.feature, total);
        self.submit_outcome(ledger, usage, event).await
    }

    /// What the next invoice bills of an item. Boxed, because reading an org may cause a change of plan, which delivers.
    pub(super) fn shown_of_item<'a>(
        &'a self,
        org: &'a Org,
        item: &'a Item,
    ) -> BoxFuture<'a, Result<i64>> {
        let shown = async move {
            let org: OrgName = org.as_str().parse()?;
            let usage = match self.asking_stripe().known::<UsageSnapshot>(&org).await {
                Err(Error::OrgNotFound) => return Ok(0),
                usage => usage?,
            };
            let mut items = usage.value.items().iter();
            let own = items.find(|own| *own.id == *item.as_str());
            Ok(own.map_or(0, |own| own.used))
        };
        shown.boxed()
    }

    /// What a meter has counted from `start` until before `end`, both the first second of a minute. If Stripe no longer shows
    /// it, no number that could be right, so that a person decides.
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

    /// What a meter has counted of a total: of a sum in its period, with what others have sent and with the rest of the
    /// minute in which the period begins; of a level in the minute of its last event.
    ///
    /// # Errors
    /// If Stripe cannot be asked.
    pub async fn counted_by_meter(&self, total: &Total) -> Result<i64> {
        let Some(meter) = &total.meter else {
            return Ok(0);
        };
        if total.aggregate.is_level() && total.delivery.delivered == 0 {
            // It has moved to another item, and its last event stays in its minute.
            return Ok(0);
        }
        if let Some(at) = total
            .delivery
            .timestamp
            .filter(|_| total.aggregate.is_level())
        {
            let start = whole_minutes(at);
            return self.counted_in_minutes(meter, start, start + MINUTE).await;
        }
        Ok(self.counted_in_period(meter, total.period).await?)
    }

    /// What a meter has counted in a period, with the rest of the minute in which it begins: all events of a sum, or the
    /// last level.
    pub(super) async fn counted_in_period(
        &self,
        meter: &Meter,
        period: Period,
    ) -> Result<i64, stripe::Error> {
        let start = whole_minutes(period.start.seconds());
        let end = whole_minutes(period.end.seconds() + MINUTE - 1);
        let counted = self
            .billing()
            .meter_total(&meter.id, &meter.customer, start, end);
        counted.await
    }

    /// Waits until Stripe has processed the events of the org's items, so that it bills them with the plan that ends.
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
            let own = subscription.items.iter().filter_map(|item| {
                let is_own =
                    |one: &&ItemUsed| one.item.as_str() == item.id && one.period_start == period;
                Some((item, sent.iter().find(is_own)?))
            });
            let own: Vec<_> = own.collect();
            if own.is_empty() {
                continue;
            }
            let is_processed = |shown: &Used| {
                own.iter()
                    .all(|(item, sent)| shown.get(&item.id).copied().unwrap_or(0) == sent.recorded)
            };
            self.await_shown(subscription, is_processed).await?;
        }
        Ok(())
    }
}

/// What comes of an event that is sent later, because something could not be asked before it.
fn unsent(event: &MeterEvent, error: &Error) -> (Outcome, Handled) {
    tracing::debug!(%error, org = %event.org, "an event is sent later");
    (Outcome::Unsent, Handled::Unanswered)
}

/// The first second of the minute that a second is in.
fn whole_minutes(second: i64) -> i64 {
    second - second.rem_euclid(MINUTE)
}

/// Whether a subscription goes on after one of its periods, so that the invoice of that period takes usage for a while. The last
/// invoice of one that ends with the period does not.
fn takes_usage_before(subscription: &Subscription, end: i64) -> bool {
    let is_its_end = [
        subscription.current_period_start,
        subscription.current_period_end,
    ]
    .contains(&end);
    let goes_on = subscription.planned_end().is_none_or(|its| its > end);
    subscription.start_date < end && is_its_end && goes_on
}

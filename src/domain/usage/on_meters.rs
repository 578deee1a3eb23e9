//! Usage of features whose price has a billing meter.
//!
//! Stripe counts a meter's events by customer, even if the customer does not have the price, and processes them
//! asynchronously. So a report is sent only while the org's plan cannot change, and counts as used before Stripe has
//! processed it.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::{Carried, Figure, Report, UsedByItem};
use crate::billing::{AggregateUsage, MeterEvent, Price, Subscription, SubscriptionItem};
use crate::domain::billing_cycle::BillingCycle;
use crate::domain::entitlement::{Kind, ReportEffect, UsageSnapshot};
use crate::domain::org::ResolvedOrg;
use crate::domain::refs::FeatureName;
use crate::domain::{Domain, Error, Failure, Result};
use crate::ledger::state::LARGEST_ON_METER;
use crate::num::hex;

/// How far ahead of Stripe's clock an event may be, in seconds.
const MAX_AHEAD: i64 = 5 * 60;

/// How long after a period its events still count, in seconds. Stripe finalizes the invoice an hour after the period's
/// end.
const MAX_LATE: i64 = 50 * 60;

/// How often one report is sent. After the first attempt it uses fresh idempotency keys, since Stripe keeps another
/// answer under the previous key.
const MAX_ATTEMPTS: u32 = 5;

/// How often Stripe's totals are read before a change of plan gives up waiting for them.
const MAX_READS: u32 = 8;

impl Domain {
    /// Reports an event for the org's current item. The org's plan must not change meanwhile. Reports with the same
    /// `identifier` count once.
    pub(super) async fn report_event(
        &self,
        org: &ResolvedOrg,
        report: &Report,
        identifier: &str,
        remembered: Option<&UsageSnapshot>,
    ) -> Result<ReportEffect, Failure> {
        let found = self.metered_item(&org.customer, &report.feature).await?;
        let (subscription, item) = found;
        let Some(meter) = item.price.meter() else {
            return Err(Error::plan_is_changing().into());
        };
        let kind = Kind::of(&item.price);
        check_without_ledger(kind, report)?;
        if report.n > LARGEST_ON_METER {
            return Err(Error::Invalid(format!(
                "n can be {LARGEST_ON_METER} at most where a meter bills it"
            ))
            .into());
        }
        if let Some(at) = report.at {
            let now = self.at_stripe(self.now().await?);
            check_time(&subscription, &item, at, now)?;
        }
        let name = self.event_name_of(meter).await?;
        let began = subscription.current_period_start;
        let is_in_total = match report.at {
            None => true,
            Some(at) => kind == Kind::Sum && at >= began,
        };
        let before = if is_in_total {
            self.total_before(&subscription, &item, remembered).await?
        } else {
            0
        };
        let is_new = self
            .send_event(&MeterEvent {
                name: &name,
                customer: &org.customer,
                value: report.n,
                at: report.at,
                identifier,
            })
            .await?;
        if !is_new {
            return Ok(ReportEffect::Unknown);
        }
        if is_in_total {
            let sent = &self.shared().await?.sent_events;
            sent.add(&subscription, &item, before, report.n);
        }
        Ok(match kind {
            Kind::Last if report.at.is_none() => ReportEffect::Set {
                item: item.id.as_str().into(),
                n: report.n,
            },
            _ => ReportEffect::of_record(report, &item.id),
        })
    }

    /// Sets the level of an item whose price has a meter, once for each `identifier`. Returns a Unix second that is not
    /// before the event's time.
    pub(in crate::domain) async fn send_level(
        &self,
        customer: &str,
        (subscription, item): (&Subscription, &SubscriptionItem),
        value: i64,
        identifier: &str,
    ) -> Result<i64, Failure> {
        let Some(meter) = item.price.meter() else {
            return Err(Error::plan_is_changing().into());
        };
        let name = self.event_name_of(meter).await?;
        let digest = hex(&Sha256::digest(identifier.as_bytes()));
        self.send_event(&MeterEvent {
            name: &name,
            customer,
            value,
            at: None,
            identifier: &digest,
        })
        .await?;
        let sent = &self.shared().await?.sent_events;
        sent.add(subscription, item, 0, value);
        Ok(self.at_stripe(self.now().await?))
    }

    /// The total of an item before an event. A later total then shows whether Stripe has processed the event.
    async fn total_before(
        &self,
        subscription: &Subscription,
        item: &SubscriptionItem,
        remembered: Option<&UsageSnapshot>,
    ) -> Result<i64> {
        let shared = self.shared().await?;
        if shared.sent_events.has_total_of(subscription, item) {
            return Ok(0);
        }
        let mut known = remembered.iter().flat_map(|usage| usage.items());
        if let Some(known) = known.find(|known| *known.id == *item.id) {
            return Ok(known.used);
        }
        let totals = self.stripe_totals(subscription).await?;
        Ok(totals.get(&item.id).copied().unwrap_or(0))
    }

    /// Sends an event. Returns `false` if Stripe's answer shows that it was sent before.
    pub(in crate::domain) async fn send_event(
        &self,
        event: &MeterEvent<'_>,
    ) -> Result<bool, Failure> {
        for attempt in 1..=MAX_ATTEMPTS {
            let mut send = self.billing().report_event(event);
            if attempt == 1 {
                send = send.key(event_key(event.identifier));
            }
            match send.send_detecting_replay().await {
                Ok(answer) => return Ok(!answer.replayed),
                Err(error) if error.is_event_known() => return Ok(false),
                // The plan has changed since the first attempt, so the event goes to another meter. Stripe decides by
                // the identifier whether it was counted.
                Err(error) if error.is_idempotency_conflict() => {}
                Err(error) if error.is_replayed() && error.is_stripe_failure() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::OutcomeUnknown("Stripe failed while it was recorded").into())
    }

    /// Whether an event was sent, even if the org no longer has the feature.
    pub(super) async fn is_event_sent(&self, identifier: &str) -> Result<bool, Failure> {
        Ok(self.billing().is_event_sent(event_key(identifier)).await?)
    }

    /// The usage in the running period of each item, and of each feature on removed items.
    pub(in crate::domain) async fn usage_on_meters(
        &self,
        subscription: &Subscription,
    ) -> Result<(UsedByItem, Carried)> {
        let mut used = UsedByItem::new();
        let mut removed = Carried::default();
        for usage in self.billing().usage_to_bill(&subscription.id).await? {
            let items = subscription.items.iter();
            let mut same_id = items.filter(|item| usage.item.as_ref() == Some(&item.id));
            if let Some(item) = same_id.find(|item| item.price.id == usage.price) {
                if item.price.is_metered() {
                    let total = used.entry(item.id.clone()).or_default();
                    *total = total.saturating_add(usage.quantity);
                }
            } else if let Some(price) = self.metered_price(subscription, &usage.price).await?
                && let Some(name) = price.feature_plan()
            {
                removed.add(name.feature(), usage.quantity, &price.aggregate());
            }
        }
        let sent = &self.shared().await?.sent_events;
        let levels = Figure::pending_levels(subscription);
        for item in &subscription.items {
            if item.price.is_metered() {
                let total = used.entry(item.id.clone()).or_default();
                *total = sent.total_with_sent(subscription, item, *total);
                // A change of plan has recorded the level in the metadata, and is about to set it.
                let name = item.price.feature_plan().map(|name| name.feature());
                let pending = name.and_then(|name| levels.get(&name));
                if let Some(pending) =
                    pending.filter(|pending| *total == 0 && pending.counts(subscription))
                {
                    *total = pending.n;
                }
            }
        }
        Ok((used, removed))
    }

    /// The price with this id, if it is metered.
    async fn metered_price(&self, subscription: &Subscription, id: &str) -> Result<Option<Price>> {
        let mut items = subscription.items.iter();
        let price = match items.find(|item| item.price.id == id) {
            Some(item) => item.price.clone(),
            None => self.billing().price(id).await?,
        };
        Ok(Some(price).filter(Price::is_metered))
    }

    /// Waits until Stripe has processed the events that this process has sent for the subscription, so that they are
    /// billed with the plan that ends.
    ///
    /// # Errors
    /// [`Error::Unprocessed`] if it takes too long. The plan must not be changed then.
    pub(in crate::domain) async fn await_events(&self, subscription: &Subscription) -> Result<()> {
        let sent = &self.shared().await?.sent_events;
        if !sent.has_pending(subscription) {
            return Ok(());
        }
        let awaited = self.await_totals(subscription, |totals| {
            !sent.are_pending(subscription, totals)
        });
        match awaited.await {
            // Another server's level may have replaced ours.
            Err(Error::Unprocessed) => {
                let totals = self.stripe_totals(subscription).await?;
                if sent.are_pending_unreplaced(subscription, &totals) {
                    return Err(Error::Unprocessed);
                }
                Ok(())
            }
            awaited => awaited,
        }
    }

    /// Waits until Stripe's totals of the subscription's items are as expected.
    ///
    /// # Errors
    /// [`Error::Unprocessed`] if it takes too long.
    pub(in crate::domain) async fn await_totals(
        &self,
        subscription: &Subscription,
        is_expected: impl Fn(&UsedByItem) -> bool,
    ) -> Result<()> {
        for read in 0..MAX_READS {
            if read > 0 {
                let wait = self.stripe().first_wait().max(Duration::from_millis(20));
                tokio::time::sleep(wait * (1 << read.min(6))).await;
            }
            if is_expected(&self.stripe_totals(subscription).await?) {
                return Ok(());
            }
        }
        Err(Error::Unprocessed)
    }

    /// Stripe's totals of the subscription's items. They lack events that Stripe has not processed yet.
    pub(in crate::domain) async fn stripe_totals(
        &self,
        subscription: &Subscription,
    ) -> Result<UsedByItem> {
        let mut totals = UsedByItem::new();
        for usage in self.billing().usage_to_bill(&subscription.id).await? {
            if let Some(item) = usage.item {
                let total = totals.entry(item).or_default();
                *total = total.saturating_add(usage.quantity);
            }
        }
        Ok(totals)
    }
}

/// The idempotency key of an event.
fn event_key(identifier: &str) -> String {
    format!("event:{identifier}")
}

/// Checks that the report can be recorded without a ledger.
fn check_without_ledger(kind: Kind, report: &Report) -> Result<()> {
    let what = match kind {
        Kind::Max => "a maximum",
        Kind::Perpetual => "a level that outlasts its period",
        Kind::Sum if report.clobber => "a total",
        Kind::Sum | Kind::Last | Kind::Licensed => return Ok(()),
    };
    Err(Error::Invalid(format!(
        "{} is billed by a meter: {what} needs a ledger; start the server with --ledger FILE",
        report.feature
    )))
}

/// Checks that the item bills usage at the Unix second `at`.
fn check_time(
    subscription: &Subscription,
    item: &SubscriptionItem,
    at: i64,
    now: i64,
) -> Result<()> {
    let began = subscription.current_period_start;
    let previous = BillingCycle::of(subscription).and_then(|cycle| cycle.previous(began));
    let earliest = previous.filter(|_| now < began + MAX_LATE).unwrap_or(began);
    if at > now + MAX_AHEAD {
        return Err(Error::Invalid(
            "at must be at most 5 minutes ahead".to_owned(),
        ));
    }
    if at < earliest.max(item.created) {
        return Err(Error::Invalid(
            "at must be in the running billing period, or in the one before until 50 minutes after its end, and not \
             before the org had its plan"
                .to_owned(),
        ));
    }
    Ok(())
}

impl Carried {
    /// Adds usage on a removed item.
    fn add(&mut self, feature: FeatureName, n: i64, aggregate: &AggregateUsage) {
        let before = self.0.entry(feature).or_default();
        before.is_level = aggregate.is_level();
        before.n = if before.is_level {
            before.n.max(n)
        } else {
            before.n.saturating_add(n)
        };
        before.is_perpetual = aggregate.is_perpetual();
    }
}

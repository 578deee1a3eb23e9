//! Transfers usage after a scheduled change, which Stripe has made without Tier. The next request that reads the
//! subscription does it.
//!
//! Stripe has invoiced the usage of the removed items, levels included. A level is billed again at the end of the
//! period, by the plan in force then, so the invoiced part is credited.

use super::levels::target;
use super::{ItemChange, Transfer};
use crate::billing::{Invoice, Subscription, SubscriptionUpdate};
use crate::domain::catalog::PricedFeature;
use crate::domain::revision::Revision;
use crate::domain::schedule::proration::{
    LinePart, Reduction, StripeCredits, UNUSED_TIME, UnusedTime, UnusedTimeCause,
};
use crate::domain::schedule::usage_charge::Adjustment;
use crate::domain::usage::Billed;
use crate::domain::{Domain, Failure, Result};

impl Domain {
    /// Notes on the subscription what was used before a scheduled change, and the levels to set. Returns the updated
    /// subscription, if there was such a change.
    pub(in crate::domain::schedule) async fn note_scheduled_change(
        &self,
        customer: &str,
        subscription: &Subscription,
        revision: &Revision,
    ) -> Result<Option<Subscription>, Failure> {
        let changes = subscription.scheduled_changes();
        let Some(first) = changes.iter().copied().min() else {
            return Ok(None);
        };
        if subscription.ended_at.is_some() {
            return Ok(None);
        }
        let mut transfer = Transfer::default();
        if subscription.is_on_meters() {
            // Stripe bills the usage, and `settle_levels` moves the levels of removed items.
            transfer.note_scheduled_changes(subscription);
        } else {
            transfer = self.scheduled_transfer(customer, subscription).await?;
            self.credit_levels(customer, subscription, first, revision)
                .await?;
        }
        let mut refused = None;
        for at in changes {
            let unused_time = UnusedTime {
                cause: UnusedTimeCause::RemovedItems,
                at,
                // The start of the period that the change ended is no longer known.
                since: 0,
                credits: StripeCredits::InSameSecond,
            };
            let noted = unused_time.to_string();
            let settled = self
                .settle_unused_time(customer, subscription, unused_time, false, revision)
                .await?;
            if !settled {
                refused.get_or_insert(noted);
            }
        }
        let mut update = SubscriptionUpdate {
            metadata: transfer.figures,
            ..SubscriptionUpdate::default()
        };
        // The next request tries again.
        let refused = refused.filter(|_| UnusedTime::noted(subscription).is_none());
        update
            .metadata
            .extend(refused.map(|note| (UNUSED_TIME.to_owned(), note)));
        let note = self
            .billing()
            .update_subscription(&subscription.id, &update);
        let step = format!("scheduled:{}", subscription.id);
        Ok(Some(self.send_step(revision.step(&step, note)).await?))
    }

    async fn scheduled_transfer(
        &self,
        customer: &str,
        subscription: &Subscription,
    ) -> Result<Transfer, Failure> {
        let items = subscription.items.iter();
        let features: Vec<PricedFeature> = items
            .filter_map(|item| PricedFeature::of(&item.price))
            .collect();
        let change = ItemChange {
            subscription,
            features: &features,
            ends_phase: true,
            trial: subscription.is_trialing(),
            scheduled: true,
            now: self.now().await?,
        };
        self.transfer(customer, change).await
    }

    /// Credits what was invoiced since `at` for levels that continue, each line once.
    pub(in crate::domain::schedule) async fn credit_levels(
        &self,
        customer: &str,
        subscription: &Subscription,
        at: i64,
        revision: &Revision,
    ) -> Result<(), Failure> {
        let now = self.now().await?;
        let continues = |billed: &Billed| {
            let target = target(subscription, &billed.feature);
            billed.is_level()
                && billed.period_start >= subscription.current_period_start
                && target.is_some_and(|item| item.price.is_level())
        };
        let billed = self.billed_on_changes(subscription, at).await?;
        for (invoice, billed) in billed.into_iter().filter(|(_, billed)| continues(billed)) {
            let parts = self.remaining_of(&invoice, &billed.lines).await?;
            let Some(first) = parts.first() else { continue };
            let name = format!("level:{}", first.line);
            if invoice.is_unpaid(now) {
                let credit = Reduction {
                    parts,
                    is_whole_invoice: invoice.charges_only_for(&billed.lines),
                };
                let rest = self
                    .reduce_invoice(&invoice, &credit, &name, false, revision)
                    .await?;
                let rest = rest.unwrap_or_default();
                let adjustment = level_credit(&invoice, &billed, &rest, &name);
                if adjustment.amount != 0 {
                    self.add_to_next_invoice(customer, subscription, &adjustment, false, revision)
                        .await?;
                }
            } else if invoice.is_charged() {
                let adjustment = level_credit(&invoice, &billed, &parts, &name);
                self.add_to_next_invoice(customer, subscription, &adjustment, false, revision)
                    .await?;
            }
        }
        Ok(())
    }
}

/// The credit for a level that was on an earlier invoice.
fn level_credit<'a>(
    invoice: &'a Invoice,
    billed: &'a Billed,
    parts: &[LinePart],
    name: &'a str,
) -> Adjustment<'a> {
    let net = parts.iter().map(|part| part.net);
    let currency = billed.lines.first().map(|line| line.currency.as_str());
    Adjustment {
        name,
        amount: -net.fold(0, i64::saturating_add),
        currency: currency.unwrap_or_default(),
        description: format!(
            "{}: billed at the end of the period instead",
            billed.feature
        ),
        since: invoice.created,
        time: None,
        is_discountable: false,
    }
}

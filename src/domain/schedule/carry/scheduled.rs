//! What a scheduled change, which happened while nobody was there, takes along: worked out by whoever comes next.
//!
//! Stripe has invoiced the usage of the items that went, a level too. That one is billed again at the period's end, by
//! the plan then in force; so what was invoiced of it is given back.

use super::Move;
use super::levels::target;
use crate::billing::{Invoice, Subscription, SubscriptionUpdate};
use crate::domain::catalog::PricedFeature;
use crate::domain::revision::Revision;
use crate::domain::schedule::charge::Extra;
use crate::domain::schedule::unpaid::{Credit, Credits, GivenBack, How, Part, UNPAID};
use crate::domain::usage::Billed;
use crate::domain::{Domain, Failure, Result};

impl Domain {
    /// Notes on the subscription what was used before a scheduled change, and the levels that are to be set. Answers with
    /// the subscription as it is then, if there was such a change.
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
        let items = subscription.items.data.iter();
        let features: Vec<PricedFeature> = items
            .filter_map(|item| PricedFeature::of(&item.price))
            .collect();
        let change = Move {
            subscription,
            features: &features,
            ends_phase: true,
            trial: subscription.is_trialing(),
            scheduled: true,
            now: self.now().await?,
        };
        let carry = self.carry(customer, change).await?;
        self.give_levels_back(customer, subscription, first, revision)
            .await?;
        let mut refused = None;
        for at in changes {
            let given_back = GivenBack {
                how: How::Going,
                at,
                // The period that the change ended is not known any more.
                since: 0,
                credits: Credits::ThatSecond,
            };
            let noted = given_back.to_string();
            let settled = self
                .settle_given_back(customer, subscription, given_back, false, revision)
                .await?;
            if !settled {
                refused.get_or_insert(noted);
            }
        }
        let mut update = SubscriptionUpdate {
            metadata: carry.figures,
            ..SubscriptionUpdate::default()
        };
        // The next call tries again.
        let refused = refused.filter(|_| GivenBack::noted(subscription).is_none());
        update
            .metadata
            .extend(refused.map(|note| (UNPAID.to_owned(), note)));
        let note = self
            .billing()
            .update_subscription(&subscription.id, &update);
        let step = format!("scheduled:{}", subscription.id);
        Ok(Some(self.decided(revision.write(&step, note)).await?))
    }

    /// Gives back what was invoiced of levels that go on, since a change `at` that time, each line once.
    pub(in crate::domain::schedule) async fn give_levels_back(
        &self,
        customer: &str,
        subscription: &Subscription,
        at: i64,
        revision: &Revision,
    ) -> Result<(), Failure> {
        let now = self.now().await?;
        let goes_on = |billed: &Billed| {
            let target = target(subscription, &billed.feature);
            billed.is_level()
                && billed.period_start >= subscription.current_period_start
                && target.is_some_and(|item| item.price.is_level())
        };
        let billed = self.billed_on_changes(subscription, at).await?;
        for (invoice, billed) in billed.into_iter().filter(|(_, billed)| goes_on(billed)) {
            let parts = self.left_of(&invoice, &billed.lines).await?;
            let Some(first) = parts.first() else { continue };
            let name = format!("level:{}", first.line);
            if invoice.is_unpaid(now) {
                let credit = Credit {
                    parts,
                    is_all: invoice.is_only(&billed.lines),
                };
                let rest = self
                    .take_off(&invoice, &credit, &name, false, revision)
                    .await?;
                let rest = rest.unwrap_or_default();
                let extra = given_back(&invoice, &billed, &rest, &name);
                if extra.amount != 0 {
                    self.add_to_next_invoice(customer, subscription, &extra, false, revision)
                        .await?;
                }
            } else if invoice.is_charged() {
                let extra = given_back(&invoice, &billed, &parts, &name);
                self.add_to_next_invoice(customer, subscription, &extra, false, revision)
                    .await?;
            }
        }
        Ok(())
    }
}

/// What is taken off the next invoice because it was on an earlier one.
fn given_back<'a>(
    invoice: &'a Invoice,
    billed: &'a Billed,
    parts: &[Part],
    name: &'a str,
) -> Extra<'a> {
    let net = parts.iter().map(|part| part.net);
    let currency = billed.lines.first().map(|line| line.currency.as_str());
    Extra {
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

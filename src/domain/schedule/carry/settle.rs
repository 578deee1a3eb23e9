//! Working out what is taken along, and writing it.

use super::{Carry, Charge, Move};
use crate::domain::Domain;
use crate::domain::catalog::PricedFeature;
use crate::domain::revision::Revision;
use crate::domain::schedule::found::Failure;
use crate::domain::usage::{Figure, SCHEDULED};
use crate::stripe::types::{Metadata, Object, Subscription};

impl Domain {
    /// Works out what a change now takes along. Nothing is read if no metered item goes.
    pub(in crate::domain::schedule) async fn carry(
        &self,
        customer: &str,
        change: Move<'_>,
    ) -> Result<Carry, Failure> {
        let subscription = change.subscription;
        let scheduled = subscription.scheduled_change().is_some();
        if change.going().next().is_none() && !scheduled && !Figure::any(subscription) {
            return Ok(Carry::default());
        }
        let lines = self
            .upcoming_lines(customer, Some(&subscription.id))
            .await?;
        let used = self.usage_of(customer, subscription, &lines).await?;
        let carried = self.carried(subscription).await?;
        let mut carry = change.carry(&used, &carried, &lines);
        for (key, nothing) in Figure::outdated(subscription, change.now) {
            carry.figures.entry(key).or_insert(nothing);
        }
        if scheduled {
            carry.figures.insert(SCHEDULED.to_owned(), String::new());
        }
        Ok(carry)
    }

    /// Notes on the subscription what was used before a scheduled change, and sets the levels that never start again.
    pub(in crate::domain) async fn note_scheduled_change(
        &self,
        customer: &str,
        subscription: &Subscription,
        revision: &Revision,
    ) -> Result<(), Failure> {
        if subscription.scheduled_change().is_none() {
            return Ok(());
        }
        let items = subscription.items.data.iter();
        let features: Vec<PricedFeature> = items
            .filter_map(|item| PricedFeature::of(&item.price))
            .collect();
        let change = Move {
            subscription,
            features: &features,
            ends_phase: true,
            trial: subscription.status == "trialing",
            now: self.now().await?,
        };
        let carry = self.carry(customer, change).await?;
        let path = format!("/v1/subscriptions/{}", subscription.id);
        let mut request = self.stripe().post(path);
        for (key, value) in &carry.figures {
            request = request.param(format!("metadata[{key}]"), value);
        }
        revision.write("settle", request).send::<Object>().await?;
        self.settle_carry(customer, subscription, &carry, revision)
            .await
    }

    /// Empties the items whose level is taken along, and notes it in the same call.
    pub(in crate::domain::schedule) async fn empty_levels(
        &self,
        subscription: &Subscription,
        carry: &Carry,
        revision: &Revision,
    ) -> Result<(), Failure> {
        if carry.emptied.is_empty() {
            return Ok(());
        }
        let path = format!("/v1/subscriptions/{}", subscription.id);
        let mut request = self.stripe().post(path).param("proration_behavior", "none");
        // Deleted and added again: no later record takes anything away from a maximum.
        for (i, (item, price)) in carry.emptied.iter().enumerate() {
            let (old, new) = (2 * i, 2 * i + 1);
            request = request
                .param(format!("items[{old}][id]"), item)
                .param(format!("items[{old}][deleted]"), true)
                .param(format!("items[{old}][clear_usage]"), true)
                .param(format!("items[{new}][price]"), price);
        }
        for (key, value) in &carry.figures {
            request = request.param(format!("metadata[{key}]"), value);
        }
        revision.write("levels", request).send::<Object>().await?;
        Ok(())
    }

    /// Sets the levels on the items that the subscription has now, and charges what no phase's end billed.
    pub(in crate::domain::schedule) async fn settle_carry(
        &self,
        customer: &str,
        subscription: &Subscription,
        carry: &Carry,
        revision: &Revision,
    ) -> Result<(), Failure> {
        let mut settled = Metadata::new();
        for level in &carry.levels {
            let mut items = subscription.items.data.iter();
            let Some(item) = items.find(|item| item.price.id == level.price) else {
                continue;
            };
            let path = format!("/v1/subscription_items/{}/usage_records", item.id);
            let set = self.stripe().post(path).param("quantity", level.value);
            let set = set.param("action", "set").param("timestamp", "now");
            let step = format!("level:{}", level.price);
            revision.once(&step, set).send::<Object>().await?;
            settled.insert(Figure::key(&level.feature), String::new());
        }
        if !settled.is_empty() {
            let path = format!("/v1/subscriptions/{}", subscription.id);
            let mut request = self.stripe().post(path);
            for (key, nothing) in &settled {
                request = request.param(format!("metadata[{key}]"), nothing);
            }
            revision.write("carried", request).send::<Object>().await?;
        }
        for (i, charge) in carry.charges.iter().enumerate() {
            let request = self.stripe().post("/v1/invoiceitems");
            let request = request
                .param("customer", customer)
                .param("subscription", &subscription.id)
                .param("amount", charge.amount)
                .param("currency", &charge.currency)
                .param("description", &charge.description);
            let step = format!("charge:{i}");
            let charged = revision.once(&step, request).send::<Object>().await;
            if let Err(error) = charged {
                // The change is made, and asking for it again would not charge it.
                let Charge {
                    amount, currency, ..
                } = charge;
                tracing::error!(target: "audit", %error, customer, amount, currency, "usage was not charged");
            }
        }
        Ok(())
    }
}

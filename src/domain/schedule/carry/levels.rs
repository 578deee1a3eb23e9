//! Levels on their way from an item that goes to the one that takes its place.

use super::{Carry, total};
use crate::billing::{
    AggregateUsage, EmptiedItem, Metadata, Subscription, SubscriptionItem, SubscriptionUpdate,
    UsageAction, UsageRecord,
};
use crate::domain::catalog::PricedFeature;
use crate::domain::refs::FeatureName;
use crate::domain::revision::Revision;
use crate::domain::usage::{Figure, Used};
use crate::domain::{Domain, Failure, Result};
use crate::stripe;

/// The item that usage of a feature is recorded on, if it is metered.
pub(super) fn target<'a>(
    subscription: &'a Subscription,
    feature: &FeatureName,
) -> Option<&'a SubscriptionItem> {
    let items = subscription.items.data.iter();
    let named = items.filter_map(|item| Some((item.price.feature_plan()?, item)));
    let own = named.filter(|(name, item)| item.price.is_metered() && name.feature() == *feature);
    let first = own.min_by(|(a, _), (b, _)| a.cmp(b));
    first.map(|(_, item)| item)
}

impl Domain {
    /// Empties the items whose level is taken along, and notes it in the same call: no more than that, since the change may
    /// not come about.
    pub(in crate::domain::schedule) async fn empty_levels(
        &self,
        subscription: &Subscription,
        carry: &Carry,
        revision: &Revision,
    ) -> Result<(), Failure> {
        if carry.emptied.is_empty() {
            return Ok(());
        }
        let is_open = |figure: &str| figure.parse().is_ok_and(|figure: Figure| figure.open);
        let mut open = carry.figures.clone();
        open.retain(|_, figure| is_open(figure));
        let emptied = carry.emptied.iter();
        let update = SubscriptionUpdate {
            emptied_items: emptied
                .map(|(id, price)| EmptiedItem { id, price })
                .collect(),
            metadata: open,
            ..SubscriptionUpdate::default()
        };
        let empty = self
            .billing()
            .update_subscription(&subscription.id, &update);
        self.decided(revision.write("levels", empty.unread()))
            .await?;
        Ok(())
    }

    /// Sets the levels that a subscription's figures say are still to be set. What is done is added to `done`.
    pub(in crate::domain::schedule) async fn set_levels(
        &self,
        subscription: &Subscription,
        fresh: bool,
        revision: &Revision,
        done: &mut Metadata,
    ) -> Result<(), Failure> {
        if subscription.ended_at.is_some() {
            return Ok(());
        }
        for (feature, figure) in Figure::open_levels(subscription) {
            let Some(item) = target(subscription, &feature) else {
                continue;
            };
            let key = Figure::key(&feature);
            if !figure.counts(subscription) {
                // A period has begun since, and the level with it. A return to a free plan may ask for it.
                let over = Figure {
                    open: false,
                    ..figure
                };
                done.insert(key, over.to_string());
                continue;
            }
            // What is on the item since is newer, unless it is a maximum.
            let own = if fresh { 0 } else { self.level_of(item).await? };
            let is_max = item.price.aggregate() == AggregateUsage::Max;
            if own == 0 || (is_max && own < figure.n) {
                let name = format!("level:{}:{}:{}", subscription.id, item.id, figure.as_of);
                // Before the second of the change, to which what is reported in that second would be added.
                let at = (figure.as_of - 1).max(subscription.current_period_start);
                self.set_level(item, figure.n, Some(at), revision.fixed(&name))
                    .await?;
            }
            done.insert(key, String::new());
        }
        Ok(())
    }

    async fn level_of(&self, item: &SubscriptionItem) -> Result<i64, Failure> {
        self.total_usage(item).await.map_err(Failure::of_item)
    }

    async fn set_level(
        &self,
        item: &SubscriptionItem,
        value: i64,
        at: Option<i64>,
        key: String,
    ) -> Result<(), stripe::Error> {
        let record = UsageRecord {
            quantity: value,
            action: UsageAction::Set,
            at,
        };
        let set = self.billing().record_usage(&item.id, record);
        set.key(key).send().await.map(drop)
    }

    /// Takes the levels that never start again along to the subscription that supersedes theirs. The old items are
    /// emptied, so that only the new ones bill them.
    pub(in crate::domain::schedule) async fn hand_levels_over(
        &self,
        customer: &str,
        old: &Subscription,
        new: &Subscription,
        revision: &Revision,
    ) -> Result<(), Failure> {
        let moves = |item: &&SubscriptionItem| {
            let feature = PricedFeature::of(&item.price);
            let feature = feature.filter(PricedFeature::is_perpetual);
            let target = feature.and_then(|feature| target(new, &feature.name.feature()));
            target.is_some_and(|target| target.price.is_perpetual())
        };
        let moving: Vec<&SubscriptionItem> = old.items.data.iter().filter(moves).collect();
        if moving.is_empty() {
            return Ok(());
        }
        let lines = self.upcoming_lines(customer, Some(&old.id)).await?;
        let used = self.usage_of(customer, old, &lines).await;
        let used: Used = used.map_err(Failure::of_item)?;
        let mut emptied = Vec::new();
        for item in moving {
            let value = total(&[item], &used);
            let feature = item.price.feature_plan();
            let target = feature.and_then(|feature| target(new, &feature.feature()));
            let Some(target) = target.filter(|_| value > 0) else {
                continue;
            };
            // What was recorded there since is newer.
            if self.level_of(target).await? == 0 {
                let name = format!("supersede:{}:{}:level:{}", old.id, new.id, item.id);
                self.set_level(target, value, None, revision.fixed(&name))
                    .await?;
            }
            emptied.push(EmptiedItem {
                id: &item.id,
                price: &item.price.id,
            });
        }
        if !emptied.is_empty() {
            let update = SubscriptionUpdate {
                emptied_items: emptied,
                ..SubscriptionUpdate::default()
            };
            let empty = self.billing().update_subscription(&old.id, &update);
            let step = format!("levels:{}", old.id);
            self.decided(revision.write(&step, empty.unread())).await?;
        }
        Ok(())
    }
}

//! Moves perpetual levels from a superseded subscription to the new one, for example after Checkout.

use super::levels::target;
use super::total;
use crate::billing::{ClearedItem, Subscription, SubscriptionItem, SubscriptionUpdate};
use crate::domain::catalog::PricedFeature;
use crate::domain::ledger::MovedLevel;
use crate::domain::org::ResolvedOrg;
use crate::domain::refs::FeatureName;
use crate::domain::revision::Revision;
use crate::domain::schedule::notes::has_metadata_room;
use crate::domain::usage::{Figure, UsedByItem};
use crate::domain::{Domain, Failure, Result};

/// A perpetual level of a superseded subscription.
pub(in crate::domain::schedule) struct MovingLevel<'a> {
    feature: FeatureName,
    /// The old item.
    from: &'a SubscriptionItem,
    /// The new item.
    to: &'a SubscriptionItem,
    /// Units.
    n: i64,
}

impl MovingLevel<'_> {
    /// Whether both items have the same meter. Then both would bill the level if it were set before the old
    /// subscription has ended.
    fn shares_meter(&self) -> bool {
        let meter = self.from.price.meter();
        meter.is_some() && meter == self.to.price.meter()
    }

    /// A name that identifies the move.
    fn name(&self, old: &Subscription, new: &Subscription) -> String {
        format!("supersede:{}:{}:level:{}", old.id, new.id, self.from.id)
    }
}

/// The feature of an item with a perpetual level, and the item of the new subscription that gets the level.
fn feature_and_target<'a>(
    from: &SubscriptionItem,
    new: &'a Subscription,
) -> Option<(FeatureName, &'a SubscriptionItem)> {
    let feature = PricedFeature::of(&from.price).filter(PricedFeature::is_perpetual)?;
    let feature = feature.name.feature();
    let to = target(new, &feature).filter(|to| to.price.is_perpetual())?;
    Some((feature, to))
}

impl Domain {
    /// Transfers perpetual levels to the subscription that supersedes `old`. The old items are cleared, so that only
    /// the new ones bill the levels. Returns the levels that must wait for the end of `old`.
    pub(in crate::domain::schedule) async fn transfer_levels<'a>(
        &self,
        org: &ResolvedOrg,
        old: &'a Subscription,
        new: &'a Subscription,
        revision: &Revision,
    ) -> Result<Vec<MovingLevel<'a>>, Failure> {
        let items = old.items.iter();
        let moves = items.filter_map(|from| Some((from, feature_and_target(from, new)?)));
        let moves: Vec<_> = moves.collect();
        if moves.is_empty() {
            return Ok(Vec::new());
        }
        let used = self.used_before_end(&org.customer, old).await?;
        let levels = moves.into_iter().map(|(from, (feature, to))| MovingLevel {
            feature,
            from,
            to,
            n: total(&[from], &used),
        });
        let levels = levels.filter(|level| level.n > 0);
        let (mut waiting, moving): (Vec<_>, Vec<_>) = levels.partition(MovingLevel::shares_meter);
        let known = self.ledger_items(&org.name);
        for level in &mut waiting {
            let mut in_ledger = known.iter().filter(|known| known.has_level);
            let newer = in_ledger.find(|known| known.item.as_str() == level.to.id);
            level.n = newer.map_or(level.n, |newer| newer.n);
        }
        self.note_waiting_levels(old, new, &waiting, revision)
            .await?;
        for level in &moving {
            let key = revision.key_at_any_revision(&level.name(old, new));
            let (from, to) = ((old, level.from), (new, level.to));
            self.move_level(org, Some(from), to, level.n, key).await?;
        }
        let all = waiting.iter().chain(&moving);
        for level in all.filter(|level| level.from.price.meter().is_some()) {
            // The subscription is ended only after Stripe has processed this event.
            let key = revision.key_at_any_revision(&format!("{}:cleared", level.name(old, new)));
            self.send_level(&org.customer, (old, level.from), 0, &key)
                .await?;
        }
        let classic = moving.iter().map(|level| level.from);
        let classic = classic.filter(|from| from.price.meter().is_none());
        let cleared = classic.map(|from| ClearedItem {
            id: &from.id,
            price: &from.price.id,
        });
        let update = SubscriptionUpdate {
            cleared_items: cleared.collect(),
            ..SubscriptionUpdate::default()
        };
        if !update.cleared_items.is_empty() {
            let clear = self.billing().update_subscription(&old.id, &update);
            let step = format!("levels:{}", old.id);
            self.send_step(revision.step(&step, clear.ignore_answer()))
                .await?;
        }
        Ok(waiting)
    }

    /// Notes the waiting levels on the new subscription, so that the next request can set them if this one is
    /// interrupted.
    async fn note_waiting_levels(
        &self,
        old: &Subscription,
        new: &Subscription,
        waiting: &[MovingLevel<'_>],
        revision: &Revision,
    ) -> Result<(), Failure> {
        if waiting.is_empty() || !has_metadata_room(new) {
            return Ok(());
        }
        let as_of = self.now().await?;
        let figure = |n| Figure {
            n,
            period: (new.current_period_start, new.current_period_end),
            as_of,
            is_pending: true,
            is_perpetual: true,
            was_billed: false,
        };
        let levels = waiting.iter();
        let noted = levels.map(|level| (Figure::key(&level.feature), figure(level.n).to_string()));
        let step = format!("levels:{}:noted", old.id);
        self.note_on(&new.id, noted.collect(), &step, revision)
            .await
    }

    /// Sets the levels that have waited for the end of the old subscription.
    pub(in crate::domain::schedule) async fn set_waiting_levels(
        &self,
        org: &ResolvedOrg,
        (old, new): (&Subscription, &Subscription),
        waiting: &[MovingLevel<'_>],
        revision: &Revision,
    ) -> Result<(), Failure> {
        if waiting.is_empty() {
            return Ok(());
        }
        for level in waiting {
            let to = (new, level.to);
            let key = revision.key_at_any_revision(&level.name(old, new));
            let at = self.send_level(&org.customer, to, level.n, &key).await?;
            let moved = MovedLevel {
                to,
                n: level.n,
                at,
                from: Some((old, level.from)),
            };
            self.hand_level_to_ledger(&org.name, moved).await?;
        }
        let levels = waiting.iter();
        let set = levels.map(|level| (Figure::key(&level.feature), String::new()));
        let step = format!("levels:{}:set", old.id);
        self.note_on(&new.id, set.collect(), &step, revision).await
    }

    /// What was used of the items of a subscription that is about to end.
    async fn used_before_end(
        &self,
        customer: &str,
        subscription: &Subscription,
    ) -> Result<UsedByItem, Failure> {
        if subscription.is_on_meters() {
            let (used, _) = self.usage_on_meters(subscription).await?;
            return Ok(used);
        }
        let lines = self
            .upcoming_lines(customer, Some(&subscription.id))
            .await?;
        let used = self.usage_of(customer, subscription, &lines).await;
        used.map_err(Failure::of_item)
    }
}

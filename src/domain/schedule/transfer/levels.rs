//! Transfers levels from a removed item to the one that replaces it.

use super::Transfer;
use crate::billing::{
    AggregateUsage, ClearedItem, Metadata, Price, RecordedUsage, Subscription, SubscriptionItem,
    SubscriptionUpdate, UsageAction, UsageRecord,
};
use crate::domain::catalog::PricedFeature;
use crate::domain::clock::CLOCK_SKEW;
use crate::domain::ledger::MovedLevel;
use crate::domain::org::ResolvedOrg;
use crate::domain::plan_change::FOLLOWS;
use crate::domain::refs::{FeatureName, OrgName};
use crate::domain::revision::Revision;
use crate::domain::usage::Figure;
use crate::domain::{Domain, Failure, Result};
use crate::stripe;

/// The item that usage of a feature is recorded on, if it is metered.
pub(super) fn target<'a>(
    subscription: &'a Subscription,
    feature: &FeatureName,
) -> Option<&'a SubscriptionItem> {
    let items = subscription.items.iter();
    let named = items.filter_map(|item| Some((item.price.feature_plan()?, item)));
    let sold = named.filter(|(name, item)| item.price.is_metered() && name.feature() == *feature);
    let first = sold.min_by(|(a, _), (b, _)| a.cmp(b));
    first.map(|(_, item)| item)
}

/// A level that a subscription leaves to its successor.
pub(in crate::domain) struct PredecessorLevel {
    /// The predecessor's item.
    from: String,
    /// The successor's item.
    pub(in crate::domain) to: String,
    /// Units.
    pub(in crate::domain) n: i64,
}

impl Domain {
    /// Clears the items whose level is transferred, and notes the level in the same call. It does nothing else, since
    /// the change may still be refused. With meters, does nothing: the change itself notes the level, and what Stripe
    /// then bills for the old item is deleted later.
    pub(in crate::domain::schedule) async fn clear_levels(
        &self,
        subscription: &Subscription,
        transfer: &Transfer,
        revision: &Revision,
    ) -> Result<(), Failure> {
        if transfer.cleared.is_empty() || subscription.is_on_meters() {
            return Ok(());
        }
        let is_pending =
            |figure: &str| figure.parse().is_ok_and(|figure: Figure| figure.is_pending);
        let mut pending = transfer.figures.clone();
        pending.retain(|_, figure| is_pending(figure));
        let cleared = transfer.cleared.iter();
        let update = SubscriptionUpdate {
            cleared_items: cleared
                .map(|(id, price)| ClearedItem { id, price })
                .collect(),
            metadata: pending,
            ..SubscriptionUpdate::default()
        };
        let clear = self
            .billing()
            .update_subscription(&subscription.id, &update);
        self.send_step(revision.step("levels", clear.ignore_answer()))
            .await?;
        Ok(())
    }

    /// Sets the levels whose figures are pending. Adds the key of each settled figure to `done`.
    pub(in crate::domain::schedule) async fn set_levels(
        &self,
        org: &ResolvedOrg,
        subscription: &Subscription,
        just_made: bool,
        revision: &Revision,
        done: &mut Metadata,
    ) -> Result<(), Failure> {
        if subscription.ended_at.is_some() {
            return Ok(());
        }
        for (feature, figure) in Figure::pending_levels(subscription) {
            let Some(item) = target(subscription, &feature) else {
                continue;
            };
            let key = Figure::key(&feature);
            if !figure.counts(subscription) {
                // A new period has begun, in which the level starts from zero.
                done.insert(key, String::new());
                continue;
            }
            // The value on the item is newer, unless it is a maximum.
            let recorded = if just_made {
                0
            } else {
                self.level_on(subscription, item).await?
            };
            let is_max = item.price.aggregate() == AggregateUsage::Max;
            if recorded == 0 || (is_max && recorded < figure.n) {
                let name = format!("level:{}:{}:{}", subscription.id, item.id, figure.as_of);
                // The second before the change. Stripe would add usage that is reported in the same second to the
                // value.
                let at = (figure.as_of - 1).max(subscription.current_period_start);
                let key = revision.key_at_any_revision(&name);
                let to = (subscription, item);
                let at = if item.price.meter().is_some() {
                    let since = figure.as_of - CLOCK_SKEW;
                    self.delete_pending_level(&org.customer, subscription, &feature, since)
                        .await?;
                    self.send_level(&org.customer, to, figure.n, &key).await?
                } else {
                    self.set_level(item, figure.n, Some(at), key)
                        .await?
                        .timestamp
                };
                let level = MovedLevel {
                    to,
                    n: figure.n,
                    at,
                    from: None,
                };
                self.hand_level_to_ledger(&org.name, level).await?;
            }
            done.insert(key, String::new());
        }
        Ok(())
    }

    /// Moves levels that a scheduled change has left on removed items to the items that replace them. Otherwise Stripe
    /// would bill them with both plans.
    pub(in crate::domain) async fn settle_levels(
        &self,
        org: &ResolvedOrg,
        subscription: &Subscription,
        revision: &Revision,
    ) -> Result<(), Failure> {
        let mut items = subscription.items.iter();
        if !subscription.is_on_meters() || !items.any(|item| item.price.is_level()) {
            return Ok(());
        }
        let (used, removed) = self.usage_on_meters(subscription).await?;
        for (feature, level) in removed.levels() {
            let found = target(subscription, feature).filter(|item| item.price.is_level());
            let Some(item) = found else { continue };
            let recorded = used.get(&item.id).copied().unwrap_or(0);
            let is_max = item.price.aggregate() == AggregateUsage::Max;
            let to = (subscription, item);
            let began = subscription.current_period_start;
            let is_newer = recorded != 0 && !(is_max && recorded < level);
            if !is_newer && !self.ledger_has_level(&org.name, item) {
                let name = format!("carried:{}:{}:{began}", subscription.id, item.id);
                let key = revision.key_at_any_revision(&name);
                let at = self.send_level(&org.customer, to, level, &key).await?;
                let level = MovedLevel {
                    to,
                    n: level,
                    at,
                    from: None,
                };
                self.hand_level_to_ledger(&org.name, level).await?;
            }
            // Last, since a crash between the two would otherwise lose the level.
            self.delete_pending_level(&org.customer, subscription, feature, began)
                .await?;
        }
        Ok(())
    }

    /// Deletes the pending invoice items for the level of a removed item, since the item that replaces it bills the
    /// level.
    async fn delete_pending_level(
        &self,
        customer: &str,
        subscription: &Subscription,
        feature: &FeatureName,
        since: i64,
    ) -> Result<(), Failure> {
        let items = self.billing().invoice_items_since(customer, since).await?;
        let is_of_level = |price: &Price| {
            let name = price.feature_plan();
            price.is_level() && name.is_some_and(|name| name.feature() == *feature)
        };
        for item in items {
            let is_pending =
                item.subscription.as_deref() == Some(&subscription.id) && item.invoice.is_none();
            if is_pending && item.price.as_ref().is_some_and(is_of_level) {
                match self.billing().delete_invoice_item(&item.id).await {
                    // Another request has deleted it.
                    Err(error) if error.is_missing() => {}
                    deleted => drop(deleted?),
                }
            }
        }
        Ok(())
    }

    /// The level of an item in the current period, of either generation.
    async fn level_on(
        &self,
        subscription: &Subscription,
        item: &SubscriptionItem,
    ) -> Result<i64, Failure> {
        if item.price.meter().is_none() {
            return self.recorded_level(item).await;
        }
        let shown = self.stripe_totals(subscription).await?;
        Ok(shown.get(&item.id).copied().unwrap_or(0))
    }

    async fn recorded_level(&self, item: &SubscriptionItem) -> Result<i64, Failure> {
        self.total_usage(item).await.map_err(Failure::of_item)
    }

    async fn set_level(
        &self,
        item: &SubscriptionItem,
        value: i64,
        at: Option<i64>,
        key: String,
    ) -> Result<RecordedUsage, stripe::Error> {
        let record = UsageRecord {
            quantity: value,
            action: UsageAction::Set,
            at,
        };
        let set = self.billing().record_usage(&item.id, record);
        set.key(key).send().await
    }

    /// Sets the perpetual levels of the subscription that this one follows, once that has ended.
    pub(in crate::domain::schedule) async fn take_over_levels(
        &self,
        org: &ResolvedOrg,
        subscription: &Subscription,
        revision: &Revision,
    ) -> Result<(), Failure> {
        let Some(levels) = self.levels_of_predecessor(&org.name, subscription).await? else {
            return Ok(());
        };
        for PredecessorLevel { from, to, n } in &levels {
            let Some(target) = subscription.items.iter().find(|item| item.id == *to) else {
                continue;
            };
            let name = format!("followed:{}:level:{from}", subscription.id);
            let key = revision.key_at_any_revision(&name);
            // The old item keeps the level, which was billed already.
            self.move_level(org, None, (subscription, target), *n, key)
                .await?;
        }
        let done = Metadata::from([(FOLLOWS.to_owned(), String::new())]);
        let step = format!("followed:{}", subscription.id);
        self.note_on(&subscription.id, done, &step, revision).await
    }

    /// The perpetual levels of the subscription that this one follows, until they are taken over. None if Stripe has
    /// not ended it yet.
    pub(in crate::domain) async fn levels_of_predecessor(
        &self,
        org: &OrgName,
        subscription: &Subscription,
    ) -> Result<Option<Vec<PredecessorLevel>>, Failure> {
        let Some(old) = subscription.predecessor() else {
            return Ok(Some(Vec::new()));
        };
        let old = match self.billing().subscription(old).await {
            Err(error) if error.is_missing() => return Ok(Some(Vec::new())),
            old => old?,
        };
        if old.ended_at.is_none() {
            return Ok(None);
        }
        let known = self.ledger_items(org);
        let mut levels = Vec::new();
        for item in &old.items {
            let feature = PricedFeature::of(&item.price).filter(PricedFeature::is_perpetual);
            let target = feature.and_then(|feature| target(subscription, &feature.name.feature()));
            let Some(target) = target.filter(|target| target.price.is_perpetual()) else {
                continue;
            };
            let mut newest_first = known.iter().rev();
            let in_ledger =
                newest_first.find(|known| known.item.as_str() == item.id && known.has_level);
            let n = match in_ledger {
                Some(known) => known.n,
                // Only a ledger knows a level that a meter counts.
                None if item.price.meter().is_some() => 0,
                None => self.recorded_level(item).await?,
            };
            if n > 0 {
                levels.push(PredecessorLevel {
                    from: item.id.clone(),
                    to: target.id.clone(),
                    n,
                });
            }
        }
        Ok(Some(levels))
    }

    /// Sets a level on the item of another subscription, unless there is a newer one, and hands it to the ledger.
    pub(super) async fn move_level(
        &self,
        org: &ResolvedOrg,
        from: Option<(&Subscription, &SubscriptionItem)>,
        to: (&Subscription, &SubscriptionItem),
        value: i64,
        key: String,
    ) -> Result<(), Failure> {
        let (subscription, item) = to;
        let recorded = self.level_on(subscription, item).await?;
        let (n, at) = if recorded != 0 || self.ledger_has_level(&org.name, item) {
            (recorded, self.at_stripe(self.now().await?))
        } else if item.price.meter().is_some() {
            (
                value,
                self.send_level(&org.customer, to, value, &key).await?,
            )
        } else {
            let set = self.set_level(item, value, None, key).await?;
            (value, set.timestamp)
        };
        let level = MovedLevel { to, n, at, from };
        self.hand_level_to_ledger(&org.name, level).await?;
        Ok(())
    }
}

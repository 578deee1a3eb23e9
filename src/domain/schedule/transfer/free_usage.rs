//! Keeps what was used of plans of zero prices for a return to one: see [`FreeUsage`].

use super::{ItemChange, Transfer, period, used_of};
use crate::billing::{AggregateUsage, Price, Subscription};
use crate::domain::refs::FeatureName;
use crate::domain::usage::{FREE_USAGE, Figure, FreeUsage, UsedByItem};
use crate::domain::{Domain, Result};

impl ItemChange<'_> {
    /// What was used of plans of zero prices in an earlier period that would not have ended yet, if the org returns to
    /// such a plan.
    pub(super) fn free_usage_before(&self) -> Option<FreeUsage> {
        let is_to_free_plan = self.features.iter().all(|feature| feature.free);
        let started = self.subscription.current_period_start;
        FreeUsage::of(self.subscription).filter(|earlier| {
            is_to_free_plan && earlier.period.0 < started && self.now < earlier.period.1
        })
    }

    /// The part of it that is of one feature.
    pub(super) fn free_usage_before_of(&self, feature: &FeatureName) -> i64 {
        self.free_usage_before()
            .map_or(0, |earlier| earlier.get(feature))
    }

    /// What was used of the present plan, and of earlier plans of zero prices, if the present one has zero prices too.
    /// None if nothing was used of removed items, if Stripe has already made the change, or if the plan is a trial, whose
    /// usage does not count afterwards.
    fn free_usage(&self, used: &UsedByItem) -> Option<FreeUsage> {
        let subscription = self.subscription;
        if self.scheduled || subscription.is_trialing() {
            return None;
        }
        let earlier = FreeUsage::of(subscription).filter(|earlier| self.now < earlier.period.1);
        let mut free = earlier.unwrap_or_default();
        free.period = period(subscription);
        let mut is_any_used = false;
        for (feature, item) in self.removed() {
            let (n, before) = (used_of(item, used), free.get(&feature));
            if n == 0 || item.price.is_perpetual() {
                continue;
            }
            is_any_used = true;
            let n = match item.price.aggregate() {
                AggregateUsage::Max => n.max(before),
                _ if item.price.is_level() => n,
                _ => n.saturating_add(before),
            };
            free.set(&feature, n);
        }
        is_any_used.then_some(free)
    }

    /// Counts what was used before in the running period.
    fn count_free_usage(&self, mut before: FreeUsage, transfer: &mut Transfer) {
        before.period.0 = self.subscription.current_period_start;
        transfer
            .figures
            .insert(FREE_USAGE.to_owned(), before.to_string());
        // A later plan may sell what this one does not.
        for (digest, n) in before.unsold(self.features.iter().map(|sold| sold.name.feature())) {
            let key = Figure::key_of(digest);
            let noted = self.subscription.metadata.get(&key);
            let noted = noted.and_then(|noted| noted.parse::<Figure>().ok());
            let noted = noted.filter(|figure| figure.counts(self.subscription));
            let n = noted.map_or(n, |noted| noted.n.saturating_add(n));
            let figure = transfer.figures.entry(key);
            figure.or_insert_with(|| self.figure(n).to_string());
        }
    }
}

impl Domain {
    /// Notes what was used of a plan of zero prices, if a change ends it or returns to one.
    pub(super) async fn note_free_usage(
        &self,
        change: &ItemChange<'_>,
        used: &UsedByItem,
        transfer: &mut Transfer,
    ) -> Result<()> {
        if let Some(before) = change.free_usage_before() {
            change.count_free_usage(before, transfer);
        }
        if let Some(free) = change.free_usage(used)
            && self.is_free(change.subscription).await?
        {
            transfer
                .figures
                .insert(FREE_USAGE.to_owned(), free.to_string());
        }
        if FreeUsage::of(change.subscription).is_some_and(|free| free.period.1 <= change.now) {
            let outdated = transfer.figures.entry(FREE_USAGE.to_owned());
            outdated.or_default();
        }
        Ok(())
    }

    /// Whether the items of a subscription cost nothing. Items may lack their prices' tiers, which this then reads.
    async fn is_free(&self, subscription: &Subscription) -> Result<bool> {
        let mut without_tiers: Vec<&Price> = Vec::new();
        for item in &subscription.items {
            match item.price.is_free() {
                Some(true) => {}
                Some(false) => return Ok(false),
                None => without_tiers.push(&item.price),
            }
        }
        let keys = without_tiers.iter();
        let keys: Vec<&str> = keys
            .filter_map(|price| price.lookup_key.as_deref())
            .collect();
        let read = self.prices_by_key(&keys).await?;
        let is_free = |price: &&Price| {
            let mut same = read.iter().filter(|read| read.id == price.id);
            same.any(|read| read.is_free() == Some(true))
        };
        Ok(without_tiers.iter().all(is_free))
    }
}

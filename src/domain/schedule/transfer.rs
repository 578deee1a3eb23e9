//! Transfers the usage of metered items that an immediate change removes.
//!
//! The usage of a `sum` is billed by the change, at its own price, and noted as a figure in the metadata of the phase
//! that begins. A level (`max`, `last`, `perpetual`) is billed once, at the end of the period, by the plan in force
//! then. The old item is cleared, and its value is set on the item that replaces it. Until that is done, the figure is
//! marked as pending, so that another request can complete an interrupted transfer.

mod charges;
mod free_usage;
mod late_usage;
mod levels;
mod scheduled_change;
mod superseded;

use std::collections::BTreeSet;

use super::customer_state::CustomerState;
use super::usage_charge::UsageCharge;
use crate::billing::{AggregateUsage, InvoiceLine, Metadata, Subscription, SubscriptionItem};
use crate::domain::catalog::{BillingTerms, PricedFeature};
use crate::domain::plan_change::{Action, PlanChange};
use crate::domain::refs::FeatureName;
use crate::domain::usage::{Carried, Figure, SCHEDULED, SETTLED, UsedByItem};
use crate::domain::{Domain, Error, Failure, Result};

/// What a change transfers from removed items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Transfer {
    /// Figures for the metadata of the phase that begins.
    pub(super) figures: Metadata,
    /// Items whose level is set on another item, as id and price.
    cleared: Vec<(String, String)>,
    /// Usage that Stripe does not bill when the phase ends.
    pub(super) charges: Vec<UsageCharge>,
    /// What it was computed from.
    basis: Option<Basis>,
}

impl Transfer {
    /// Whether it has levels to set on other items.
    pub(super) fn moves_levels(&self) -> bool {
        !self.cleared.is_empty()
    }

    /// Notes that the scheduled changes of `subscription` are settled.
    fn note_scheduled_changes(&mut self, subscription: &Subscription) {
        if let Some(last) = subscription.scheduled_changes().into_iter().max() {
            self.figures.insert(SCHEDULED.to_owned(), String::new());
            self.figures.insert(SETTLED.to_owned(), last.to_string());
        }
    }
}

/// What a transfer was computed from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Basis {
    used: UsedByItem,
    /// A figure of zero for the running period.
    zero: Figure,
}

/// A change of a subscription's items, as far as it matters for usage.
#[derive(Clone, Copy)]
pub(super) struct ItemChange<'a> {
    pub(super) subscription: &'a Subscription,
    /// The features after the change.
    pub(super) features: &'a [PricedFeature],
    /// Whether the current phase ends. Then Stripe bills the removed metered items. If the phase is changed in place,
    /// it does not.
    pub(super) ends_phase: bool,
    /// Whether a trial begins or continues.
    pub(super) trial: bool,
    /// Whether it was scheduled, and has already happened.
    pub(super) scheduled: bool,
    /// Unix seconds.
    pub(super) now: i64,
}

impl<'a> ItemChange<'a> {
    /// The change that an action makes to the current subscription, if it changes the items.
    pub(super) fn of(
        change: PlanChange<'a>,
        state: &'a CustomerState,
        action: &Action,
    ) -> Option<Self> {
        let (Action::Replace(_, plan) | Action::Adopt(_, plan)) = action else {
            return None;
        };
        let first = change.requested.first()?;
        Some(Self {
            subscription: state.current.as_ref()?,
            features: &first.features,
            ends_phase: plan.begins? > 0,
            trial: first.trial,
            scheduled: false,
            now: change.now,
        })
    }

    /// The metered items that are removed, by feature.
    pub(super) fn removed(&self) -> impl Iterator<Item = (FeatureName, &SubscriptionItem)> {
        let items = self.subscription.items.iter();
        items.filter_map(|item| {
            let is_removed = !self
                .features
                .iter()
                .any(|feature| feature.price_id == item.price.id);
            let name = item.price.feature_plan()?.feature();
            (item.price.is_metered() && is_removed).then_some((name, item))
        })
    }

    /// The price that bills a metered feature after the change.
    fn target(&self, feature: &FeatureName) -> Option<&PricedFeature> {
        let sold = self.features.iter();
        let sold = sold.filter(|sold| sold.metered && sold.name.feature() == *feature);
        sold.min_by(|a, b| a.name.cmp(&b.name))
    }

    /// A figure of usage up to now.
    fn figure(&self, n: i64) -> Figure {
        Figure {
            n,
            period: period(self.subscription),
            as_of: self.now,
            is_pending: false,
            is_perpetual: false,
            was_billed: false,
        }
    }

    /// Computes the transfer from what was `used` of each item, and what was `carried` from earlier items.
    fn transfer(&self, used: &UsedByItem, carried: &Carried, lines: &[InvoiceLine]) -> Transfer {
        let mut transfer = Transfer::default();
        let removed = self.removed().map(|(feature, _)| feature);
        let metered = self.features.iter().filter(|feature| feature.metered);
        let added = metered.map(|feature| feature.name.feature());
        let known = carried.features().cloned();
        let features: BTreeSet<FeatureName> = removed.chain(added).chain(known).collect();
        for feature in features {
            let removed = self.removed().filter(|(name, _)| *name == feature);
            let removed: Vec<&SubscriptionItem> = removed.map(|(_, item)| item).collect();
            match self.target(&feature) {
                Some(target) if self.transfers_level(target, &removed) => {
                    self.transfer_level(&mut transfer, &feature, target, &removed, used, carried);
                }
                _ => self.note_usage(&mut transfer, &feature, &removed, used, carried),
            }
        }
        if !self.ends_phase {
            transfer.charges = self.charges(&transfer, used, lines);
        }
        transfer
    }

    /// Whether the level of the removed items is transferred to the target. Only a perpetual one continues in a new
    /// period.
    fn transfers_level(&self, target: &PricedFeature, removed: &[&SubscriptionItem]) -> bool {
        let levels = removed.iter().all(|item| item.price.is_level());
        target.is_level()
            && levels
            && (target.is_perpetual()
                || !starts_new_period(self.subscription, self.features, self.trial))
    }

    /// Notes the usage of a feature that the change bills.
    fn note_usage(
        &self,
        transfer: &mut Transfer,
        feature: &FeatureName,
        removed: &[&SubscriptionItem],
        used: &UsedByItem,
        carried: &Carried,
    ) {
        let before = carried.before(feature);
        let n = before.n.saturating_add(self.free_usage_before_of(feature));
        let n = n.saturating_add(total(removed, used));
        if n > 0 {
            // A scheduled change has removed the items already.
            let is_already_removed = removed.is_empty();
            let figure = Figure {
                is_perpetual: removed.iter().any(|item| item.price.is_perpetual())
                    || (is_already_removed && before.is_perpetual),
                was_billed: removed.iter().all(|item| item.price.is_level())
                    && (!is_already_removed || before.is_level),
                ..self.figure(n)
            };
            transfer
                .figures
                .insert(Figure::key(feature), figure.to_string());
        }
    }

    fn transfer_level(
        &self,
        transfer: &mut Transfer,
        feature: &FeatureName,
        target: &PricedFeature,
        removed: &[&SubscriptionItem],
        used: &UsedByItem,
        carried: &Carried,
    ) {
        let noted = Figure::of(self.subscription, feature);
        let noted = noted.filter(|figure| figure.counts(self.subscription));
        let is_carried =
            |figure: &Figure| figure.is_pending || figure.is_perpetual || figure.was_billed;
        let before = match noted.filter(is_carried) {
            Some(figure) if !self.scheduled => figure.n,
            _ if target.is_perpetual() || self.scheduled => carried.get(feature),
            _ => 0,
        };
        let before = before.max(self.free_usage_before_of(feature));
        let items = self.subscription.items.iter();
        let kept: Vec<_> = items
            .filter(|item| item.price.id == target.price_id)
            .collect();
        let on_target = total(&kept, used);
        let moved = total(removed, used);
        // The value on the item is newer than the noted one and replaces it, unless it is a maximum.
        let is_max = target.aggregate == AggregateUsage::Max;
        let value = match moved {
            0 if before <= on_target || (on_target > 0 && !is_max) => return,
            0 => before,
            _ if is_max => before.max(moved.saturating_add(on_target)),
            _ => moved.saturating_add(on_target),
        };
        let figure = Figure {
            is_pending: true,
            is_perpetual: target.is_perpetual(),
            was_billed: noted.is_some_and(|figure| figure.was_billed),
            ..self.figure(value)
        };
        transfer
            .figures
            .insert(Figure::key(feature), figure.to_string());
        let with_usage = removed.iter().filter(|item| used_of(item, used) > 0);
        let cleared = with_usage.map(|item| (item.id.clone(), item.price.id.clone()));
        transfer.cleared.extend(cleared);
    }
}

/// The start and end of the running period, in Unix seconds.
fn period(subscription: &Subscription) -> (i64, i64) {
    (
        subscription.current_period_start,
        subscription.current_period_end,
    )
}

/// Whether a change starts a new billing period: with another interval, or by beginning or ending a trial.
pub(super) fn starts_new_period(
    subscription: &Subscription,
    features: &[PricedFeature],
    trial: bool,
) -> bool {
    let every = |item: &SubscriptionItem| BillingTerms::of(&item.price).every;
    let before = subscription.items.first().map(every);
    let after = features
        .first()
        .map(|feature| feature.billing.every.clone());
    before != after || subscription.is_trialing() != trial
}

fn used_of(item: &SubscriptionItem, used: &UsedByItem) -> i64 {
    used.get(&item.id).copied().unwrap_or(0)
}

fn total(items: &[&SubscriptionItem], used: &UsedByItem) -> i64 {
    let each = items.iter().map(|item| used_of(item, used));
    each.fold(0, i64::saturating_add)
}

impl Domain {
    /// Computes the transfer of a change between plans on meters. Stripe bills a sum at its old price, so only levels
    /// are transferred.
    pub(super) async fn transfer_on_meters(
        &self,
        change: ItemChange<'_>,
    ) -> Result<Transfer, Failure> {
        let is_level = |item: &SubscriptionItem| item.price.is_level();
        let mut transfer = Transfer::default();
        if !change.removed().any(|(_, item)| is_level(item)) {
            return Ok(transfer);
        }
        let (used, _) = self.usage_on_meters(change.subscription).await?;
        let features: BTreeSet<FeatureName> = change.removed().map(|(name, _)| name).collect();
        for feature in features {
            let removed = change.removed().filter(|(name, _)| *name == feature);
            let removed: Vec<&SubscriptionItem> = removed.map(|(_, item)| item).collect();
            if let Some(target) = change.target(&feature)
                && change.transfers_level(target, &removed)
            {
                let nothing = Carried::default();
                change.transfer_level(&mut transfer, &feature, target, &removed, &used, &nothing);
            }
        }
        self.note_free_usage(&change, &used, &mut transfer).await?;
        Ok(transfer)
    }

    /// Computes the transfer of a change. Reads nothing if no metered item is removed.
    pub(super) async fn transfer(
        &self,
        customer: &str,
        change: ItemChange<'_>,
    ) -> Result<Transfer, Failure> {
        let subscription = change.subscription;
        let is_any_removed = change.removed().next().is_some();
        let has_noted = Figure::any(subscription) || change.free_usage_before().is_some();
        if !is_any_removed && !change.scheduled && !has_noted {
            return Ok(Transfer::default());
        }
        let lines = self
            .upcoming_lines(customer, Some(&subscription.id))
            .await?;
        let used = self.usage_of(customer, subscription, &lines).await;
        let used = used.map_err(Failure::of_item)?;
        let carried = self.carried(subscription).await?;
        let mut transfer = change.transfer(&used, &carried, &lines);
        if !change.ends_phase && !change.is_priced(&transfer, &used, &lines) {
            // In the next second the phase can end, and Stripe then bills the usage.
            let error = Error::Unavailable {
                reason: "an upcoming invoice of more than 100 lines; try again in a second".into(),
                source: None,
            };
            return Err(error.into());
        }
        self.note_free_usage(&change, &used, &mut transfer).await?;
        for (key, nothing) in Figure::outdated(subscription) {
            transfer.figures.entry(key).or_insert(nothing);
        }
        transfer.note_scheduled_changes(subscription);
        transfer.basis = Some(Basis {
            used,
            zero: change.figure(0),
        });
        Ok(transfer)
    }
}

//! What a change of plan now takes along of the usage of items that go.
//!
//! What was used of a `sum` is billed by the change, at the price it was used at; a figure of it goes into the metadata
//! of the phase that begins. A level (`max`, `last`, `perpetual`) is billed once, at the period's end, by the plan then
//! in force: the old item is emptied, and its value set on the item that takes its place. In between the figure says so,
//! so that whoever goes on after a break finds it.

mod late;
mod levels;
mod scheduled;

use std::collections::BTreeSet;

use super::charge::Charge;
use super::found::Found;
use crate::billing::{AggregateUsage, InvoiceLine, Metadata, Subscription, SubscriptionItem};
use crate::domain::catalog::{BillingTerms, PricedFeature};
use crate::domain::plan_change::{Action, Change};
use crate::domain::refs::FeatureName;
use crate::domain::usage::{Carried, Figure, SCHEDULED, SETTLED, Used};
use crate::domain::{Domain, Error, Failure};

/// What is taken along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Carry {
    /// For the metadata of the phase that begins.
    pub(super) figures: Metadata,
    /// Items whose level goes to another one: id and price.
    emptied: Vec<(String, String)>,
    /// What no phase's end bills: charged by itself.
    pub(super) charges: Vec<Charge>,
    /// What all this was worked out from.
    look: Option<Look>,
}

/// A look at what was used.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    used: Used,
    /// A figure of nothing.
    nothing: Figure,
}

/// A change now, as far as usage is concerned.
#[derive(Clone, Copy)]
pub(super) struct Move<'a> {
    pub(super) subscription: &'a Subscription,
    /// What is sold from now on.
    pub(super) features: &'a [PricedFeature],
    /// Whether the running phase ends: then Stripe bills the metered items that go. It does not where the phase is
    /// changed in place.
    pub(super) ends_phase: bool,
    /// Whether it begins a trial, or goes on with one.
    pub(super) trial: bool,
    /// Whether it was scheduled, and has been made already.
    pub(super) scheduled: bool,
    /// Unix seconds.
    pub(super) now: i64,
}

impl<'a> Move<'a> {
    /// What an action does now to the subscription that was found, if it does anything to its items.
    pub(super) fn of(change: Change<'a>, found: &'a Found, action: &Action) -> Option<Self> {
        let (Action::Replace(_, plan) | Action::Adopt(_, plan)) = action else {
            return None;
        };
        let first = change.asked.first()?;
        Some(Self {
            subscription: found.current.as_ref()?,
            features: &first.features,
            ends_phase: plan.begins? > 0,
            trial: first.trial,
            scheduled: false,
            now: change.now,
        })
    }

    /// The metered items that go, by feature.
    pub(super) fn going(&self) -> impl Iterator<Item = (FeatureName, &SubscriptionItem)> {
        let items = self.subscription.items.data.iter();
        items.filter_map(|item| {
            let goes = !self
                .features
                .iter()
                .any(|one| one.price_id == item.price.id);
            let name = item.price.feature_plan()?.feature();
            (item.price.is_metered() && goes).then_some((name, item))
        })
    }

    /// The item that usage of a feature is recorded on from now on, if it is metered.
    fn target(&self, feature: &FeatureName) -> Option<&PricedFeature> {
        let sold = self.features.iter();
        let sold = sold.filter(|one| one.metered && one.name.feature() == *feature);
        sold.min_by(|a, b| a.name.cmp(&b.name))
    }

    /// A figure of what was used until now. A trial is no interval of the plan, so nothing of it is kept for a return.
    fn figure(&self, n: i64) -> Figure {
        let subscription = self.subscription;
        let ends = if subscription.is_trialing() {
            self.now
        } else {
            subscription.current_period_end
        };
        Figure {
            n,
            period: (subscription.current_period_start, ends),
            as_of: self.now,
            open: false,
            ever: false,
            billed: false,
        }
    }

    /// What to take along, given what was `used` of each item, and what was `carried` before.
    fn carry(&self, used: &Used, carried: &Carried, lines: &[InvoiceLine]) -> Carry {
        let mut carry = Carry::default();
        let going = self.going().map(|(feature, _)| feature);
        let metered = self.features.iter().filter(|one| one.metered);
        let coming = metered.map(|one| one.name.feature());
        let known = carried.features().cloned();
        let features: BTreeSet<FeatureName> = going.chain(coming).chain(known).collect();
        for feature in features {
            let own = self.going().filter(|(name, _)| *name == feature);
            let going: Vec<&SubscriptionItem> = own.map(|(_, item)| item).collect();
            match self.target(&feature) {
                Some(target) if self.moves_level(target, &going) => {
                    self.carry_level(&mut carry, &feature, target, &going, used, carried);
                }
                _ => self.note(&mut carry, &feature, &going, used, carried),
            }
        }
        if !self.ends_phase {
            carry.charges = self.charges(&carry, used, lines);
        }
        carry
    }

    /// Whether a level goes from one item to another. In a new period only one that never starts again does.
    fn moves_level(&self, target: &PricedFeature, going: &[&SubscriptionItem]) -> bool {
        let levels = going.iter().all(|item| item.price.is_level());
        target.is_level()
            && levels
            && (target.is_perpetual() || !restarts(self.subscription, self.features, self.trial))
    }

    /// Notes what was used of a feature. The change bills it.
    fn note(
        &self,
        carry: &mut Carry,
        feature: &FeatureName,
        going: &[&SubscriptionItem],
        used: &Used,
        carried: &Carried,
    ) {
        let before = carried.before(feature);
        let n = before.n.saturating_add(self.kept(feature));
        let n = n.saturating_add(total(going, used));
        if n > 0 {
            // A scheduled change has taken the items away already.
            let has_gone = going.is_empty();
            let figure = Figure {
                ever: going.iter().any(|item| item.price.is_perpetual())
                    || (has_gone && before.is_perpetual),
                billed: going.iter().all(|item| item.price.is_level())
                    && (!has_gone || before.is_level),
                ..self.figure(n)
            };
            carry
                .figures
                .insert(Figure::key(feature), figure.to_string());
        }
    }

    /// What was used before a paid plan, of a plan without prices that is returned to within the period that it had.
    fn kept(&self, feature: &FeatureName) -> i64 {
        let free = self.features.iter().all(|one| one.free);
        let figure = Figure::of(self.subscription, feature);
        let started = self.subscription.current_period_start;
        let kept = figure.filter(|figure| {
            free && !figure.ever && figure.period.0 < started && self.now < figure.period.1
        });
        kept.map_or(0, |figure| figure.n)
    }

    fn carry_level(
        &self,
        carry: &mut Carry,
        feature: &FeatureName,
        target: &PricedFeature,
        going: &[&SubscriptionItem],
        used: &Used,
        carried: &Carried,
    ) {
        let noted = Figure::of(self.subscription, feature);
        let noted = noted.filter(|figure| figure.counts(self.subscription));
        let is_taken_along = |figure: &Figure| figure.open || figure.ever || figure.billed;
        let before = match noted.filter(is_taken_along) {
            Some(figure) if !self.scheduled => figure.n,
            _ if target.is_perpetual() || self.scheduled => carried.get(feature),
            _ => 0,
        };
        let before = before.max(self.kept(feature));
        let items = self.subscription.items.data.iter();
        let stays: Vec<_> = items
            .filter(|item| item.price.id == target.price_id)
            .collect();
        let own = total(&stays, used);
        let moved = total(going, used);
        // What is on an item is newer than what was before, which matters unless it is a maximum.
        let is_max = target.aggregate == AggregateUsage::Max;
        let value = match moved {
            0 if before <= own || (own > 0 && !is_max) => return,
            0 => before,
            _ if is_max => before.max(moved.saturating_add(own)),
            _ => moved.saturating_add(own),
        };
        let figure = Figure {
            open: true,
            ever: target.is_perpetual(),
            billed: noted.is_some_and(|figure| figure.billed),
            ..self.figure(value)
        };
        carry
            .figures
            .insert(Figure::key(feature), figure.to_string());
        let filled = going.iter().filter(|item| used_of(item, used) > 0);
        let filled = filled.map(|item| (item.id.clone(), item.price.id.clone()));
        carry.emptied.extend(filled);
    }

    /// Whether Stripe has told what it would invoice for all usage of the items that go and are not emptied.
    fn is_priced(&self, carry: &Carry, used: &Used, lines: &[InvoiceLine]) -> bool {
        self.going().all(|(_, item)| {
            let mut own = lines.iter();
            let emptied = carry.emptied.iter().any(|(id, _)| *id == item.id);
            emptied
                || used_of(item, used) == 0
                || own.any(|line| line.subscription_item.as_ref() == Some(&item.id))
        })
    }

    /// What Stripe would have invoiced for usage of the items that go and are not emptied.
    fn charges(&self, carry: &Carry, used: &Used, lines: &[InvoiceLine]) -> Vec<Charge> {
        let emptied = |item: &SubscriptionItem| carry.emptied.iter().any(|(id, _)| *id == item.id);
        let charge = |(_, item): (FeatureName, &SubscriptionItem)| {
            let used = used_of(item, used);
            let own = |line: &&InvoiceLine| {
                line.subscription_item.as_ref() == Some(&item.id) && !line.proration
            };
            let own = lines.iter().filter(own).map(|line| line.amount);
            let amount = own.fold(0, i64::saturating_add);
            let feature = item.price.feature_plan()?.to_string();
            (used > 0 && amount > 0 && !emptied(item)).then(|| Charge {
                amount,
                currency: item.price.currency.clone(),
                used,
                as_of: self.now,
                feature,
            })
        };
        self.going().filter_map(charge).collect()
    }
}

/// Whether a period begins with a change: with another interval, or with the beginning or end of a trial.
pub(super) fn restarts(
    subscription: &Subscription,
    features: &[PricedFeature],
    trial: bool,
) -> bool {
    let every = |item: &SubscriptionItem| BillingTerms::of(&item.price).every;
    let before = subscription.items.data.first().map(every);
    let after = features.first().map(|one| one.billing.every.clone());
    before != after || subscription.is_trialing() != trial
}

fn used_of(item: &SubscriptionItem, used: &Used) -> i64 {
    used.get(&item.id).copied().unwrap_or(0)
}

fn total(items: &[&SubscriptionItem], used: &Used) -> i64 {
    let each = items.iter().map(|item| used_of(item, used));
    each.fold(0, i64::saturating_add)
}

impl Domain {
    /// Works out what a change now takes along. Nothing is read if no metered item goes.
    pub(super) async fn carry(&self, customer: &str, change: Move<'_>) -> Result<Carry, Failure> {
        let subscription = change.subscription;
        let going = change.going().next().is_some();
        if !going && !change.scheduled && !Figure::any(subscription) {
            return Ok(Carry::default());
        }
        let lines = self
            .upcoming_lines(customer, Some(&subscription.id))
            .await?;
        let used = self.usage_of(customer, subscription, &lines).await;
        let used = used.map_err(Failure::of_item)?;
        let carried = self.carried(subscription).await?;
        let mut carry = change.carry(&used, &carried, &lines);
        if !change.ends_phase && !change.is_priced(&carry, &used, &lines) {
            // In the next second the phase ends, and Stripe bills it.
            let error = Error::Unavailable {
                reason: "an upcoming invoice of more than 100 lines; try again in a second".into(),
                source: None,
            };
            return Err(error.into());
        }
        carry.look = Some(Look {
            used,
            nothing: change.figure(0),
        });
        for (key, nothing) in Figure::outdated(subscription, change.now) {
            carry.figures.entry(key).or_insert(nothing);
        }
        if let Some(last) = subscription.scheduled_changes().into_iter().max() {
            carry.figures.insert(SCHEDULED.to_owned(), String::new());
            carry.figures.insert(SETTLED.to_owned(), last.to_string());
        }
        Ok(carry)
    }
}

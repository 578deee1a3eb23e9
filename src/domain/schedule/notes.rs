//! What a change leaves to be done after it: charges, levels, unused time that nobody has paid for.
//!
//! The change itself notes it in the subscription's metadata, in the same call. So it is done however often this
//! process, or Stripe, fails in between: first by the request that made the change, and else before the next change or
//! after the next read, whichever comes first. Each part can be repeated, and has its effect once.

use std::collections::BTreeSet;

use super::charge::Charge;
use super::found::Found;
use super::unpaid::{ENDS, GivenBack, UNPAID};
use crate::billing::{Metadata, NewPhase, Subscription, SubscriptionUpdate};
use crate::domain::plan_change::ResolvedPhase;
use crate::domain::request_key::KEYS;
use crate::domain::revision::{REVISION, Revision};
use crate::domain::subscription::MARK;
use crate::domain::usage::{Figure, SCHEDULED, SETTLED};
use crate::domain::{Domain, Error, Failure, Result};

/// How many pairs Stripe keeps on an object.
const MOST_PAIRS: usize = 50;

/// What a change, or what follows from it, may note beside a figure for each metered feature.
const NOTES: [&str; 7] = [MARK.0, REVISION, KEYS, SCHEDULED, SETTLED, UNPAID, ENDS];

/// Makes sure that a subscription has room for what a change to `asked` may have to note: Stripe drops, or refuses, what
/// is beyond that.
pub(super) fn check_room(
    subscription: &Subscription,
    asked: &[ResolvedPhase],
    phases: &[NewPhase],
) -> Result<()> {
    let items = subscription.items.data.iter();
    let metered = items.filter(|item| item.price.is_metered());
    let held = metered.filter_map(|item| Some(item.price.feature_plan()?.feature()));
    let asked = asked.iter().flat_map(|phase| &phase.features);
    let asked = asked
        .filter(|one| one.metered)
        .map(|one| one.name.feature());
    let figures = held.chain(asked).map(|feature| Figure::key(&feature));
    let planned = phases.iter().flat_map(|phase| phase.metadata.keys());
    let mut keys: BTreeSet<String> = figures.collect();
    keys.extend(NOTES.map(str::to_owned));
    keys.extend(planned.cloned());
    let ours = keys.len();
    keys.extend(pairs(subscription).cloned());
    if keys.len() <= MOST_PAIRS {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "the subscription's metadata is too full for this change: Stripe keeps {MOST_PAIRS} pairs, and Tier needs up to \
         {ours} of them; remove {} of the others in Stripe",
        keys.len() - MOST_PAIRS
    )))
}

/// Whether one more pair fits.
pub(super) fn has_room(subscription: &Subscription) -> bool {
    pairs(subscription).count() < MOST_PAIRS
}

fn pairs(subscription: &Subscription) -> impl Iterator<Item = &String> {
    let pairs = subscription.metadata.iter();
    pairs
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, _)| key)
}

impl Subscription {
    /// Whether a change, made or scheduled, has left something to be done.
    pub(in crate::domain) fn is_unsettled(&self) -> bool {
        let over = self.ended_at.is_some();
        Charge::noted(self).next().is_some()
            || GivenBack::noted(self).is_some()
            || (!over && !self.scheduled_changes().is_empty())
            || (!over && !Figure::open_levels(self).is_empty())
    }
}

impl Domain {
    /// Does what earlier changes have left to be done.
    pub(in crate::domain) async fn settle_changes(
        &self,
        customer: &str,
        found: &Found,
        revision: &Revision,
    ) -> Result<(), Failure> {
        for subscription in found.ended_unsettled.iter().chain(&found.current) {
            self.settle_subscription(customer, subscription, revision)
                .await?;
        }
        Ok(())
    }

    /// Likewise, for one subscription.
    pub(super) async fn settle_subscription(
        &self,
        customer: &str,
        subscription: &Subscription,
        revision: &Revision,
    ) -> Result<(), Failure> {
        if !subscription.is_unsettled() {
            return Ok(());
        }
        let noted = self
            .note_scheduled_change(customer, subscription, revision)
            .await?;
        let subscription = noted.as_ref().unwrap_or(subscription);
        self.settle_notes(customer, subscription, false, revision)
            .await
    }

    /// Does what is noted on a subscription, and removes the notes. `fresh`: the change was made by this request, so that
    /// nobody can have begun with it before.
    pub(super) async fn settle_notes(
        &self,
        customer: &str,
        subscription: &Subscription,
        fresh: bool,
        revision: &Revision,
    ) -> Result<(), Failure> {
        let mut done = Metadata::new();
        if Figure::open_levels(subscription)
            .values()
            .any(|figure| figure.billed)
        {
            let since = subscription.current_period_start;
            self.give_levels_back(customer, subscription, since, revision)
                .await?;
        }
        self.set_levels(subscription, fresh, revision, &mut done)
            .await?;
        self.charge_noted(customer, subscription, fresh, revision, &mut done)
            .await?;
        self.settle_unpaid(customer, subscription, fresh, revision, &mut done)
            .await?;
        if done.is_empty() {
            return Ok(());
        }
        let step = format!("settled:{}", subscription.id);
        self.note_on(&subscription.id, done, &step, revision).await
    }

    /// Writes to a subscription's metadata, as one step of a decision.
    pub(super) async fn note_on(
        &self,
        subscription: &str,
        metadata: Metadata,
        step: &str,
        revision: &Revision,
    ) -> Result<(), Failure> {
        let update = SubscriptionUpdate {
            metadata,
            ..SubscriptionUpdate::default()
        };
        let note = self.billing().update_subscription(subscription, &update);
        self.decided(revision.write(step, note.unread())).await?;
        Ok(())
    }
}

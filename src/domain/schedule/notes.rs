//! Notes of the work that remains after a change: charges, levels, and credits for unused time.
//!
//! The call that makes the change also writes the notes to the subscription's metadata, so the work is done even if
//! this process or Stripe fails in between. The request that made the change does it, or else the next change or read
//! of the org. Each step can be repeated and takes effect once.

use std::collections::BTreeSet;

use super::customer_state::CustomerState;
use super::proration::{PLANNED_END, UNUSED_TIME, UnusedTime};
use super::successor::{LINK, SUCCESSION};
use super::usage_charge::UsageCharge;
use crate::billing::{Metadata, NewPhase, Subscription, SubscriptionUpdate};
use crate::domain::generation::GENERATION;
use crate::domain::migration::MIGRATIONS;
use crate::domain::org::ResolvedOrg;
use crate::domain::plan_change::ResolvedPhase;
use crate::domain::request_key::KEYS;
use crate::domain::revision::{REVISION, Revision};
use crate::domain::subscription::MARK;
use crate::domain::usage::{FREE_USAGE, Figure, SCHEDULED, SETTLED};
use crate::domain::{Domain, Error, Failure, Result};

/// How many metadata pairs Stripe keeps on an object.
const MAX_PAIRS: usize = 50;

/// The keys that a change may write, besides one figure for each metered feature.
const NOTE_KEYS: [&str; 12] = [
    MARK.0,
    GENERATION,
    REVISION,
    KEYS,
    MIGRATIONS,
    SCHEDULED,
    SETTLED,
    FREE_USAGE,
    UNUSED_TIME,
    PLANNED_END,
    SUCCESSION,
    LINK,
];

/// Checks that the subscription's metadata has room for everything that a change to `requested` may note. Stripe drops
/// or refuses pairs that do not fit.
pub(super) fn check_metadata_room(
    subscription: &Subscription,
    requested: &[ResolvedPhase],
    phases: &[NewPhase],
) -> Result<()> {
    let items = subscription.items.iter();
    let metered = items.filter(|item| item.price.is_metered());
    let current = metered.filter_map(|item| Some(item.price.feature_plan()?.feature()));
    let requested = requested.iter().flat_map(|phase| &phase.features);
    let requested = requested
        .filter(|feature| feature.metered)
        .map(|feature| feature.name.feature());
    let figures = current
        .chain(requested)
        .map(|feature| Figure::key(&feature));
    let planned = phases.iter().flat_map(|phase| phase.metadata.keys());
    let mut keys: BTreeSet<String> = figures.collect();
    keys.extend(NOTE_KEYS.map(str::to_owned));
    keys.extend(planned.cloned());
    let tier_keys = keys.len();
    keys.extend(pairs(subscription).cloned());
    if keys.len() <= MAX_PAIRS {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "the subscription's metadata is too full for this change: Stripe keeps {MAX_PAIRS} pairs, and Tier needs up to \
         {tier_keys} of them; remove {} of the others in Stripe",
        keys.len() - MAX_PAIRS
    )))
}

/// Whether one more pair fits.
pub(super) fn has_metadata_room(subscription: &Subscription) -> bool {
    pairs(subscription).count() < MAX_PAIRS
}

fn pairs(subscription: &Subscription) -> impl Iterator<Item = &String> {
    let pairs = subscription.metadata.iter();
    pairs
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, _)| key)
}

impl Subscription {
    /// Whether a change by Tier or by a schedule still has something to settle.
    pub(in crate::domain) fn is_unsettled(&self) -> bool {
        let is_over = self.ended_at.is_some();
        UsageCharge::noted(self).next().is_some()
            || UnusedTime::noted(self).is_some()
            || (!is_over && !self.scheduled_changes().is_empty())
            || (!is_over && !Figure::pending_levels(self).is_empty())
            || (self.may_have_lost_credit() && has_metadata_room(self))
            || self.has_open_succession()
            || self.predecessor().is_some()
    }
}

impl Domain {
    /// Completes earlier changes.
    pub(in crate::domain) async fn settle_changes(
        &self,
        org: &ResolvedOrg,
        state: &CustomerState,
        revision: &Revision,
    ) -> Result<(), Failure> {
        for subscription in state.ended_unsettled.iter().chain(&state.current) {
            self.settle_subscription(org, subscription, revision)
                .await?;
        }
        let Some(current) = &state.current else {
            self.cancel_obsolete(state).await?;
            return Ok(());
        };
        if current.has_open_succession() {
            self.settle_abandoned_succession(state).await?;
        }
        if current.predecessor().is_some() {
            self.take_over_levels(org, current, revision).await?;
        }
        Ok(())
    }

    /// Completes earlier changes of one subscription.
    pub(super) async fn settle_subscription(
        &self,
        org: &ResolvedOrg,
        subscription: &Subscription,
        revision: &Revision,
    ) -> Result<(), Failure> {
        if !subscription.is_unsettled() {
            return Ok(());
        }
        let noted = self
            .note_scheduled_change(&org.customer, subscription, revision)
            .await?;
        let subscription = noted.as_ref().unwrap_or(subscription);
        self.settle_notes(org, subscription, false, revision).await
    }

    /// Settles the notes on a subscription, and removes them. `just_made` means that this request has just made the
    /// change, so no other request can have begun to settle it.
    pub(super) async fn settle_notes(
        &self,
        org: &ResolvedOrg,
        subscription: &Subscription,
        just_made: bool,
        revision: &Revision,
    ) -> Result<(), Failure> {
        let mut done = Metadata::new();
        if Figure::pending_levels(subscription)
            .values()
            .any(|figure| figure.was_billed)
        {
            let since = subscription.current_period_start;
            self.credit_levels(&org.customer, subscription, since, revision)
                .await?;
        }
        self.set_levels(org, subscription, just_made, revision, &mut done)
            .await?;
        self.charge_noted(&org.customer, subscription, just_made, revision, &mut done)
            .await?;
        // A lost credit must not be charged back.
        let is_credit_settled = !subscription.may_have_lost_credit()
            || self
                .restore_last_credit(&org.customer, subscription, &mut done)
                .await?;
        if is_credit_settled {
            self.settle_noted_time(&org.customer, subscription, just_made, revision, &mut done)
                .await?;
        }
        if done.is_empty() {
            return Ok(());
        }
        // One decision may settle a subscription twice: before and after it ends it.
        let is_over = subscription.ended_at.is_some();
        let step = if is_over { "ended" } else { "settled" };
        let step = format!("{step}:{}", subscription.id);
        match self.note_on(&subscription.id, done, &step, revision).await {
            Err(Failure::Stripe(error)) if is_over && error.is_invalid_request() => {
                // An error would block all other requests of the org.
                tracing::warn!(%error, subscription = subscription.id, "cannot note what was settled of an ended subscription");
                Ok(())
            }
            noted => noted,
        }
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
        self.send_step(revision.step(step, note.ignore_answer()))
            .await?;
        Ok(())
    }
}

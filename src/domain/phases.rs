//! `phase` and `phases`: an org's subscription as a sequence of phases.

mod cached;
mod history;
mod sources;

use super::billing_cycle::BillingPeriod;
use super::catalog::Catalog;
use super::entitlement::Answered;
use super::org::ResolvedOrg;
use super::plan_change::CurrentState;
use super::refs::{FeaturePlan, OrgName, PlanName};
use super::subscription::Detail;
use super::{Domain, Error, Result};
use crate::billing::{Coupon, Schedule, Subscription};

pub(super) use cached::CachedPhase;

use history::{needs_past, of_subscription};
use sources::{of_dates, of_schedule};

/// A past, current or future phase of an org.
#[derive(Clone, Debug)]
pub struct Phase {
    /// The granted features, sorted. None: the subscription is over.
    pub features: Vec<FeaturePlan>,
    /// The plans whose features are all in the phase, sorted.
    pub plans: Vec<PlanName>,
    /// The features that belong to no whole plan, sorted.
    pub fragments: Vec<FeaturePlan>,
    /// Whether it is a trial.
    pub trial: bool,
    /// Its coupon.
    pub coupon: Option<Coupon>,
    /// When it begins, in Unix seconds.
    pub effective: i64,
    /// When it ends, in Unix seconds. None: not planned.
    pub end: Option<i64>,
    /// The subscription's current billing period.
    pub current_period: Option<BillingPeriod>,
    /// Whether Stripe computes tax.
    pub automatic_tax: bool,
}

/// The phases of an org.
#[derive(Clone, Debug, Default)]
pub struct Phases {
    /// The current billing period. None without a subscription.
    pub current_period: Option<BillingPeriod>,
    /// In order of time.
    pub phases: Vec<Phase>,
    /// The index of the current phase.
    pub current_index: Option<usize>,
    /// When the last subscription ended, if none follows it. Unix seconds.
    pub ended: Option<i64>,
}

impl Domain {
    /// The current phase, or [`Error::NoPhase`] if there is none, which is cached too.
    ///
    /// # Errors
    /// If Stripe cannot be read, and nothing is cached.
    pub async fn phase(&self, org: &OrgName) -> Result<Answered<Result<Phase>>> {
        let known = self.entitlement::<CachedPhase>(org).await?;
        Ok(known.map(|cached| cached.phase().ok_or(Error::NoPhase)))
    }

    /// All phases: past ones as far back as Stripe keeps them, the current one, and future ones.
    pub async fn phases(&self, org: &OrgName) -> Result<Phases> {
        Ok(self.timeline(org, Detail::History).await?.0)
    }

    /// The phases of the org's subscription, and the subscription itself.
    async fn timeline(
        &self,
        org: &OrgName,
        detail: Detail,
    ) -> Result<(Phases, Option<Subscription>)> {
        let mut org = self.resolve_org(org).await?;
        loop {
            match self.timeline_of(&org, detail).await {
                Ok(timeline) => return Ok(timeline),
                Err(error) => org = self.resolve_again(&org, error).await?,
            }
        }
    }

    async fn timeline_of(
        &self,
        org: &ResolvedOrg,
        detail: Detail,
    ) -> Result<(Phases, Option<Subscription>)> {
        let customer = &org.customer;
        let (found, catalog) =
            tokio::try_join!(self.subscriptions(customer, detail), self.catalog())?;
        self.settle_in_background(org, &found).await;
        let mut ended = found.ended.iter();
        let subscription = found.current.as_ref().or_else(|| ended.next());
        let schedules = if detail == Detail::History || subscription.is_some_and(needs_past) {
            self.schedules(customer).await?
        } else {
            Vec::new()
        };
        let mut timeline = match subscription {
            Some(subscription) => of_subscription(subscription, &schedules, &catalog),
            None => Phases::default(),
        };
        if detail == Detail::History {
            let earlier = found.superseded.iter().chain(ended);
            for earlier in earlier.filter(|subscription| subscription.has_ever_granted()) {
                timeline.precede(of_subscription(earlier, &schedules, &catalog));
            }
        }
        if let (Some(current), Detail::History) = (&found.current, detail) {
            let mut schedules = schedules.iter();
            if let Some(successor) = schedules.find(|schedule| current.is_followed_by(schedule)) {
                replace_end(&mut timeline.phases, successor, &catalog);
            }
        }
        if found.current.is_none() && detail == Detail::History {
            let mut not_started = schedules
                .iter()
                .filter(|schedule| schedule.is_not_started());
            let first = not_started.next();
            let to_come = first.map(|schedule| of_schedule(schedule, &catalog, false).phases);
            match to_come {
                Some(to_come) => timeline.follow(to_come),
                None => timeline.ended = subscription.and_then(|last| last.ended_at),
            }
        }
        for phase in &mut timeline.phases {
            (phase.plans, phase.fragments) = catalog.cover(&phase.features);
            phase.current_period = timeline.current_period;
        }
        Ok((timeline, found.current))
    }
}

/// The phases that an org has from `now` on, including the end of its subscription.
pub(super) fn phases_to_come(state: CurrentState<'_>, catalog: &Catalog, now: i64) -> Vec<Phase> {
    let mut phases = match state {
        CurrentState::Nothing => Vec::new(),
        CurrentState::NotStarted(schedule) => of_schedule(schedule, catalog, false).phases,
        CurrentState::Subscribed(subscription) => {
            let trialing = subscription.is_trialing();
            match subscription.active_schedule() {
                Some(schedule) => of_schedule(schedule, catalog, trialing).phases,
                None => of_dates(subscription, trialing).phases,
            }
        }
    };
    phases.retain(|phase| phase.effective > now);
    phases
}

/// Replaces the end of a subscription with the phases of its successor.
pub(super) fn replace_end(phases: &mut Vec<Phase>, successor: &Schedule, catalog: &Catalog) {
    let to_come = to_come(successor, catalog);
    let starts = to_come.first().map(|first| first.effective);
    phases.pop_if(|last| last.features.is_empty() && Some(last.effective) == starts);
    phases.extend(to_come);
}

/// The current phase of a subscription, and the future ones.
pub(super) fn current_and_future(subscription: &Subscription, catalog: &Catalog) -> Vec<Phase> {
    let trialing = subscription.is_trialing();
    let planned = match subscription.active_schedule() {
        Some(schedule) => of_schedule(schedule, catalog, trialing),
        None => of_dates(subscription, trialing),
    };
    let mut phases = planned.phases;
    phases.drain(..planned.current_index.unwrap_or(0));
    phases
}

/// The phases of a schedule that has not started.
pub(super) fn to_come(schedule: &Schedule, catalog: &Catalog) -> Vec<Phase> {
    of_schedule(schedule, catalog, false).phases
}

impl Phases {
    /// Adds the phases of an earlier subscription, up to the start of these.
    fn precede(&mut self, earlier: Phases) {
        let Some(begins) = self.phases.first().map(|first| first.effective) else {
            return;
        };
        let mut earlier = earlier.phases;
        earlier.retain(|phase| phase.effective < begins);
        if let Some(last) = earlier.last_mut() {
            last.end = Some(begins);
        }
        self.current_index = self.current_index.map(|index| index + earlier.len());
        self.phases.splice(..0, earlier);
    }

    /// Adds future phases, which begin after all of these.
    fn follow(&mut self, to_come: Vec<Phase>) {
        if let (Some(last), Some(first)) = (self.phases.last_mut(), to_come.first()) {
            last.end = Some(first.effective);
        }
        self.phases.extend(to_come);
    }
}

//! `phase` and `phases`: an org's subscription as a sequence of phases.

mod history;
mod in_force;
mod sources;

use chrono::{DateTime, Datelike as _, Months, Utc};

use super::catalog::Catalog;
use super::entitlement::Answered;
use super::org::ResolvedOrg;
use super::plan_change::CurrentState;
use super::refs::{FeaturePlan, OrgName, PlanName};
use super::subscription::Detail;
use super::{Domain, Error, Result};
use crate::billing::{Coupon, Schedule, Subscription};

pub(super) use in_force::InForce;

use history::{needs_past, of_subscription};
use sources::{of_dates, of_schedule};

/// From a second (included) to a second (excluded), in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// When it begins.
    pub effective: i64,
    /// When it ends.
    pub end: i64,
}

impl Span {
    /// The period of the same length that is running `now`, in Unix seconds. Months have their calendar length.
    fn at(self, now: i64) -> Self {
        let mut span = self;
        while span.end <= now && span.effective < span.end {
            let end = span.next_end();
            span = Self {
                effective: span.end,
                end,
            };
        }
        span
    }

    fn next_end(self) -> i64 {
        let fixed = self.end + (self.end - self.effective);
        let date = |unix| DateTime::from_timestamp(unix, 0);
        let (Some(start), Some(end)) = (date(self.effective), date(self.end)) else {
            return fixed;
        };
        let month = |date: DateTime<Utc>| date.year() * 12 + date.month0().cast_signed();
        let months = Months::new(u32::try_from(month(end) - month(start)).unwrap_or(0));
        if months == Months::new(0) || start.checked_add_months(months) != Some(end) {
            return fixed;
        }
        let next = end.checked_add_months(months);
        next.map_or(fixed, |next| next.timestamp())
    }
}

/// What an org has, had or will have for some time.
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
    /// The coupon in force.
    pub coupon: Option<Coupon>,
    /// When it begins, in Unix seconds.
    pub effective: i64,
    /// When it ends, in Unix seconds. None: not planned.
    pub end: Option<i64>,
    /// The current billing period.
    pub current: Option<Span>,
    /// Whether Stripe computes tax.
    pub automatic_tax: bool,
}

/// All phases that Stripe knows of.
#[derive(Clone, Debug, Default)]
pub struct Phases {
    /// The current billing period. None without a subscription.
    pub current: Option<Span>,
    /// In order of time.
    pub phases: Vec<Phase>,
    /// The index of the phase in force.
    pub in_force: Option<usize>,
    /// When the last subscription ended, if none follows it. Unix seconds.
    pub ended: Option<i64>,
}

impl Domain {
    /// The phase in force, or [`Error::NoPhase`] if there is none. The absence of a phase is a cached answer too.
    ///
    /// # Errors
    /// If neither is known.
    pub async fn phase(&self, org: &OrgName) -> Result<Answered<Result<Phase>>> {
        let known = self.entitlement::<InForce>(org).await?;
        Ok(known.map(|in_force| in_force.phase().ok_or(Error::NoPhase)))
    }

    /// All phases: past ones as far back as Stripe keeps them, the one in force, and future ones.
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
            for earlier in earlier.filter(|one| one.has_ever_granted()) {
                timeline.precede(of_subscription(earlier, &schedules, &catalog));
            }
        }
        if let (Some(current), Detail::History) = (&found.current, detail) {
            let mut schedules = schedules.iter();
            if let Some(successor) = schedules.find(|schedule| current.is_followed_by(schedule)) {
                followed_by(&mut timeline.phases, successor, &catalog);
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
            phase.current = timeline.current;
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

/// Replaces the end of a subscription by the phases of the schedule that follows it.
pub(super) fn followed_by(phases: &mut Vec<Phase>, successor: &Schedule, catalog: &Catalog) {
    let to_come = to_come(successor, catalog);
    let starts = to_come.first().map(|first| first.effective);
    phases.pop_if(|last| last.features.is_empty() && Some(last.effective) == starts);
    phases.extend(to_come);
}

/// The phase in force of a subscription, and those to come.
pub(super) fn from_now_on(subscription: &Subscription, catalog: &Catalog) -> Vec<Phase> {
    let trialing = subscription.is_trialing();
    let planned = match subscription.active_schedule() {
        Some(schedule) => of_schedule(schedule, catalog, trialing),
        None => of_dates(subscription, trialing),
    };
    let mut phases = planned.phases;
    phases.drain(..planned.in_force.unwrap_or(0));
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
        self.in_force = self.in_force.map(|index| index + earlier.len());
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

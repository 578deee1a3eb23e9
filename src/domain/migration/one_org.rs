//! Moves one org, once.

use super::course::{Course, Stretch};
use super::progress::Outcome;
use super::record::Record;
use super::targets::Target;
use super::{MigrateAt, Terms, noted_with};
use crate::billing::{Schedule, Subscription, SubscriptionStatus};
use crate::domain::org::ResolvedOrg;
use crate::domain::phases::{followed_by, from_now_on, to_come};
use crate::domain::plan_change::{CurrentPlan, CurrentState, PlanChange, ResolvedPhase, normalise};
use crate::domain::refs::Reference;
use crate::domain::revision::Decisions;
use crate::domain::schedule::{CustomerState, MAX_SETTLEMENTS, check_generations};
use crate::domain::{CallerState, Domain, Error, Lane, Result};

impl Domain {
    /// Moves one org, as `subscribe` would, with the migration's mark.
    pub(super) async fn move_org(
        &self,
        target: &Target,
        record: &Record,
        terms: &Terms,
    ) -> Result<Outcome> {
        let org = &target.org;
        // It has its own caller state, which records whether anything was written.
        let domain = Self {
            stripe: self.stripe.for_caller(Lane::Bulk, CallerState::new()),
            ..self.clone()
        };
        let shared = domain.shared().await?;
        let lock = domain.hold_org(org).await?;
        let _reports = domain.hold_reports(org, &lock).await?;
        let _changing = domain.changing(&shared, org);
        let mut resolved = domain.resolve_target(target).await?;
        loop {
            match domain.exchange_plan(&resolved, record, terms).await {
                Err(error) => resolved = domain.resolve_again(&resolved, error).await?,
                Ok(outcome) => return Ok(outcome),
            }
        }
    }

    pub(super) async fn resolve_target(&self, target: &Target) -> Result<ResolvedOrg> {
        match &target.customer {
            Some(customer) => Ok(ResolvedOrg::new(&target.org, customer.clone())),
            None => self.resolve_org(&target.org).await,
        }
    }

    async fn exchange_plan(
        &self,
        org: &ResolvedOrg,
        record: &Record,
        terms: &Terms,
    ) -> Result<Outcome> {
        let mut decisions = Decisions::new(&org.customer);
        let mut settlements = 0;
        let mut is_made = false;
        loop {
            let state = self.read_customer_state(&org.customer).await?;
            let mut revision = decisions.at(state.revision);
            if settlements < MAX_SETTLEMENTS && state.is_unsettled() {
                match self.settle_changes(org, &state, &revision).await {
                    Ok(()) => settlements += 1,
                    Err(failure) => self.wait_before_retry(&mut decisions, failure).await?,
                }
                continue;
            }
            if state.migrations.contains(&record.id) {
                self.complete_repeated(&state).await?;
                return Ok(if is_made {
                    Outcome::Moved
                } else {
                    Outcome::MovedBefore
                });
            }
            let now = self.at_stripe(self.now().await?);
            let Some((requested, _)) = self
                .requested_phases(&state, record.request.at, terms, now)
                .await?
            else {
                return Ok(Outcome::NotOnPlan);
            };
            let change = PlanChange {
                requested: &requested,
                automatic_tax: None,
                payment_method: None,
                appends: false,
                unmetered: None,
                now,
            };
            revision.set_migrations(noted_with(&state.migrations, &record.id));
            match self
                .write_change(org, change, &state, &revision, &mut is_made)
                .await
            {
                Ok(()) => return Ok(Outcome::Moved),
                Err(failure) => self.wait_before_retry(&mut decisions, failure).await?,
            }
        }
    }

    /// The phases to request, after the same checks as in `subscribe`. None if the org does not have the plan.
    pub(super) async fn requested_phases(
        &self,
        state: &CustomerState,
        at: MigrateAt,
        terms: &Terms,
        now: i64,
    ) -> Result<Option<(Vec<ResolvedPhase>, Course)>> {
        let Some(course) = terms.course(state, at, now)? else {
            return Ok(None);
        };
        for phase in &course.phases {
            if let Some(feature) = terms.swap.irreplaceable_of(&phase.features).next() {
                return Err(Error::Invalid(format!(
                    "the org has {feature}, whose plan is archived and stays with usage records: move its orgs to \
                     another plan, or put it back on sale"
                )));
            }
        }
        let requested: Vec<ResolvedPhase> = course
            .phases
            .iter()
            .map(|phase| terms.resolve(phase))
            .collect::<Result<_>>()?;
        let requested = normalise(requested, now)?;
        check_generations(state, &requested)?;
        let current_plan = CurrentPlan::of(state.current_state(), now);
        for phase in &requested {
            current_plan.check(&phase.features)?;
        }
        self.check_coupons(&requested, &current_plan).await?;
        Ok(Some((requested, course)))
    }
}

impl Terms {
    /// The change of the org's phases. None if nothing changes.
    fn course(&self, state: &CustomerState, at: MigrateAt, now: i64) -> Result<Option<Course>> {
        let course = match state.current_state() {
            CurrentState::Nothing => None,
            CurrentState::NotStarted(schedule) => self.course_of_waiting(schedule, at, now),
            CurrentState::Subscribed(current) => {
                self.course_of_subscribed(current, state.successor(), at, now)
            }
        };
        let current = state.current.as_ref();
        let is_pending = current.is_some_and(|one| one.status == SubscriptionStatus::Incomplete);
        if course.is_some() && is_pending {
            return Err(Error::Invalid(
                "the first payment of the org's subscription is pending".into(),
            ));
        }
        Ok(course)
    }

    /// The change of the phases of a schedule that has not started.
    pub(super) fn course_of_waiting(
        &self,
        schedule: &Schedule,
        at: MigrateAt,
        now: i64,
    ) -> Option<Course> {
        let phases = Stretch::all(to_come(schedule, &self.catalog), false);
        self.swap.course(&phases, at.resolve(now, now), now)
    }

    /// The change of a subscription's current and future phases.
    pub(super) fn course_of_subscribed(
        &self,
        subscription: &Subscription,
        successor: Option<&Schedule>,
        at: MigrateAt,
        now: i64,
    ) -> Option<Course> {
        let mut phases = from_now_on(subscription, &self.catalog);
        if let Some(successor) = successor {
            followed_by(&mut phases, successor, &self.catalog);
        }
        let phases = Stretch::all(phases, true);
        let first = phases.first();
        let has_plan = first.is_some_and(|first| self.swap.applies_to(&first.features));
        // A future phase has no billing period to wait for.
        let period_end = if has_plan {
            subscription.current_period_end
        } else {
            now
        };
        self.swap.course(&phases, at.resolve(now, period_end), now)
    }

    pub(super) fn resolve(&self, phase: &Stretch) -> Result<ResolvedPhase> {
        let features = phase.features.iter().cloned();
        let features: Vec<Reference> = features.map(Reference::Feature).collect();
        Ok(ResolvedPhase {
            effective: phase.start,
            trial: phase.trial,
            features: self.catalog.expand(&features)?,
            coupon: phase.coupon.clone(),
        })
    }
}

//! Moves one org, once.

use super::phase_change::{OrgPhase, PhaseChange};
use super::progress::Outcome;
use super::record::MigrationRecord;
use super::targets::Target;
use super::{MigrateAt, ResolvedExchange, migrations_with};
use crate::billing::{Schedule, Subscription, SubscriptionStatus};
use crate::domain::org::ResolvedOrg;
use crate::domain::phases::{current_and_future, replace_end, to_come};
use crate::domain::plan_change::{CurrentPlan, CurrentState, PlanChange, ResolvedPhase, normalise};
use crate::domain::refs::Reference;
use crate::domain::revision::Decisions;
use crate::domain::schedule::{CustomerState, MAX_SETTLEMENTS, check_generations};
use crate::domain::{CallerState, Domain, Error, Lane, Result};

impl Domain {
    /// Moves one org as `subscribe` would, and notes the migration.
    pub(super) async fn move_org(
        &self,
        target: &Target,
        record: &MigrationRecord,
        exchange: &ResolvedExchange,
    ) -> Result<Outcome> {
        let org = &target.org;
        // A separate caller state records whether anything was written.
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
            match domain.exchange_plan(&resolved, record, exchange).await {
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
        record: &MigrationRecord,
        exchange: &ResolvedExchange,
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
                .requested_phases(&state, record.request.at, exchange, now)
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
            revision.set_migrations(migrations_with(&state.migrations, &record.id));
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
        exchange: &ResolvedExchange,
        now: i64,
    ) -> Result<Option<(Vec<ResolvedPhase>, PhaseChange)>> {
        let Some(phase_change) = exchange.phase_change(state, at, now)? else {
            return Ok(None);
        };
        for phase in &phase_change.phases {
            if let Some(feature) = exchange.features.irreplaceable_of(&phase.features).next() {
                return Err(Error::Invalid(format!(
                    "the org has {feature}, whose plan is archived and stays with usage records: move its orgs to \
                     another plan, or put it back on sale"
                )));
            }
        }
        let requested: Vec<ResolvedPhase> = phase_change
            .phases
            .iter()
            .map(|phase| exchange.resolve(phase))
            .collect::<Result<_>>()?;
        let requested = normalise(requested, now)?;
        check_generations(state, &requested)?;
        let current_plan = CurrentPlan::of(state.current_state(), now);
        for phase in &requested {
            current_plan.check(&phase.features)?;
        }
        self.check_coupons(&requested, &current_plan).await?;
        Ok(Some((requested, phase_change)))
    }
}

impl ResolvedExchange {
    /// The change of the org's phases. None if nothing changes.
    fn phase_change(
        &self,
        state: &CustomerState,
        at: MigrateAt,
        now: i64,
    ) -> Result<Option<PhaseChange>> {
        let phase_change = match state.current_state() {
            CurrentState::Nothing => None,
            CurrentState::NotStarted(schedule) => self.change_not_started(schedule, at, now),
            CurrentState::Subscribed(current) => {
                self.change_subscribed(current, state.successor(), at, now)
            }
        };
        let current = state.current.as_ref();
        let is_pending =
            current.is_some_and(|current| current.status == SubscriptionStatus::Incomplete);
        if phase_change.is_some() && is_pending {
            return Err(Error::Invalid(
                "the first payment of the org's subscription is pending".into(),
            ));
        }
        Ok(phase_change)
    }

    /// The change of the phases of a schedule that has not started.
    pub(super) fn change_not_started(
        &self,
        schedule: &Schedule,
        at: MigrateAt,
        now: i64,
    ) -> Option<PhaseChange> {
        let phases = OrgPhase::all(to_come(schedule, &self.catalog), false);
        self.features
            .phase_change(&phases, at.resolve(now, now), now)
    }

    /// The change of a subscription's current and future phases.
    pub(super) fn change_subscribed(
        &self,
        subscription: &Subscription,
        successor: Option<&Schedule>,
        at: MigrateAt,
        now: i64,
    ) -> Option<PhaseChange> {
        let mut phases = current_and_future(subscription, &self.catalog);
        if let Some(successor) = successor {
            replace_end(&mut phases, successor, &self.catalog);
        }
        let phases = OrgPhase::all(phases, true);
        let first = phases.first();
        let has_plan = first.is_some_and(|first| self.features.applies_to(&first.features));
        // A future phase has no billing period to wait for.
        let period_end = if has_plan {
            subscription.current_period_end
        } else {
            now
        };
        self.features
            .phase_change(&phases, at.resolve(now, period_end), now)
    }

    pub(super) fn resolve(&self, phase: &OrgPhase) -> Result<ResolvedPhase> {
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

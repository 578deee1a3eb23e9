//! `subscribe`: brings an org's phases in Stripe to what is asked for.

use std::sync::Arc;

use super::org::OrgInfoUpdate;
use super::plan_change::{self, Action, Asked, NewSchedule, PlannedPhase, Standing, Start};
use super::refs::{OrgName, Reference};
use super::revision::{self, Decisions, Refusal, Revision};
use super::subscription::Detail;
use super::{Domain, Error, Result};
use crate::stripe::types::{Object, Schedule};
use crate::stripe::{self, Form};

/// The step of a change that makes its revision.
const CHANGE: &str = "change";

/// What to subscribe an org to.
#[derive(Clone, Debug, Default)]
pub struct Subscribe {
    /// Particulars to write first.
    pub info: Option<OrgInfoUpdate>,
    /// The phases, in order. None: only `info` is written. One without features: cancel.
    pub phases: Vec<RequestedPhase>,
    /// What the subscription is paid with, if not the customer's default; may be empty.
    pub payment_method: String,
    /// How tax is treated, in all phases.
    pub tax: Tax,
}

/// How tax is treated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tax {
    /// Stripe computes it.
    pub automatic: bool,
    /// Checkout asks for a tax id.
    pub collect_id: bool,
}

/// A phase that a client asks for.
#[derive(Clone, Debug, Default)]
pub struct RequestedPhase {
    /// Unix seconds; none: now.
    pub effective: Option<i64>,
    /// Whether the whole phase is a trial.
    pub trial: bool,
    /// Plans and features; none: nothing is sold any more.
    pub features: Vec<Reference>,
    /// A coupon's id; may be empty.
    pub coupon: String,
}

impl Domain {
    /// Carries out `request`: everything in it is checked before the first write.
    pub async fn subscribe(&self, org: &OrgName, request: &Subscribe) -> Result<()> {
        if let Some(info) = &request.info {
            info.check()?;
        }
        if request.phases.is_empty() {
            return self.write_info(org, request.info.as_ref()).await;
        }
        let now = self.now().await?;
        let asked = plan_change::normalise(self.resolve(&request.phases).await?, now)?;

        let _held = self.hold(&self.account.changes, org.as_str()).await?;
        let asked = &asked;
        let attempt = || async move {
            let customer = self.customer_with(org, request.info.as_ref()).await?;
            self.change_plan(&customer, asked, request, now).await
        };
        self.again_if_gone(org, Error::is_customer_gone, attempt)
            .await
    }

    /// Writes the org's particulars, and leaves what it is subscribed to as it is.
    async fn write_info(&self, org: &OrgName, info: Option<&OrgInfoUpdate>) -> Result<()> {
        if let Some(info) = info {
            let _held = self.hold(&self.account.changes, org.as_str()).await?;
            self.put_org(org, info).await?;
        }
        Ok(())
    }

    /// The org's customer, made or updated as needed.
    async fn customer_with(&self, org: &OrgName, info: Option<&OrgInfoUpdate>) -> Result<Arc<str>> {
        match info {
            Some(info) => self.put_org(org, info).await,
            None => self.ensure_customer(org).await,
        }
    }

    /// Looks every feature up, in one go for all phases.
    async fn resolve(&self, phases: &[RequestedPhase]) -> Result<Vec<Asked>> {
        let lists: Vec<&[Reference]> = phases
            .iter()
            .map(|phase| phase.features.as_slice())
            .collect();
        let resolved = self.expand_all(&lists).await?;
        let asked = phases.iter().zip(resolved).map(|(phase, features)| Asked {
            effective: phase.effective,
            trial: phase.trial,
            prices: features
                .into_iter()
                .map(|feature| feature.price_id)
                .collect(),
            coupon: Some(phase.coupon.clone()).filter(|coupon| !coupon.is_empty()),
        });
        Ok(asked.collect())
    }

    async fn change_plan(
        &self,
        customer: &str,
        asked: &[Asked],
        request: &Subscribe,
        now: i64,
    ) -> Result<()> {
        let mut decisions = Decisions::new(customer);
        loop {
            let changed = self.try_change(customer, asked, request, now, &mut decisions);
            match changed.await {
                Ok(()) => return Ok(()),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Refused(refusal)) => {
                    let wait = decisions.after(refusal)?;
                    tokio::time::sleep(self.stripe().first_wait() * wait).await;
                }
            }
        }
    }

    async fn try_change(
        &self,
        customer: &str,
        asked: &[Asked],
        request: &Subscribe,
        now: i64,
        decisions: &mut Decisions,
    ) -> Result<(), Failure> {
        // In this order, a schedule that begins meanwhile is seen twice rather than not at all.
        let schedules = self.schedules(customer).await?;
        let found = self.subscriptions(customer, Detail::History).await?;
        let seen = revision::newest([].iter(), schedules.iter()).max(found.revision);
        let revision = &decisions.at(seen);
        let mut waiting = schedules;
        waiting.retain(Schedule::is_waiting);
        let begun = found.current.as_ref().and_then(|s| s.schedule.as_ref());
        waiting.retain(|schedule| begun.is_none_or(|begun| begun.id() != schedule.id));
        let (standing, obsolete) = match (&found.current, waiting.split_first()) {
            (Some(subscription), _) => (Standing::Subscribed(subscription), &waiting[..]),
            (None, Some((schedule, others))) => (Standing::Waiting(schedule), others),
            (None, None) => (Standing::Nothing, &[][..]),
        };
        for old in &found.superseded {
            self.end_subscription(&old.id).await?;
        }
        for schedule in obsolete {
            self.call_off(&schedule.id).await?;
        }
        match plan_change::decide(standing, asked, now) {
            Action::Nothing => Ok(()),
            Action::Cancel(subscription) => Ok(self.end_subscription(&subscription).await?),
            Action::CallOff(schedule) => Ok(self.call_off(&schedule).await?),
            Action::Create(plan) => {
                let form = create_form(customer, &plan, request, revision);
                let create = self.stripe().post("/v1/subscription_schedules").form(form);
                revision.write(CHANGE, create).send::<Object>().await?;
                Ok(())
            }
            Action::Replace(schedule, plan) => {
                let current = found
                    .current
                    .as_ref()
                    .and_then(|subscription| subscription.active_schedule());
                let started = current
                    .and_then(|schedule| schedule.current_phase)
                    .map(|phase| phase.start_date);
                self.replace(&schedule, started, &plan, request, revision)
                    .await
            }
            Action::Adopt(subscription, plan) => {
                let adopt = self
                    .stripe()
                    .post("/v1/subscription_schedules")
                    .param("from_subscription", subscription);
                let schedule: Schedule = revision.once("adopt", adopt).send().await?;
                let started = schedule.current_phase.map(|phase| phase.start_date);
                self.replace(&schedule.id, started, &plan, request, revision)
                    .await
            }
        }
    }

    async fn replace(
        &self,
        schedule: &str,
        current_phase_start: Option<i64>,
        plan: &NewSchedule,
        request: &Subscribe,
        revision: &Revision,
    ) -> Result<(), Failure> {
        let start = match (plan.start, current_phase_start) {
            (Start::WithCurrentPhase, Some(start)) | (Start::At(start), _) => start.to_string(),
            (Start::WithCurrentPhase, None) | (Start::Now, _) => "now".to_owned(),
        };
        let mut form = common_form(plan, request, revision);
        form.push("phases[0][start_date]", start);
        let path = format!("/v1/subscription_schedules/{schedule}");
        let replace = self.stripe().post(path).form(form);
        revision.write(CHANGE, replace).send::<Object>().await?;
        Ok(())
    }

    /// Cancels a schedule that has not begun.
    async fn call_off(&self, schedule: &str) -> Result<(), stripe::Error> {
        let path = format!("/v1/subscription_schedules/{schedule}/cancel");
        self.stripe().post(path).send::<Object>().await?;
        Ok(())
    }

    /// Ends a subscription now, billing what was used and refunding what was not.
    async fn end_subscription(&self, id: &str) -> Result<(), stripe::Error> {
        let request = self.stripe().delete(format!("/v1/subscriptions/{id}"));
        match request
            .param("invoice_now", true)
            .param("prorate", true)
            .send::<Object>()
            .await
        {
            // Ended by somebody else since we looked, or by our own try whose answer was lost.
            Err(error) if error.is_subscription_over() => Ok(()),
            other => other.map(drop),
        }
    }
}

/// Why a change was not made.
enum Failure {
    /// Another decision, based on what is there by then, may go through.
    Refused(Refusal),
    /// Another one would not help.
    Final(Error),
}

impl From<stripe::Error> for Failure {
    fn from(error: stripe::Error) -> Self {
        match Refusal::of(error) {
            Ok(refusal) => Self::Refused(refusal),
            Err(error) => Self::Final(error.into()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

fn create_form(
    customer: &str,
    plan: &NewSchedule,
    request: &Subscribe,
    revision: &Revision,
) -> Form {
    let mut form = Form::new();
    form.push("customer", customer);
    match plan.start {
        Start::At(start) => form.push("start_date", start),
        Start::Now | Start::WithCurrentPhase => form.push("start_date", "now"),
    }
    form.append(common_form(plan, request, revision));
    form
}

/// What creating and replacing have in common.
fn common_form(plan: &NewSchedule, request: &Subscribe, revision: &Revision) -> Form {
    let mut form = Form::new();
    form.push("end_behavior", if plan.ends { "cancel" } else { "release" });
    // Said of the schedule alone: a phase without a word of its own follows it, the kept one too.
    form.push(
        "default_settings[automatic_tax][enabled]",
        request.tax.automatic,
    );
    if !request.payment_method.is_empty() {
        form.push(
            "default_settings[default_payment_method]",
            &request.payment_method,
        );
    }
    for (i, phase) in plan.phases.iter().enumerate() {
        push_phase(&mut form, i, phase, revision);
    }
    form
}

fn push_phase(form: &mut Form, i: usize, phase: &PlannedPhase, revision: &Revision) {
    for (j, (price, quantity)) in phase.items.iter().enumerate() {
        form.push(format!("phases[{i}][items][{j}][price]"), price);
        form.push_some(format!("phases[{i}][items][{j}][quantity]"), *quantity);
    }
    form.push_some(format!("phases[{i}][end_date]"), phase.end);
    if phase.trial {
        form.push(format!("phases[{i}][trial]"), true);
    }
    form.push_some(format!("phases[{i}][trial_end]"), phase.trial_end);
    form.push_some(format!("phases[{i}][coupon]"), phase.coupon.as_deref());
    let mut metadata = phase.metadata.clone();
    revision.mark(&mut metadata);
    for (key, value) in &metadata {
        form.push(format!("phases[{i}][metadata][{key}]"), value);
    }
}

//! The schedule that follows an org's subscription: a change to another generation at the end of a billing period.
//!
//! Stripe ends the subscription and starts its successor in the same second, so no server needs to act then. The
//! successor is created first. Then the phases of the subscription's schedule are replaced, which ends the
//! subscription. Both carry the same link; a schedule with another link is not the successor. An interrupted change may
//! leave such a schedule, so the subscription first gets a note. A request that finds the note much later cancels the
//! schedules that do not follow, and removes the note. Neither the note nor the successor raises the revision: another
//! change that is decided meanwhile uses the same key for the schedule's phases, so one of the two is decided again.

use super::customer_state::CustomerState;
use crate::billing::{
    Metadata, NewSchedule, Schedule, SchedulePhase, Subscription, SubscriptionUpdate,
};
use crate::domain::org::ResolvedOrg;
use crate::domain::plan_change::{Action, FOLLOWS};
use crate::domain::revision::Revision;
use crate::domain::{Domain, Error, Failure, Result};

/// The metadata key, on a subscription, of when a change of its successor began, in Unix seconds. Empty once complete.
pub(super) const SUCCESSION: &str = "tier.succession";

/// The metadata key, on a subscription's last phase and on its successor's first phase, of the change that linked them.
pub(super) const LINK: &str = "tier.link";

/// How old the note is, in seconds, when another request completes the change. By then, its own request was answered.
const ABANDONED_AFTER: i64 = 20 * 60;

/// How long before its end, in seconds, a subscription can get a successor. Stripe starts a schedule at once if its
/// start is past.
const LEAST_NOTICE: i64 = 10;

impl Subscription {
    /// Whether a change of its successor may be incomplete.
    pub(super) fn has_open_succession(&self) -> bool {
        self.ended_at.is_none() && self.succession_since().is_some()
    }

    fn succession_since(&self) -> Option<i64> {
        self.metadata.get(SUCCESSION)?.parse().ok()
    }

    /// The subscription that it follows, until it has taken over that one's levels.
    pub(super) fn predecessor(&self) -> Option<&str> {
        let id = self.metadata.get(FOLLOWS).map(String::as_str);
        id.filter(|id| self.ended_at.is_none() && !id.is_empty())
    }

    /// Whether it follows `old`, and Stripe is about to end `old`.
    pub(super) fn is_about_to_replace(&self, old: &Subscription, now: i64) -> bool {
        let follows = self.predecessor() == Some(old.id.as_str());
        follows
            && old
                .planned_end()
                .is_some_and(|end| end <= self.start_date && end <= now)
    }

    /// Whether a schedule's metadata says that it follows this subscription. It may not: see
    /// [`is_followed_by`](Self::is_followed_by).
    pub(super) fn is_named_by(&self, schedule: &Schedule) -> bool {
        schedule.predecessor() == Some(self.id.as_str())
    }

    /// Whether it has ended before the start of the schedule that was to follow it.
    pub(super) fn has_ended_before(&self, schedule: &Schedule) -> bool {
        let starts = schedule.phases.first().map(|first| first.start_date);
        let ended = self.ended_at.zip(starts);
        self.is_named_by(schedule) && ended.is_some_and(|(ended, starts)| ended < starts)
    }

    /// Whether its schedule has the link of a successor. The successor may have been canceled since.
    pub(in crate::domain) fn is_followed(&self) -> bool {
        let schedule = self.active_schedule();
        let last = schedule.and_then(|schedule| schedule.phases.last());
        last.and_then(link).is_some_and(|link| !link.is_empty())
    }

    /// Whether a schedule follows it: it starts when this subscription ends, and both have the same link.
    pub(in crate::domain) fn is_followed_by(&self, schedule: &Schedule) -> bool {
        let last = self.active_schedule();
        let last = last.and_then(|active| active.phases.last());
        let (Some(last), Some(first)) = (last, schedule.phases.first()) else {
            return false;
        };
        schedule.is_not_started()
            && self.is_named_by(schedule)
            && self.planned_end() == Some(first.start_date)
            && self.is_followed()
            && link(last) == link(first)
    }
}

fn link(phase: &SchedulePhase) -> Option<&str> {
    let metadata = phase.metadata.as_ref()?;
    metadata.get(LINK).map(String::as_str)
}

/// Writes the successor's link to the schedule that ends the subscription, or an empty link for no successor.
fn set_link(action: &mut Action, link: String) {
    if let Action::Replace(_, plan) | Action::Adopt(_, plan) = action
        && let Some(last) = plan.phases.last_mut()
    {
        last.metadata.insert(LINK.to_owned(), link);
    }
}

impl Schedule {
    /// The subscription that its metadata says it follows.
    pub(super) fn predecessor(&self) -> Option<&str> {
        let first = self.phases.first()?;
        let id = first.metadata.as_ref()?.get(FOLLOWS)?;
        Some(id.as_str())
    }
}

impl Domain {
    /// Begins a change of the subscription's successor: notes it, and creates the new successor.
    pub(super) async fn begin_succession(
        &self,
        org: &ResolvedOrg,
        state: &CustomerState,
        successor: Option<&mut NewSchedule>,
        action: &mut Action,
        revision: &Revision,
    ) -> Result<(), Failure> {
        let Some(current) = &state.current else {
            return Ok(());
        };
        if successor.is_none() && state.successors.is_empty() {
            return Ok(());
        }
        let soon = self
            .at_stripe(self.now().await?)
            .saturating_add(LEAST_NOTICE);
        if successor.is_some() && current.current_period_end <= soon {
            return Err(Error::plan_is_changing().into());
        }
        let since = self.account.clock.unix();
        self.note_succession(&current.id, since.to_string()).await?;
        let Some(successor) = successor else {
            set_link(action, String::new());
            return Ok(());
        };
        // A later attempt creates another successor, since this one may be canceled by then.
        let step = format!("successor:{since}");
        let link = revision.key(&step);
        for phase in &mut successor.phases {
            revision.mark(&mut phase.metadata);
        }
        if let Some(first) = successor.phases.first_mut() {
            first.metadata.insert(LINK.to_owned(), link.clone());
        }
        set_link(action, link);
        self.create_successor(org, successor, &step, revision).await
    }

    /// Writes or removes the note, without changing the revision.
    async fn note_succession(&self, subscription: &str, since: String) -> Result<(), Failure> {
        let update = SubscriptionUpdate {
            metadata: Metadata::from([(SUCCESSION.to_owned(), since)]),
            ..SubscriptionUpdate::default()
        };
        let note = self.billing().update_subscription(subscription, &update);
        note.ignore_answer().send().await?;
        Ok(())
    }

    async fn create_successor(
        &self,
        org: &ResolvedOrg,
        successor: &NewSchedule,
        step: &str,
        revision: &Revision,
    ) -> Result<(), Failure> {
        let create = self.billing().create_schedule(&org.customer, successor);
        self.send_step(revision.step_without_metadata(step, create))
            .await?;
        Ok(())
    }

    /// Completes a change of the subscription's successor. If another server has canceled the successor meanwhile,
    /// creates it again.
    pub(super) async fn end_succession(
        &self,
        org: &ResolvedOrg,
        successor: Option<&NewSchedule>,
        revision: &Revision,
    ) -> Result<(), Failure> {
        let mut state = self.read_customer_state(&org.customer).await?;
        if let Some(successor) = successor
            && state.current.is_some()
            && state.successor().is_none()
        {
            self.create_successor(org, successor, "successor again", revision)
                .await?;
            state = self.read_customer_state(&org.customer).await?;
        }
        self.settle_succession(&state).await
    }

    /// Completes an interrupted change of the subscription's successor, once the request that began it was answered.
    pub(super) async fn settle_abandoned_succession(
        &self,
        state: &CustomerState,
    ) -> Result<(), Failure> {
        let since = state
            .current
            .as_ref()
            .and_then(Subscription::succession_since);
        let now = self.account.clock.unix();
        if since.is_some_and(|since| (now - since).abs() < ABANDONED_AFTER) {
            return Ok(());
        }
        self.settle_succession(state).await
    }

    /// Cancels the schedules that do not follow the subscription, and removes the note.
    pub(super) async fn settle_succession(&self, state: &CustomerState) -> Result<(), Failure> {
        let Some(current) = state.current.as_ref() else {
            return Ok(());
        };
        let successor = state.successor().map(|successor| successor.id.as_str());
        for schedule in &state.successors {
            if Some(schedule.id.as_str()) != successor {
                self.cancel_schedule(&schedule.id, None).await?;
            }
        }
        if current.has_open_succession() {
            self.note_succession(&current.id, String::new()).await?;
        }
        Ok(())
    }
}

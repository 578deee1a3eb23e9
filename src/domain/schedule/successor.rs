//! The schedule that follows an org's subscription: a change to another generation at the end of a billing period.
//!
//! Stripe ends the one and starts the other in the same second, so no server needs to be there then. The successor is
//! created first. Then the phases of the subscription's own schedule are replaced, which ends it. Both carry the same
//! link; a schedule with another link does not follow. A change that breaks off could leave such a schedule, so before it
//! begins, the subscription gets a note. Whoever finds the note much later cancels what does not follow, and removes it.
//! Neither the note nor the successor raises the revision: another change that is decided meanwhile uses the same key for
//! the schedule's phases, and one of both is decided again.

use super::customer_state::CustomerState;
use crate::billing::{
    Metadata, NewSchedule, Schedule, SchedulePhase, Subscription, SubscriptionUpdate,
};
use crate::domain::org::ResolvedOrg;
use crate::domain::plan_change::{Action, FOLLOWS};
use crate::domain::revision::Revision;
use crate::domain::{Domain, Error, Failure, Result};

/// Notes on a subscription that a change of what follows it may not be complete, and since when, in Unix seconds.
pub(super) const SUCCESSION: &str = "tier.succession";

/// In the metadata of the last phase of a subscription and of the first of the one that follows: the change that has linked
/// them.
pub(super) const LINK: &str = "tier.link";

/// How old the note is when others complete the change, in seconds. By then, its request has been answered.
const ABANDONED_AFTER: i64 = 20 * 60;

/// How long before its end, in seconds, a subscription can get a successor. Stripe starts a schedule of the past at once.
const LEAST_NOTICE: i64 = 10;

impl Subscription {
    /// Whether a change of what follows it may not be complete.
    pub(super) fn has_open_succession(&self) -> bool {
        self.ended_at.is_none() && self.succession_since().is_some()
    }

    fn succession_since(&self) -> Option<i64> {
        self.metadata.get(SUCCESSION)?.parse().ok()
    }

    /// The subscription that it follows, until it has taken over what that leaves.
    pub(super) fn predecessor(&self) -> Option<&str> {
        let old = self.metadata.get(FOLLOWS).map(String::as_str);
        old.filter(|old| self.ended_at.is_none() && !old.is_empty())
    }

    /// Whether `old` is about to be ended by Stripe, and this one follows it.
    pub(super) fn is_about_to_replace(&self, old: &Subscription, now: i64) -> bool {
        let follows = self.predecessor() == Some(old.id.as_str());
        follows
            && old
                .planned_end()
                .is_some_and(|end| end <= self.start_date && end <= now)
    }

    /// Whether a schedule is to follow it, by its mark, although it may not end in time.
    pub(super) fn is_marked_in(&self, schedule: &Schedule) -> bool {
        schedule.follows() == Some(self.id.as_str())
    }

    /// Whether it has ended long before the schedule that was to follow it.
    pub(super) fn has_ended_before(&self, schedule: &Schedule) -> bool {
        let starts = schedule.phases.first().map(|first| first.start_date);
        let ended = self.ended_at.zip(starts);
        self.is_marked_in(schedule) && ended.is_some_and(|(ended, starts)| ended < starts)
    }

    /// Whether a change has made another subscription follow it. What it shows of that need not be true any more.
    pub(in crate::domain) fn is_followed(&self) -> bool {
        let last = self.active_schedule().and_then(|own| own.phases.last());
        last.and_then(link).is_some_and(|link| !link.is_empty())
    }

    /// Whether a schedule follows it: it starts when this ends, and one change has made both so.
    pub(in crate::domain) fn is_followed_by(&self, schedule: &Schedule) -> bool {
        let own = self.active_schedule().and_then(|own| own.phases.last());
        let (Some(last), Some(first)) = (own, schedule.phases.first()) else {
            return false;
        };
        schedule.is_not_started()
            && self.is_marked_in(schedule)
            && self.planned_end() == Some(first.start_date)
            && self.is_followed()
            && link(last) == link(first)
    }
}

fn link(phase: &SchedulePhase) -> Option<&str> {
    let metadata = phase.metadata.as_ref()?;
    metadata.get(LINK).map(String::as_str)
}

/// Links the schedule that ends the subscription with what follows it. Without a link, nothing does.
fn set_link(action: &mut Action, link: String) {
    if let Action::Replace(_, plan) | Action::Adopt(_, plan) = action
        && let Some(last) = plan.phases.last_mut()
    {
        last.metadata.insert(LINK.to_owned(), link);
    }
}

impl Schedule {
    /// The subscription that it is to follow.
    pub(super) fn follows(&self) -> Option<&str> {
        let first = self.phases.first()?;
        let marked = first.metadata.as_ref()?.get(FOLLOWS)?;
        Some(marked.as_str())
    }
}

impl Domain {
    /// Before a change of what follows the subscription: notes it, and creates the new successor.
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
        // A later attempt creates another one, since this one may be canceled by then.
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

    /// Writes the note, without a revision.
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
        self.decided(revision.once(step, create)).await?;
        Ok(())
    }

    /// After a change of what follows the subscription. If another server has canceled the successor meanwhile, it is
    /// created again.
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

    /// Completes a change of what follows the subscription, if the request that began it has been answered.
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
        for other in &state.successors {
            if Some(other.id.as_str()) != successor {
                self.cancel_schedule(&other.id, None).await?;
            }
        }
        if current.has_open_succession() {
            self.note_succession(&current.id, String::new()).await?;
        }
        Ok(())
    }
}

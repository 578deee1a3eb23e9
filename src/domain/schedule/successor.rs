//! The schedule that follows an org's subscription: a change to another generation at the end of a billing period.
//!
//! Stripe ends the one and starts the other in the same second, so no server needs to be there then. The successor is
//! created first. Then the phases of the subscription's own schedule are replaced, which ends it, with the revision that
//! the successor has too. A schedule with another revision does not follow it. A change that breaks off could leave such
//! a schedule, so before it begins, the subscription gets a note. Whoever finds the note cancels what does not follow,
//! and removes it.

use super::customer_state::CustomerState;
use crate::billing::{Metadata, NewSchedule, Schedule, Subscription};
use crate::domain::org::ResolvedOrg;
use crate::domain::plan_change::FOLLOWS;
use crate::domain::revision::{self, Revision};
use crate::domain::{Domain, Error, Failure, Result};

/// Notes on a subscription that a change of what follows it may not be complete.
pub(super) const SUCCESSION: &str = "tier.succession";

impl Subscription {
    /// Whether a change of what follows it may not be complete.
    pub(super) fn has_open_succession(&self) -> bool {
        let noted = self.metadata.get(SUCCESSION);
        self.ended_at.is_none() && noted.is_some_and(|value| !value.is_empty())
    }

    /// Whether a schedule is to follow it, by its mark, although it may not end in time.
    pub(super) fn is_marked_in(&self, schedule: &Schedule) -> bool {
        let first = schedule.phases.first();
        let metadata = first.and_then(|first| first.metadata.as_ref());
        let marked = metadata.and_then(|metadata| metadata.get(FOLLOWS));
        marked.is_some_and(|marked| *marked == self.id)
    }

    /// Whether a schedule follows it: it starts when this ends, and one decision has made both so.
    pub(in crate::domain) fn is_followed_by(&self, schedule: &Schedule) -> bool {
        let own = self.active_schedule().and_then(|own| own.phases.last());
        let (Some(last), Some(first)) = (own, schedule.phases.first()) else {
            return false;
        };
        schedule.is_not_started()
            && self.is_marked_in(schedule)
            && self.planned_end() == Some(first.start_date)
            && revision::of_phase(last) == revision::of_phase(first)
    }
}

impl Domain {
    /// Before a change of what follows the subscription: notes it, and creates the new successor. A successor of an org
    /// that cancels is canceled before the subscription ends.
    pub(super) async fn begin_succession(
        &self,
        org: &ResolvedOrg,
        state: &CustomerState,
        successor: Option<NewSchedule>,
        cancels: bool,
        revision: &Revision,
    ) -> Result<(), Failure> {
        let Some(current) = &state.current else {
            return Ok(());
        };
        if cancels {
            for schedule in &state.successors {
                self.cancel_schedule(&schedule.id, None).await?;
            }
            return Ok(());
        }
        if successor.is_none() && state.successors.is_empty() {
            return Ok(());
        }
        let noted = Metadata::from([(SUCCESSION.to_owned(), "open".to_owned())]);
        let before = revision.before_change();
        self.note_on(&current.id, noted, "succession", &before)
            .await?;
        if let Some(mut successor) = successor {
            for phase in &mut successor.phases {
                revision.mark(&mut phase.metadata);
            }
            let create = self.billing().create_schedule(&org.customer, &successor);
            self.decided(revision.once("successor", create)).await?;
        }
        Ok(())
    }

    /// Completes a change of what follows the subscription, from the state after it. `expects`: there must be a
    /// successor.
    ///
    /// # Errors
    /// [`Error::PlanChanging`] if another server has canceled the successor.
    pub(super) async fn settle_succession(
        &self,
        state: &CustomerState,
        expects: bool,
        revision: &Revision,
    ) -> Result<(), Failure> {
        let Some(current) = state.current.as_ref() else {
            return Ok(());
        };
        let successor = state.successor().map(|successor| successor.id.as_str());
        if expects && successor.is_none() {
            return Err(Error::plan_is_changing().into());
        }
        for other in &state.successors {
            if Some(other.id.as_str()) != successor {
                self.cancel_schedule(&other.id, None).await?;
            }
        }
        if current.has_open_succession() {
            let settled = Metadata::from([(SUCCESSION.to_owned(), String::new())]);
            let step = format!("succeeded:{}", current.id);
            self.note_on(&current.id, settled, &step, revision).await?;
        }
        Ok(())
    }
}

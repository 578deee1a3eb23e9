//! What a customer is subscribed to, and waits for, as a decision needs it; and why a decision was not carried out.

use crate::billing::{Schedule, Subscription};
use crate::domain::plan_change::CurrentState;
use crate::domain::request_key;
use crate::domain::revision::{self, Decisions, Refusal};
use crate::domain::subscription::Detail;
use crate::domain::{Domain, Error, Failure, Result};
use crate::stripe;

/// What a customer is subscribed to, and waits for.
pub(in crate::domain) struct Found {
    pub(in crate::domain) current: Option<Subscription>,
    /// The schedule that waits, where there is no subscription.
    pub(in crate::domain) waiting: Option<Schedule>,
    /// Older live subscriptions, whose place the org's has taken.
    pub(in crate::domain) superseded: Vec<Subscription>,
    /// Other live subscriptions, which supersede nothing. Only a cancellation ends them.
    pub(in crate::domain) others: Vec<Subscription>,
    /// Ended ones that have left something to be done.
    pub(in crate::domain) ended_unsettled: Vec<Subscription>,
    /// Other schedules that wait, which a change calls off.
    pub(super) obsolete: Vec<Schedule>,
    /// The revision of all this.
    pub(in crate::domain) seen: u64,
    /// The keys of clients' requests that it knows.
    pub(super) request_keys: Vec<String>,
}

impl Found {
    /// Whether the request that came with `key` was carried out before.
    pub(super) fn knows(&self, key: Option<&str>) -> bool {
        key.is_some_and(|key| self.request_keys.iter().any(|known| known == key))
    }

    /// Whether earlier changes have left something to be done.
    pub(super) fn is_unsettled(&self) -> bool {
        let current = self.current.as_ref();
        !self.ended_unsettled.is_empty() || current.is_some_and(Subscription::is_unsettled)
    }

    pub(super) fn is_paid_for(&self) -> bool {
        self.current.as_ref().is_some_and(Subscription::is_paid_for)
    }

    /// Whether nothing else is there beside what the org is subscribed to or waits for.
    pub(super) fn is_alone(&self) -> bool {
        self.superseded.is_empty() && self.others.is_empty() && self.obsolete.is_empty()
    }

    pub(super) fn current_state(&self) -> CurrentState<'_> {
        match (&self.current, &self.waiting) {
            (Some(subscription), _) => CurrentState::Subscribed(subscription),
            (None, Some(schedule)) => CurrentState::Waiting(schedule),
            (None, None) => CurrentState::Nothing,
        }
    }
}

impl Domain {
    pub(in crate::domain) async fn find_current_state(&self, customer: &str) -> Result<Found> {
        // In this order, a schedule that begins meanwhile is seen twice rather than not at all.
        let schedules = self.schedules(customer).await?;
        let found = self.subscriptions(customer, Detail::History).await?;
        let seen = revision::newest([].iter(), schedules.iter()).max(found.revision);
        let metadata = schedules.iter().map(|schedule| &schedule.metadata);
        let of_schedules = request_key::noted(metadata);
        let mut request_keys = found.request_keys;
        request_keys.extend(of_schedules);
        let mut waiting = schedules;
        waiting.retain(Schedule::is_waiting);
        let begun = found.current.as_ref().and_then(|s| s.schedule.as_ref());
        waiting.retain(|schedule| begun.is_none_or(|begun| begun.id() != schedule.id));
        let obsolete = match found.current {
            Some(_) => waiting.split_off(0),
            None => waiting.split_off(waiting.len().min(1)),
        };
        Ok(Found {
            current: found.current,
            waiting: waiting.pop(),
            superseded: found.superseded,
            others: found.others,
            ended_unsettled: found.ended_unsettled,
            obsolete,
            seen,
            request_keys,
        })
    }

    /// Waits until another decision may go through.
    ///
    /// # Errors
    /// If none would.
    pub(in crate::domain) async fn before_next(
        &self,
        decisions: &mut Decisions,
        failure: Failure,
    ) -> Result<()> {
        let refusal = match failure {
            Failure::Domain(error) => return Err(error),
            Failure::Overtaken(error) => Refusal::Overtaken(error),
            // Another request has changed the plan since the subscription was read.
            Failure::Stripe(error) if error.is_item_missing() => Refusal::Overtaken(error),
            Failure::Stripe(error) => Refusal::of(error)?,
        };
        let wait = decisions.after(refusal).map_err(given_up)?;
        tokio::time::sleep(self.stripe().first_wait() * wait).await;
        Ok(())
    }
}

/// What is told where others changed the plan again and again: nothing of Stripe's own ids.
fn given_up(error: stripe::Error) -> Error {
    if error.is_item_gone() || error.is_schedule_over() {
        Error::plan_is_changing()
    } else {
        error.into()
    }
}

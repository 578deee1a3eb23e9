//! The state of a customer that a decision is based on, and when to decide again.

use crate::billing::{Schedule, Subscription};
use crate::domain::migration::MIGRATIONS;
use crate::domain::plan_change::CurrentState;
use crate::domain::request_key::{self, KEYS};
use crate::domain::revision::{self, Decisions, Refusal};
use crate::domain::subscription::Detail;
use crate::domain::{Domain, Error, Failure, Result};
use crate::stripe;

/// The subscriptions and schedules of a customer.
pub(in crate::domain) struct CustomerState {
    pub(in crate::domain) current: Option<Subscription>,
    /// The schedule that has not started yet, if there is no subscription.
    pub(in crate::domain) not_started: Option<Schedule>,
    /// Older live subscriptions, superseded by the org's.
    pub(in crate::domain) superseded: Vec<Subscription>,
    /// Other live subscriptions, whose payment is pending. Only a cancellation ends them.
    pub(in crate::domain) payment_pending: Vec<Subscription>,
    /// Ended subscriptions that still have something to settle.
    pub(in crate::domain) ended_unsettled: Vec<Subscription>,
    /// Schedules that name the org's subscription as their predecessor, newest first. At most one of them really
    /// [follows](Self::successor) it.
    pub(super) successors: Vec<Schedule>,
    /// Other schedules that have not started, which a change cancels.
    pub(super) obsolete: Vec<Schedule>,
    /// The newest revision among all of these.
    pub(in crate::domain) revision: u64,
    /// The keys of the clients' requests that were carried out.
    pub(super) request_keys: Vec<String>,
    /// The migrations that have moved the org.
    pub(in crate::domain) migrations: Vec<String>,
}

impl CustomerState {
    /// Whether the request with `key` was carried out before.
    pub(super) fn has_carried_out(&self, key: Option<&str>) -> bool {
        key.is_some_and(|key| self.request_keys.iter().any(|known| known == key))
    }

    /// Whether earlier changes still have something to settle.
    pub(in crate::domain) fn is_unsettled(&self) -> bool {
        let current = self.current.as_ref();
        !self.ended_unsettled.is_empty()
            || current.is_some_and(Subscription::is_unsettled)
            || (current.is_none() && !self.obsolete.is_empty())
    }

    pub(super) fn is_paid_for(&self) -> bool {
        self.current.as_ref().is_some_and(Subscription::is_paid_for)
    }

    /// Whether the org has nothing besides its current subscription, or the schedule that has not started.
    pub(super) fn is_single(&self) -> bool {
        self.superseded.is_empty() && self.payment_pending.is_empty() && self.obsolete.is_empty()
    }

    /// Whether the org has this price, or is scheduled to get it.
    pub(super) fn has_price(&self, price: &str) -> bool {
        let current = self.current.as_ref();
        let mut items = current.iter().flat_map(|current| &current.items);
        let later = current.into_iter().flat_map(Subscription::phases_to_come);
        let waiting = self.not_started.iter().chain(self.successor());
        let waiting = waiting.flat_map(|schedule| &schedule.phases);
        let mut planned = later.chain(waiting).flat_map(|phase| &phase.items);
        items.any(|item| item.price.id == price) || planned.any(|item| item.price_id() == price)
    }

    /// The schedule that follows the org's subscription.
    pub(in crate::domain) fn successor(&self) -> Option<&Schedule> {
        let current = self.current.as_ref()?;
        let mut successors = self.successors.iter();
        successors.find(|schedule| current.is_followed_by(schedule))
    }

    pub(in crate::domain) fn current_state(&self) -> CurrentState<'_> {
        match (&self.current, &self.not_started) {
            (Some(subscription), _) => CurrentState::Subscribed(subscription),
            (None, Some(schedule)) => CurrentState::NotStarted(schedule),
            (None, None) => CurrentState::Nothing,
        }
    }
}

impl Domain {
    pub(in crate::domain) async fn read_customer_state(
        &self,
        customer: &str,
    ) -> Result<CustomerState> {
        // Schedules first: one that starts between the two calls is then read twice rather than not at all.
        let schedules = self.schedules(customer).await?;
        let found = self.subscriptions(customer, Detail::History).await?;
        // A change that creates a successor writes its revision to the subscription's own schedule.
        let counted = schedules.iter();
        let counted = counted.filter(|one| !one.is_not_started() || one.predecessor().is_none());
        let revision = revision::newest_of([].iter(), counted).max(found.revision);
        let noted = |name| {
            let metadata = schedules.iter().map(|schedule| &schedule.metadata);
            request_key::noted(name, metadata)
        };
        let (mut request_keys, mut migrations) = (found.request_keys, found.migrations);
        request_keys.extend(noted(KEYS));
        migrations.extend(noted(MIGRATIONS));
        let mut not_started = schedules;
        not_started.retain(Schedule::is_not_started);
        let active = found.current.as_ref().and_then(Subscription::schedule_id);
        not_started.retain(|schedule| active != Some(schedule.id.as_str()));
        let current = found.current.as_ref();
        let names_current =
            |schedule: &Schedule| current.is_some_and(|current| current.is_named_by(schedule));
        let (successors, not_started): (Vec<_>, Vec<_>) =
            not_started.into_iter().partition(names_current);
        let is_obsolete =
            |schedule: &Schedule| found.ended.iter().any(|old| old.has_ended_before(schedule));
        let (mut obsolete, mut not_started): (Vec<_>, Vec<_>) =
            not_started.into_iter().partition(is_obsolete);
        obsolete.extend(match found.current {
            Some(_) => not_started.split_off(0),
            None => not_started.split_off(not_started.len().min(1)),
        });
        Ok(CustomerState {
            current: found.current,
            not_started: not_started.pop(),
            superseded: found.superseded,
            payment_pending: found.payment_pending,
            ended_unsettled: found.ended_unsettled,
            successors,
            obsolete,
            revision,
            request_keys,
            migrations,
        })
    }

    /// Waits after a failure until another decision may succeed.
    ///
    /// # Errors
    /// The failure, if no other decision can succeed.
    pub(in crate::domain) async fn wait_before_retry(
        &self,
        decisions: &mut Decisions,
        failure: Failure,
    ) -> Result<()> {
        let refusal = match failure {
            Failure::Domain(Error::TooSoon) => {
                if !decisions.may_await_second() {
                    return Err(Error::TooSoon);
                }
                tokio::time::sleep(self.stripe().first_wait()).await;
                return Ok(());
            }
            Failure::Domain(error) => return Err(error),
            Failure::Overtaken(error) => Refusal::Overtaken(error),
            // Another request has changed the plan, or invoiced pending items, since they were read.
            Failure::Stripe(error) if error.is_item_missing() || error.is_invoice_final() => {
                Refusal::Overtaken(error)
            }
            Failure::Stripe(error) => Refusal::of(error)?,
        };
        let wait = decisions.wait_after(refusal).map_err(final_error)?;
        tokio::time::sleep(self.stripe().first_wait() * wait).await;
        Ok(())
    }
}

/// The error after the last attempt. It does not show Stripe's ids.
fn final_error(error: stripe::Error) -> Error {
    if error.is_item_gone() || error.is_schedule_over() || error.is_invoice_final() {
        Error::plan_is_changing()
    } else {
        error.into()
    }
}

//! The rate limiter for calls to Stripe: how many calls an account makes per second, and in which order.
//!
//! Stripe refuses calls beyond a rate, in total and by endpoint. A refusal costs a round trip and may hit any request,
//! so calls are limited here: no second has more calls than allowed, requests that a user waits for go first, and a
//! request that would wait too long is refused at once. `governor` was considered: it supports neither lanes nor
//! adaptive rates.
//!
//! Waiting calls stand in [`queue`]s. An event that frees capacity gives it to the first call that may use it and wakes
//! only that one, so the cost of a call does not depend on the number of waiting calls.

mod queue;
mod rates;
mod ticket;
mod window;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use queue::{Queues, Waiter};
pub use rates::{RateSettings, Rates};
pub(super) use ticket::Ticket;
use window::Window;

/// The priority of calls that wait. The most urgent lane is the smallest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// A user waits: checkout, subscribe.
    Interactive,
    /// An app waits: limits, reports, look-ups.
    #[default]
    Check,
    /// Not urgent: push, pull.
    Bulk,
}

impl Lane {
    /// How long a request in this lane waits for its first call before it is refused.
    fn max_wait(self) -> Duration {
        match self {
            Self::Interactive => Duration::from_secs(10),
            Self::Check => Duration::from_millis(25),
            Self::Bulk => Duration::from_secs(30),
        }
    }
}

/// How long a request waits for a further call once its first one was made. Giving up would waste the first call.
const MAX_WAIT_ONCE_BEGUN: Duration = Duration::from_secs(30);

/// How long a check waits if bulk calls hold the rate that it needs: until they have left the window.
const MAX_WAIT_BEHIND_BULK: Duration = Duration::from_millis(1100);

/// One call in this many of the rate is reserved for other lanes than bulk.
const RESERVED_FROM_BULK: u32 = 5;

/// The maximum number of calls ahead of a new one. With more, the new call is refused at once. Calls that it overtakes
/// do not count, so a queue of checks or of bulk calls blocks no checkout.
const MAX_QUEUE: usize = 1000;

/// The rate limiter of one account.
#[derive(Debug)]
pub(super) struct Budget {
    rates: Rates,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The share of the allowed rate that Stripe tolerates at the moment, above 0, at most 1.
    share: f64,
    /// When the share was last reduced.
    cut_at: Option<Instant>,
    total: Window,
    bulk: Window,
    endpoints: HashMap<&'static str, Window>,
    in_flight: usize,
    queues: Queues,
}

/// The order in which calls are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Interactive,
    /// An app's request whose first call was made, and would be wasted if the request were refused.
    Begun,
    Check,
    Bulk,
}

/// A call that was let through; dropping it ends the call.
#[derive(Debug)]
pub(super) struct Permit<'a>(&'a Budget);

/// There are too many calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// How long it takes until one more call may be let through.
    pub(super) retry_after: Duration,
}

impl Budget {
    pub(super) fn new(rates: Rates) -> Self {
        let state = State {
            share: 1.0,
            cut_at: None,
            total: Window::default(),
            bulk: Window::default(),
            endpoints: HashMap::new(),
            in_flight: 0,
            queues: Queues::default(),
        };
        Self {
            rates,
            state: Mutex::new(state),
        }
    }

    /// Waits for the call's turn, up to the lane's maximum wait.
    pub(super) async fn acquire(
        &self,
        endpoint: &'static str,
        ticket: &Ticket,
    ) -> Result<Permit<'_>, Refused> {
        let mut raised = ticket.raised();
        let mut queued = self.enter(endpoint, ticket)?;
        loop {
            let wake = {
                let mut state = self.state();
                let now = Instant::now();
                state.hand_out(&self.rates, now);
                if queued.waiter.is_through() {
                    drop(state);
                    ticket.begin();
                    return Ok(queued.into_permit());
                }
                if now >= queued.deadline {
                    let opens = state.opens_at(&self.rates, endpoint, queued.waiter.rank(), now);
                    return Err(state.refusal(&self.rates, opens, now));
                }
                queued.deadline.min(state.queues.wake_time(&queued.waiter))
            };
            tokio::select! {
                () = queued.waiter.woken() => {}
                () = raised.wait() => self.state().raise(&mut queued, ticket),
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// Joins the queues, unless the call would wait too long.
    fn enter(&self, endpoint: &'static str, ticket: &Ticket) -> Result<Queued<'_>, Refused> {
        let mut state = self.state();
        let now = Instant::now();
        let rank = ticket.rank();
        let deadline = now + state.max_wait(rank, now);
        state.hand_out(&self.rates, now);
        let opens = state.opens_at(&self.rates, endpoint, rank, now);
        let is_late = opens.is_some_and(|opens| opens > deadline);
        let must_wait = opens != Some(now);
        if is_late || (must_wait && state.queues.ahead_of(rank) >= MAX_QUEUE) {
            return Err(state.refusal(&self.rates, opens, now));
        }
        Ok(Queued {
            budget: self,
            waiter: state.queues.join(rank, endpoint),
            deadline,
        })
    }

    /// Stripe accepted a call: restores a fiftieth of the share that was cut.
    pub(super) fn succeeded(&self) {
        let mut state = self.state();
        let calm = state
            .cut_at
            .is_none_or(|cut| cut.elapsed() >= Duration::from_secs(1));
        if state.share < 1.0 && calm {
            state.share = (state.share + 0.02).min(1.0);
        }
    }

    /// Stripe refused a call for its rate: cuts the share. Other programs use the account too, or the rates are set too
    /// high.
    pub(super) fn throttled(&self) {
        let mut state = self.state();
        // A burst of refusals is one event.
        if state
            .cut_at
            .is_none_or(|cut| cut.elapsed() >= Duration::from_millis(500))
        {
            state.share = (state.share * 0.8).max(0.05);
            state.cut_at = Some(Instant::now());
        }
    }

    /// The fraction of the rate that is free now, between 0 and 1.
    pub(super) fn headroom(&self) -> f64 {
        let mut state = self.state();
        let allowed = state.allowed(self.rates.total);
        let used = state.total.count(Instant::now());
        let used = f64::from(u32::try_from(used).unwrap_or(u32::MAX));
        // Before the share was cut, more calls may have been made than are allowed now.
        (1.0 - used / f64::from(allowed).max(1.0)).max(0.0)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How long a call of this rank may wait.
    fn max_wait(&mut self, rank: Rank, now: Instant) -> Duration {
        match rank {
            Rank::Interactive => Lane::Interactive.max_wait(),
            Rank::Begun => MAX_WAIT_ONCE_BEGUN,
            // The bulk calls that leave the window make room for this call and all that are ahead of it.
            Rank::Check if self.bulk.count(now) > self.queues.ahead_of(rank) => {
                MAX_WAIT_BEHIND_BULK
            }
            Rank::Check => Lane::Check.max_wait(),
            Rank::Bulk => Lane::Bulk.max_wait(),
        }
    }

    fn allowed(&self, rate: u32) -> u32 {
        let scaled = (f64::from(rate) * self.share).round();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a u32, rounded and at least 1"
        )]
        let allowed = scaled.max(1.0) as u32;
        allowed
    }

    /// Lets calls through in order, and schedules the next check for when time frees capacity.
    fn hand_out(&mut self, rates: &Rates, now: Instant) {
        let next = loop {
            let mut first: Option<(Rank, u64, &'static str)> = None;
            let mut next: Option<Instant> = None;
            for head @ (rank, _, endpoint) in self.queues.heads() {
                if first.is_some_and(|first| first < head) {
                    continue;
                }
                match self.opens_at(rates, endpoint, rank, now) {
                    Some(opens) if opens <= now => first = Some(head),
                    Some(opens) => next = Some(next.map_or(opens, |next| next.min(opens))),
                    None => {}
                }
            }
            let Some((rank, arrival, endpoint)) = first else {
                break next;
            };
            self.queues.let_through(rank, arrival, endpoint);
            self.count(rank, endpoint, now);
        };
        self.queues.schedule_check(next, now);
    }

    fn count(&mut self, rank: Rank, endpoint: &'static str, now: Instant) {
        self.total.add(now);
        if rank == Rank::Bulk {
            self.bulk.add(now);
        }
        self.endpoints.entry(endpoint).or_default().add(now);
        self.in_flight += 1;
    }

    /// When a call may be made: now, at a later time, or (`None`) once another call has ended.
    fn opens_at(
        &mut self,
        rates: &Rates,
        endpoint: &'static str,
        rank: Rank,
        now: Instant,
    ) -> Option<Instant> {
        let reserved = if rank == Rank::Bulk {
            RESERVED_FROM_BULK
        } else {
            u32::MAX
        };
        if self.in_flight >= rates.concurrent - rates.concurrent / reserved as usize {
            return None;
        }
        let (total, of_endpoint) = (self.allowed(rates.total), self.allowed(rates.of(endpoint)));
        let total = self
            .total
            .opens_at((total - total / reserved) as usize, now);
        let endpoint = self.endpoints.entry(endpoint).or_default();
        Some(total.max(endpoint.opens_at(of_endpoint as usize, now)))
    }

    /// Moves a queued call whose request has become more urgent.
    fn raise(&mut self, queued: &mut Queued<'_>, ticket: &Ticket) {
        let (rank, now) = (ticket.rank(), Instant::now());
        queued.deadline = queued.deadline.max(now + self.max_wait(rank, now));
        self.queues.change_rank(&queued.waiter, rank);
    }

    /// The refusal of a new call, with a wait that includes the queue.
    fn refusal(&self, rates: &Rates, opens: Option<Instant>, now: Instant) -> Refused {
        let queue = f64::from(u32::try_from(self.queues.len()).unwrap_or(u32::MAX));
        let wait = queue / f64::from(self.allowed(rates.total));
        let opens = opens.unwrap_or(now).saturating_duration_since(now);
        let seconds = (opens.as_secs_f64() + wait).round();
        Refused {
            retry_after: Duration::from_secs_f64(seconds.clamp(1.0, 60.0)),
        }
    }
}

/// A queued call. Dropping it removes it from the queue.
struct Queued<'a> {
    budget: &'a Budget,
    waiter: Waiter,
    deadline: Instant,
}

impl<'a> Queued<'a> {
    /// Turns a call that was let through into a permit.
    fn into_permit(self) -> Permit<'a> {
        let budget = self.budget;
        self.waiter.use_up();
        Permit(budget)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        if self.waiter.is_used_up() {
            return;
        }
        let mut state = self.budget.state();
        state.queues.leave(&self.waiter);
        if self.waiter.is_through() {
            // The caller has left, so the call will not be made.
            state.in_flight -= 1;
        }
        state.hand_out(&self.budget.rates, Instant::now());
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.in_flight -= 1;
        state.hand_out(&self.0.rates, Instant::now());
    }
}

#[cfg(test)]
mod tests;

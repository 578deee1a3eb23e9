//! The budget towards Stripe: how many calls an account makes in a second, and who goes first.
//!
//! Stripe refuses calls beyond a rate, in all and by endpoint. Being refused costs a round trip and
//! hits whoever comes next, so we count ourselves: no more calls in any second than allowed, what a
//! person waits for before the rest, and an answer at once for those who would wait too long.
//! `governor` was looked at: it knows neither lanes nor rates that adapt.
//!
//! Calls that wait stand in [`queue`]s. Whatever makes room hands it to the first call that may use it and wakes that
//! one alone, so a call costs the same however many wait.

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

/// Who goes first when calls must wait; the most urgent lane is the least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// A person waits: checkout, subscribe.
    Interactive,
    /// An app waits: limits, reports, look-ups.
    #[default]
    Check,
    /// Nobody is in a hurry: push, pull.
    Bulk,
}

impl Lane {
    /// How long a request in this lane waits for its first call before it is told to come back.
    fn patience(self) -> Duration {
        match self {
            Self::Interactive => Duration::from_secs(10),
            Self::Check => Duration::from_millis(25),
            Self::Bulk => Duration::from_secs(30),
        }
    }
}

/// How long a request that has begun waits for a further call: giving up would waste the first.
const PATIENCE_ONCE_BEGUN: Duration = Duration::from_secs(30);

/// How long a check waits if only bulk is in its way: until that has left the window.
const PATIENCE_BEHIND_BULK: Duration = Duration::from_millis(1100);

/// One in so many calls of the rate is not for bulk, which would leave nothing to whoever comes next.
const KEPT_FROM_BULK: u32 = 5;

/// How many calls may wait before a new one; with more, it is refused at once. Those that it goes before do not count: so
/// a queue of checks, or of bulk, keeps no checkout out.
const LONGEST_QUEUE: usize = 1000;

/// One account's budget.
#[derive(Debug)]
pub(super) struct Budget {
    rates: Rates,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The share of the allowed rate that Stripe tolerates at the moment, above 0, at most 1.
    share: f64,
    cut_at: Option<Instant>,
    total: Window,
    bulk: Window,
    endpoints: HashMap<&'static str, Window>,
    in_flight: usize,
    queues: Queues,
}

/// In this order calls are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Interactive,
    /// An app's request whose first call was made, which would be for nothing otherwise.
    Begun,
    Check,
    Bulk,
}

/// A call that was let through; dropping it ends the call.
#[derive(Debug)]
pub(super) struct Permit<'a>(&'a Budget);

/// Too many calls: when one more may be let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
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

    /// Waits for the call's turn, as long as the lane has patience.
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
                    let opens = state.opens(&self.rates, endpoint, queued.waiter.rank(), now);
                    return Err(state.refusal(&self.rates, opens, now));
                }
                queued.deadline.min(state.queues.wakes(&queued.waiter))
            };
            tokio::select! {
                () = queued.waiter.woken() => {}
                () = raised.wait() => self.state().raise(&mut queued, ticket),
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// Takes a place in the queues, unless the wait would be longer than there is patience.
    fn enter(&self, endpoint: &'static str, ticket: &Ticket) -> Result<Queued<'_>, Refused> {
        let mut state = self.state();
        let now = Instant::now();
        let rank = ticket.rank();
        let deadline = now + state.patience(rank, now);
        state.hand_out(&self.rates, now);
        let opens = state.opens(&self.rates, endpoint, rank, now);
        let is_late = opens.is_some_and(|opens| opens > deadline);
        let must_wait = opens != Some(now);
        if is_late || (must_wait && state.queues.up_to(rank) >= LONGEST_QUEUE) {
            return Err(state.refusal(&self.rates, opens, now));
        }
        Ok(Queued {
            budget: self,
            waiter: state.queues.join(rank, endpoint),
            deadline,
        })
    }

    /// Stripe let a call through: what was taken from the rate comes back, a fiftieth at a time.
    pub(super) fn succeeded(&self) {
        let mut state = self.state();
        let calm = state
            .cut_at
            .is_none_or(|cut| cut.elapsed() >= Duration::from_secs(1));
        if state.share < 1.0 && calm {
            state.share = (state.share + 0.02).min(1.0);
        }
    }

    /// Stripe refused a call for its rate: others share the account, or the rates are set too high.
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

    /// The share of the rate that is free now, between 0 and 1.
    pub(super) fn headroom(&self) -> f64 {
        let mut state = self.state();
        let allowed = state.allowed(self.rates.total);
        let used = state.total.count(Instant::now());
        let used = f64::from(u32::try_from(used).unwrap_or(u32::MAX));
        // More than is allowed now may have been used, before the share was cut.
        (1.0 - used / f64::from(allowed).max(1.0)).max(0.0)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How long a call of this rank waits.
    fn patience(&mut self, rank: Rank, now: Instant) -> Duration {
        match rank {
            Rank::Interactive => Lane::Interactive.patience(),
            Rank::Begun => PATIENCE_ONCE_BEGUN,
            // What bulk leaves behind is enough for all who go before.
            Rank::Check if self.bulk.count(now) > self.queues.up_to(rank) => PATIENCE_BEHIND_BULK,
            Rank::Check => Lane::Check.patience(),
            Rank::Bulk => Lane::Bulk.patience(),
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

    /// Lets through whoever may go now, in order, and has the next one look again when time makes room.
    fn hand_out(&mut self, rates: &Rates, now: Instant) {
        let next = loop {
            let mut first: Option<(Rank, u64, &'static str)> = None;
            let mut next: Option<Instant> = None;
            for head @ (rank, _, endpoint) in self.queues.heads() {
                if first.is_some_and(|first| first < head) {
                    continue;
                }
                match self.opens(rates, endpoint, rank, now) {
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
        self.queues.look_again(next, now);
    }

    fn count(&mut self, rank: Rank, endpoint: &'static str, now: Instant) {
        self.total.add(now);
        if rank == Rank::Bulk {
            self.bulk.add(now);
        }
        self.endpoints.entry(endpoint).or_default().add(now);
        self.in_flight += 1;
    }

    /// When a call may be made: now, at a later time, or (none) once another one has ended.
    fn opens(
        &mut self,
        rates: &Rates,
        endpoint: &'static str,
        rank: Rank,
        now: Instant,
    ) -> Option<Instant> {
        let kept = if rank == Rank::Bulk {
            KEPT_FROM_BULK
        } else {
            u32::MAX
        };
        if self.in_flight >= rates.concurrent - rates.concurrent / kept as usize {
            return None;
        }
        let (total, own) = (self.allowed(rates.total), self.allowed(rates.of(endpoint)));
        let total = self.total.opens((total - total / kept) as usize, now);
        let endpoint = self.endpoints.entry(endpoint).or_default();
        Some(total.max(endpoint.opens(own as usize, now)))
    }

    /// The request has become more urgent.
    fn raise(&mut self, queued: &mut Queued<'_>, ticket: &Ticket) {
        let (rank, now) = (ticket.rank(), Instant::now());
        queued.deadline = queued.deadline.max(now + self.patience(rank, now));
        self.queues.change_rank(&queued.waiter, rank);
    }

    /// When to come back: after those who wait already.
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

/// A call that waits, given up however the wait ends.
struct Queued<'a> {
    budget: &'a Budget,
    waiter: Waiter,
    deadline: Instant,
}

impl<'a> Queued<'a> {
    /// The call was let through.
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
            // Nobody is there to make the call.
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

//! The budget towards Stripe: how many calls an account makes in a second, and who goes first.
//!
//! Stripe refuses calls beyond a rate, in all and by endpoint. Being refused costs a round trip and
//! hits whoever comes next, so we count ourselves: no more calls in any second than allowed, what a
//! person waits for before the rest, and an answer at once for those who would wait too long.
//! `governor` was looked at: it knows neither lanes nor rates that adapt.

mod rates;
mod window;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

pub use rates::{RateSettings, Rates};
use window::Window;

/// Who goes first when calls must wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// How many calls may wait; beyond that, all lanes refuse at once.
const LONGEST_QUEUE: usize = 1000;

/// What a request brings along: its lane, and whether its first call was let through.
#[derive(Debug, Default)]
pub(super) struct Ticket {
    pub(super) lane: Lane,
    begun: AtomicBool,
}

impl Ticket {
    pub(super) fn new(lane: Lane) -> Self {
        Self {
            lane,
            begun: AtomicBool::new(false),
        }
    }

    /// The request has got something out of Stripe, by a call of its own or of another's.
    pub(super) fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }
}

/// One account's budget.
#[derive(Debug)]
pub(super) struct Budget {
    rates: Rates,
    state: Mutex<State>,
    moved: Notify,
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
    /// Whoever waits, first come first served within a rank.
    waiting: BTreeMap<Place, &'static str>,
    arrivals: u64,
}

/// Rank, then order of arrival.
type Place = (Rank, u64);

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
            waiting: BTreeMap::new(),
            arrivals: 0,
        };
        Self {
            rates,
            state: Mutex::new(state),
            moved: Notify::new(),
        }
    }

    /// Waits for the call's turn, as long as the lane has patience.
    pub(super) async fn acquire(
        &self,
        endpoint: &'static str,
        ticket: &Ticket,
    ) -> Result<Permit<'_>, Refused> {
        let begun = ticket.begun.load(Ordering::Relaxed);
        let now = Instant::now();
        let deadline;
        let queued = {
            let mut state = self.state();
            let place = state.place(ticket.lane, begun);
            deadline = now
                + match ticket.lane {
                    _ if begun => PATIENCE_ONCE_BEGUN,
                    Lane::Check if state.gives_way(place, now) => PATIENCE_BEHIND_BULK,
                    lane => lane.patience(),
                };
            match state.try_take(&self.rates, endpoint, place, now) {
                None => {
                    ticket.begin();
                    return Ok(Permit(self));
                }
                Some(opens) if state.waiting.len() >= LONGEST_QUEUE || opens > deadline => {
                    return Err(state.refusal(&self.rates, opens, now));
                }
                Some(_) => state.waiting.insert(place, endpoint),
            };
            Queued {
                budget: self,
                place,
            }
        };
        loop {
            let moved = self.moved.notified();
            let now = Instant::now();
            let opens = {
                let mut state = self.state();
                match state.try_take(&self.rates, endpoint, queued.place, now) {
                    None => {
                        ticket.begin();
                        return Ok(Permit(self));
                    }
                    Some(opens) if now >= deadline => {
                        return Err(state.refusal(&self.rates, opens, now));
                    }
                    Some(opens) => opens,
                }
            };
            tokio::select! {
                () = moved => {}
                () = tokio::time::sleep_until(opens.min(deadline)) => {}
            }
        }
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
    fn place(&mut self, lane: Lane, begun: bool) -> Place {
        self.arrivals += 1;
        let rank = match lane {
            Lane::Interactive => Rank::Interactive,
            Lane::Check if begun => Rank::Begun,
            Lane::Check => Rank::Check,
            Lane::Bulk => Rank::Bulk,
        };
        (rank, self.arrivals)
    }

    /// Whether what bulk leaves behind is enough for all who go before it, up to `place`.
    fn gives_way(&mut self, place: Place, now: Instant) -> bool {
        self.bulk.count(now) > self.waiting.range(..place).count()
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

    /// Takes a place in this second, or says when to look again.
    fn try_take(
        &mut self,
        rates: &Rates,
        endpoint: &'static str,
        place: Place,
        now: Instant,
    ) -> Option<Instant> {
        let opens = self.opens(rates, endpoint, place.0, now);
        if opens > now {
            return Some(opens);
        }
        // Whoever is ahead goes first, unless it waits for an endpoint of its own.
        let ahead = self.waiting.range(..place);
        let ahead: Vec<_> = ahead
            .map(|((rank, _), endpoint)| (*rank, *endpoint))
            .collect();
        if ahead
            .into_iter()
            .any(|(rank, endpoint)| self.opens(rates, endpoint, rank, now) <= now)
        {
            return Some(now + Duration::from_millis(5));
        }
        self.total.add(now);
        if place.0 == Rank::Bulk {
            self.bulk.add(now);
        }
        self.endpoints.entry(endpoint).or_default().add(now);
        self.in_flight += 1;
        None
    }

    fn opens(
        &mut self,
        rates: &Rates,
        endpoint: &'static str,
        rank: Rank,
        now: Instant,
    ) -> Instant {
        let kept = if rank == Rank::Bulk {
            KEPT_FROM_BULK
        } else {
            u32::MAX
        };
        if self.in_flight >= rates.concurrent - rates.concurrent / kept as usize {
            return now + Duration::from_millis(20);
        }
        let (total, own) = (self.allowed(rates.total), self.allowed(rates.of(endpoint)));
        let total = self.total.opens((total - total / kept) as usize, now);
        total.max(
            self.endpoints
                .entry(endpoint)
                .or_default()
                .opens(own as usize, now),
        )
    }

    /// When to come back: after those who wait already.
    fn refusal(&self, rates: &Rates, opens: Instant, now: Instant) -> Refused {
        let queue = f64::from(u32::try_from(self.waiting.len()).unwrap_or(u32::MAX));
        let wait = queue / f64::from(self.allowed(rates.total));
        let seconds = (opens.saturating_duration_since(now).as_secs_f64() + wait).round();
        Refused {
            retry_after: Duration::from_secs_f64(seconds.clamp(1.0, 60.0)),
        }
    }
}

/// A place in the queue, given up however the wait ends.
struct Queued<'a> {
    budget: &'a Budget,
    place: Place,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.budget.state().waiting.remove(&self.place);
        self.budget.moved.notify_waiters();
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.state().in_flight -= 1;
        self.0.moved.notify_waiters();
    }
}

#[cfg(test)]
mod tests;

//! An exact sliding window of the last second's calls. A token bucket would let too many calls through in some seconds,
//! and Stripe refuses those.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// One second, plus a margin for varying latency.
const LENGTH: Duration = Duration::from_millis(1010);

/// The times of the last second's calls.
#[derive(Debug, Default)]
pub(super) struct Window(VecDeque<Instant>);

impl Window {
    /// When one more call fits, at `allowed` calls per second: `now`, or later.
    pub(super) fn opens_at(&mut self, allowed: usize, now: Instant) -> Instant {
        self.forget(now);
        match self.0.len().checked_sub(allowed) {
            None => now,
            Some(excess) => self.0.get(excess).map_or(now, |oldest| *oldest + LENGTH),
        }
    }

    /// Adds a call.
    pub(super) fn add(&mut self, now: Instant) {
        self.0.push_back(now);
    }

    /// The number of calls.
    pub(super) fn count(&mut self, now: Instant) -> usize {
        self.forget(now);
        self.0.len()
    }

    fn forget(&mut self, now: Instant) {
        while self.0.front().is_some_and(|oldest| *oldest + LENGTH <= now) {
            self.0.pop_front();
        }
    }
}

//! The calls of the last second, exactly: a bucket that refills would let more through in some
//! seconds, and those are what Stripe refuses.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// A second, and a little for calls that travel at different speeds.
const LENGTH: Duration = Duration::from_millis(1010);

/// When each call of the last second was made.
#[derive(Debug, Default)]
pub(super) struct Window(VecDeque<Instant>);

impl Window {
    /// When one more call fits, if `allowed` do in a second: `now`, or later.
    pub(super) fn opens(&mut self, allowed: usize, now: Instant) -> Instant {
        self.forget(now);
        match self.0.len().checked_sub(allowed) {
            None => now,
            Some(excess) => self.0.get(excess).map_or(now, |oldest| *oldest + LENGTH),
        }
    }

    /// Notes a call.
    pub(super) fn add(&mut self, now: Instant) {
        self.0.push_back(now);
    }

    /// How many calls there were.
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

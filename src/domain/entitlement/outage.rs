//! Remembers that Stripe was found unavailable.

use std::sync::{Mutex, PoisonError};

use super::Stale;

/// How long other requests rely on one failed call, in milliseconds.
const REMEMBERED_FOR: i64 = 1_000;

/// The last outage of one account's Stripe.
#[derive(Default)]
pub(in crate::domain) struct Outage(Mutex<Option<(i64, Stale)>>);

impl Outage {
    /// Why Stripe should not be asked at `now` (Unix milliseconds), if so.
    pub(super) fn reason(&self, now: i64) -> Option<Stale> {
        let found = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, reason) = found?;
        (0..REMEMBERED_FOR).contains(&(now - at)).then_some(reason)
    }

    /// Records an outage found at `now` (Unix milliseconds).
    pub(super) fn note(&self, now: i64, reason: Stale) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, reason));
    }

    /// Records that Stripe has answered.
    pub(super) fn is_over(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

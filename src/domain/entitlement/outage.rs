//! Remembers that Stripe was unavailable.

use std::sync::{Mutex, PoisonError};

use super::StaleReason;

/// How long requests rely on the failure of another request's call, in milliseconds.
const REMEMBERED_FOR: i64 = 1_000;

/// The last outage of Stripe that an account has observed.
#[derive(Default)]
pub(in crate::domain) struct Outage(Mutex<Option<(i64, StaleReason)>>);

impl Outage {
    /// Why Stripe should not be asked at `now` (Unix milliseconds); `None` if it can be asked.
    pub(super) fn reason(&self, now: i64) -> Option<StaleReason> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, reason) = last?;
        (0..REMEMBERED_FOR).contains(&(now - at)).then_some(reason)
    }

    /// Records an outage at `now` (Unix milliseconds).
    pub(super) fn note(&self, now: i64, reason: StaleReason) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, reason));
    }

    /// Records that Stripe has answered.
    pub(super) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

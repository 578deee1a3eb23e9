//! Whether Stripe is away, as far as somebody has found out lately.

use std::sync::{Mutex, PoisonError};

use super::Stale;

/// For how long one who found Stripe away speaks for all, in milliseconds.
const FOUND_OUT: i64 = 1_000;

/// An outage of one account's Stripe.
#[derive(Default)]
pub(in crate::domain) struct Outage(Mutex<Option<(i64, Stale)>>);

impl Outage {
    /// Why Stripe is not to be asked at a time in Unix milliseconds, if it is not.
    pub(super) fn reason(&self, now: i64) -> Option<Stale> {
        let found = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, reason) = found?;
        (0..FOUND_OUT).contains(&(now - at)).then_some(reason)
    }

    /// Somebody has found out, at a time in Unix milliseconds.
    pub(super) fn note(&self, now: i64, reason: Stale) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, reason));
    }

    /// Stripe has answered.
    pub(super) fn is_over(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

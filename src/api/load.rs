//! How much a server takes on at once. What is over the limit is told so at once: a queue would only make everybody
//! late, and its callers would have given up by the time they are served.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

use super::Shared;
use super::error::Error;
use crate::domain::{self, Lane};

/// How much longer than other requests those may take that make many calls to Stripe.
const BULK_FACTOR: u32 = 10;

/// What a request may take, and how many there may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest request body, in bytes.
    pub body: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// How long a request may take; push and pull, ten times as long.
    pub request_timeout: Duration,
    /// Requests in flight.
    pub concurrent: usize,
    /// Requests in flight with one API key.
    pub concurrent_per_key: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A model with some thousand features fits.
            body: 1 << 20,
            body_timeout: Duration::from_secs(15),
            request_timeout: Duration::from_secs(60),
            concurrent: 1024,
            concurrent_per_key: 256,
        }
    }
}

/// Places for requests in flight: in the server, or of one key.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Arc<AtomicUsize>);

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Held(Arc<AtomicUsize>);

impl Places {
    /// Takes a place if fewer than `most` are taken.
    pub(super) fn take(&self, most: usize) -> Option<Held> {
        let more = |taken: usize| (taken < most).then_some(taken + 1);
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok().then(|| Held(self.0.clone()))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Turns away what is too much for the server, and ends the wait for what takes too long.
///
/// A write that has begun is carried through whoever still waits for it: half of it may be in Stripe, and the caller's
/// next try must find its lock held until all of it is.
pub(super) async fn limit(
    State(app): State<Shared>,
    request: Request,
    next: Next,
) -> Result<Response, Error> {
    let held = app
        .places
        .take(app.limits.concurrent)
        .ok_or_else(Error::overloaded)?;
    let factor = match request.extensions().get::<Lane>() {
        Some(Lane::Bulk) => BULK_FACTOR,
        _ => 1,
    };
    let writes = !request.method().is_safe();
    let handled = async move {
        let _held = held;
        next.run(request).await
    };
    let wait = app.limits.request_timeout * factor;
    let answered = if writes {
        let write = app.writes.spawn(handled.in_current_span());
        tokio::time::timeout(wait, write)
            .await
            .map(|ended| ended.unwrap_or_else(|ended| resume_unwind(ended.into_panic())))
    } else {
        tokio::time::timeout(wait, handled).await
    };
    answered.map_err(|_| domain::Error::TimedOut.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_and_given_back() {
        let places = Places::default();
        let (first, second) = (places.take(2), places.take(2));
        assert!(first.is_some() && second.is_some() && places.take(2).is_none());
        drop(first);
        assert!(places.take(2).is_some());
        assert!(places.take(0).is_none());
    }
}

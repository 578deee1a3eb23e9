//! The limit on an account's calls per second.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::store::ids::Id;

/// The start of each account's current second, in real time, and the number of calls in it.
#[derive(Debug, Default)]
pub(crate) struct Limits(HashMap<Id, (Instant, u32)>);

impl Limits {
    /// Counts a call, or refuses it.
    pub(crate) fn admit(&mut self, account: &Id, limit: u32) -> Result<()> {
        let now = Instant::now();
        let (start, count) = self.0.entry(account.clone()).or_insert((now, 0));
        if now.duration_since(*start) >= Duration::from_secs(1) {
            (*start, *count) = (now, 0);
        }
        if *count >= limit {
            return Err(limited(Some("global-rate")));
        }
        *count += 1;
        Ok(())
    }
}

/// A 429. With a reason it comes from a limiter; without one, Stripe means that an object is locked.
pub(crate) fn limited(reason: Option<&str>) -> Error {
    let error = match reason {
        Some(_) => Error::invalid("Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.").code("rate_limit"),
        None => Error::invalid("This object cannot be accessed right now because another API request or Stripe process is currently accessing it. If you see this error intermittently, retry the request. If you see this error frequently and are making multiple concurrent requests to a single object, make your requests serially or at a lower rate. For more details, see https://stripe.com/docs/rate-limits#object-lock-timeouts.").code("lock_timeout"),
    }
    .status(429)
    .before_execution();
    Error {
        limited_by: reason.map(str::to_owned),
        ..error
    }
}

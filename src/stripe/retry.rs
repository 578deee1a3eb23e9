//! When a call is tried again, and how long that waits. Stripe's own word comes first.

use std::time::Duration;

use backon::ExponentialBuilder;

use super::{Error, Options};

/// The longest that we wait because Stripe asked us to.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Half a second, doubled up to five, jittered: what Stripe's own libraries do, and our default.
pub(super) fn backoff(options: &Options) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(options.first_wait)
        .with_max_delay(options.first_wait * 10)
        .with_max_times(options.retries)
        .with_jitter()
}

/// Whether a second try may fare better. Every write carries an idempotency key, so one that was
/// carried out although its answer was lost is answered from Stripe's memory.
pub(super) fn is_worthwhile(error: &Error) -> bool {
    match error {
        // No answer, or a body that was cut short or came from a proxy in between.
        Error::Transport(_) | Error::Decode { .. } => true,
        // The wait used up the caller's patience; another one would as well.
        Error::Timeout(_) | Error::Limited { .. } | Error::Abandoned => false,
        // Stripe tells what it kept, and would tell it again.
        Error::Api(e) if e.replayed => false,
        Error::Api(e) => e
            .should_retry
            .unwrap_or(matches!(e.status, 409 | 429 | 500..)),
    }
}

/// The wait before the next try: `Retry-After` where given, else what the back-off says.
pub(super) fn wait(error: &Error, planned: Option<Duration>) -> Option<Duration> {
    let planned = planned?;
    let asked = error.api().and_then(|e| e.retry_after);
    Some(asked.map_or(planned, |asked| asked.min(LONGEST_WAIT)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stripe::ApiError;

    fn api(status: u16, should_retry: Option<bool>) -> Error {
        Error::Api(Box::new(ApiError {
            status,
            should_retry,
            ..ApiError::default()
        }))
    }

    #[test]
    fn stripe_should_retry_overrides_the_status() {
        for (status, said, expected) in [
            (400, None, false),
            (402, None, false),
            (409, None, true),
            (429, None, true),
            (500, None, true),
            (503, None, true),
            (400, Some(true), true),
            (500, Some(false), false),
            (429, Some(false), false),
        ] {
            assert_eq!(
                is_worthwhile(&api(status, said)),
                expected,
                "{status} {said:?}"
            );
        }
    }

    #[test]
    fn retry_after_replaces_the_planned_wait_but_not_without_bound() {
        let with = |seconds| {
            Error::Api(Box::new(ApiError {
                status: 429,
                retry_after: Some(Duration::from_secs(seconds)),
                ..ApiError::default()
            }))
        };
        let planned = Some(Duration::from_millis(500));
        assert_eq!(wait(&with(2), planned), Some(Duration::from_secs(2)));
        assert_eq!(wait(&with(3600), planned), Some(LONGEST_WAIT));
        assert_eq!(wait(&api(500, None), planned), planned);
        assert_eq!(wait(&with(2), None), None, "out of tries");
    }
}

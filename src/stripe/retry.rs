//! When a call is retried, and after how long. Stripe's own headers take precedence.

use std::time::Duration;

use backon::ExponentialBuilder;

use super::{Error, Options};

/// The longest wait that Stripe's `Retry-After` can cause.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The waits between attempts. By default half a second, doubled up to five seconds, with jitter, as in Stripe's own
/// libraries.
pub(super) fn backoff(options: &Options) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(options.first_wait)
        .with_max_delay(options.first_wait * 10)
        .with_max_times(options.retries)
        .with_jitter()
}

/// Whether a retry may succeed. Every write carries an idempotency key, so Stripe replays the answer to a write whose
/// answer was lost.
pub(super) fn is_worthwhile(error: &Error) -> bool {
    match error {
        // No answer, or a body that was truncated or came from a proxy.
        Error::Transport(_) | Error::Decode { .. } => true,
        // The caller has waited long enough.
        Error::Timeout(_) | Error::Limited { .. } | Error::Abandoned => false,
        // Stripe would replay the same answer again.
        Error::Api(e) if e.replayed => false,
        Error::Api(e) => e
            .should_retry
            .unwrap_or(matches!(e.status, 409 | 429 | 500..)),
    }
}

/// The wait before the next attempt: `Retry-After` if Stripe sent it, or else the `planned` one of the back-off. None
/// if there are no attempts left.
pub(super) fn wait(error: &Error, planned: Option<Duration>) -> Option<Duration> {
    let planned = planned?;
    let retry_after = error.api().and_then(|e| e.retry_after);
    Some(retry_after.map_or(planned, |wait| wait.min(LONGEST_WAIT)))
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
        for (status, should_retry, expected) in [
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
                is_worthwhile(&api(status, should_retry)),
                expected,
                "{status} {should_retry:?}"
            );
        }
    }

    #[test]
    fn retry_after_replaces_the_planned_wait_up_to_a_limit() {
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

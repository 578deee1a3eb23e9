//! Stripe's time, from the `Date` header of its last answer, because this machine's clock may be wrong.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::DateTime;
use reqwest::header::{DATE, HeaderMap};

/// The date of the last answer in Unix seconds, and when it came.
#[derive(Debug, Default)]
pub(super) struct ServerTime(Mutex<Option<(i64, Instant)>>);

/// The maximum age of a date. If the machine sleeps, so does the monotonic clock that measures the age.
const MAX_AGE: Duration = Duration::from_secs(10 * 60);

impl ServerTime {
    pub(super) fn note(&self, headers: &HeaderMap) {
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        if let Some(date) = date {
            let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some((date.timestamp(), Instant::now()));
        }
    }

    /// Stripe's time in Unix seconds; `None` if it has not answered recently.
    pub(super) fn now(&self) -> Option<i64> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (date, came) = last?;
        let since = came.elapsed();
        let seconds = i64::try_from(since.as_secs()).ok()?;
        (since < MAX_AGE).then(|| date.saturating_add(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_valid_date_counts() {
        let time = ServerTime::default();
        let note = |date: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(DATE, date.parse().expect("a header"));
            time.note(&headers);
        };
        assert_eq!(time.now(), None);
        note("yesterday");
        assert_eq!(time.now(), None);
        note("Sun, 06 Nov 1994 08:49:37 GMT");
        let now = time.now().expect("a date");
        assert!((784_111_777..784_111_800).contains(&now));
    }
}

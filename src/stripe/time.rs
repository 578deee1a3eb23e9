//! What time it is at Stripe, by the `Date` of its last answer: the clock of this machine may be wrong.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::DateTime;
use reqwest::header::{DATE, HeaderMap};

/// The last answer's date, in Unix seconds, and when it came.
#[derive(Debug, Default)]
pub(super) struct ServerTime(Mutex<Option<(i64, Instant)>>);

/// An older date says too little: the machine may have slept since, and its stopwatch with it.
const LONGEST: Duration = Duration::from_secs(10 * 60);

impl ServerTime {
    pub(super) fn note(&self, headers: &HeaderMap) {
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        if let Some(date) = date {
            let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some((date.timestamp(), Instant::now()));
        }
    }

    /// Unix seconds; none if Stripe has not answered lately.
    pub(super) fn now(&self) -> Option<i64> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (date, came) = last?;
        let since = came.elapsed();
        let seconds = i64::try_from(since.as_secs()).ok()?;
        (since < LONGEST).then(|| date.saturating_add(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_counts_if_it_is_one() {
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

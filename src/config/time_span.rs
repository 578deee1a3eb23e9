//! Durations as people write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Numbers with units: `100ms`, `60s`, `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSpan(pub Duration);

/// The longest duration, a century. It is longer than anybody waits, and too short to overflow a clock.
const LONGEST: Duration = Duration::from_secs(876_000 * 60 * 60);

impl TimeSpan {
    /// A duration of `days` days.
    pub const fn days(days: u64) -> Self {
        Self(Duration::from_secs(days * 24 * 60 * 60))
    }

    /// Parses a duration that must not be zero.
    ///
    /// # Errors
    /// If it is malformed, or zero.
    pub fn above_zero(text: &str) -> Result<Self, String> {
        match text.parse()? {
            Self(Duration::ZERO) => Err("it must be longer than zero".to_owned()),
            span => Ok(span),
        }
    }
}

impl FromStr for TimeSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span = humantime::parse_duration(text)
            .map_err(|cause| format!("expected a duration like 100ms, 1s or 2m: {cause}"))?;
        if span > LONGEST {
            return Err("that is too long: 876000h (100 years) at most".to_owned());
        }
        Ok(Self(span))
    }
}

impl From<Duration> for TimeSpan {
    fn from(span: Duration) -> Self {
        Self(span)
    }
}

impl From<TimeSpan> for Duration {
    fn from(span: TimeSpan) -> Self {
        span.0
    }
}

/// Written in one unit, since `75s` is easier to compare than `1m 15s`.
impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.subsec_nanos() {
            0 => write!(f, "{}s", self.0.as_secs()),
            _ => write!(f, "{}ms", self.0.as_millis()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_units() {
        let millis = |text: &str| text.parse().map(|TimeSpan(span)| span.as_millis());
        assert_eq!(millis("100ms"), Ok(100));
        assert_eq!(millis("1s"), Ok(1_000));
        assert_eq!(millis("2m"), Ok(120_000));
        assert_eq!(millis("24h"), Ok(86_400_000));
        assert_eq!(millis("1h 30m"), Ok(5_400_000));
        assert_eq!(millis("876000h"), Ok(3_153_600_000_000));
        for text in [
            "",
            "1",
            "s",
            "-1s",
            "1 fortnight",
            "99999999999999999999s",
            "876001h",
            "9999999999999999999h",
            "9999999999999999999s",
        ] {
            assert!(millis(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_displayed_span_can_be_parsed() {
        for text in ["100ms", "1s", "75s", "1800s"] {
            let span: TimeSpan = text.parse().unwrap();
            assert_eq!(span.to_string(), text);
        }
    }
}

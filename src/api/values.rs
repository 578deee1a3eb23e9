//! Values that requests and answers share.
//!
//! References are parsed here. Optional fields have a default, because clients send `null`, no field, or for times the
//! year 1 to mean "not set" (see [`super::decode`]).

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat};
use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A required reference. A missing one is read as empty text, so that the error comes from the reference's own parser.
#[derive(Debug)]
pub(super) struct Required<T>(pub T);

impl<'de, T> Deserialize<'de> for Required<T>
where
    T: FromStr<Err: fmt::Display>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// A time in Unix seconds. In JSON it is RFC 3339, in UTC and whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time(pub i64);

impl Time {
    /// Go's zero time, which its client sends for every time that is not set.
    pub(super) const ZERO: Self = Self(-62_135_596_800);

    /// The last second of the year 9999.
    const LAST: Self = Self(253_402_300_799);
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A time that RFC 3339 cannot represent becomes the nearest one that it can.
        let seconds = self.0.clamp(Self::ZERO.0, Self::LAST.0);
        let time = DateTime::from_timestamp(seconds, 0)
            .ok_or_else(|| serde::ser::Error::custom(format!("{seconds} s is no time")))?;
        serializer.collect_str(&time.to_rfc3339_opts(SecondsFormat::Secs, true))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rfc3339;
        impl Visitor<'_> for Rfc3339 {
            type Value = Time;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time like 2030-01-31T12:00:00Z")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Time, E> {
                DateTime::parse_from_rfc3339(text)
                    .map(|time| Time(time.timestamp()))
                    .map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Rfc3339)
    }
}

/// A time that may be unset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OptionalTime(pub Option<i64>);

impl<'de> Deserialize<'de> for OptionalTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let time = Option::<Time>::deserialize(deserializer)?;
        Ok(Self(
            time.filter(|time| *time != Time::ZERO).map(|time| time.0),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_goes_out_in_utc_without_fractions() {
        let text = |time| serde_json::to_string(&time).unwrap();
        assert_eq!(text(Time(1_672_531_200)), "\"2023-01-01T00:00:00Z\"");
        assert_eq!(text(Time::ZERO), "\"0001-01-01T00:00:00Z\"");
    }

    #[test]
    fn a_time_out_of_range_becomes_the_nearest_one_in_range() {
        let shown = |seconds| serde_json::to_string(&Time(seconds)).expect("a time");
        for (seconds, expected) in [
            (i64::MIN, "0001-01-01T00:00:00Z"),
            (0, "1970-01-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (253_402_300_800, "9999-12-31T23:59:59Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(shown(seconds), format!("\"{expected}\""));
        }
    }
}

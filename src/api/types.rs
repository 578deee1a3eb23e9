//! Requests as they come over the wire, and the values that requests and answers share.
//!
//! References are parsed here, at the edge. Fields that may be absent have a default, since the clients mean "not set"
//! by `null`, by nothing at all, and in times by the year 1 (see [`super::decode`]).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat};
use serde::de::{IgnoredAny, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::refs::{FeatureName, OrgName, Reference};

/// A reference that has to be there. Missing reads as the empty text, so that the message is the one that the
/// reference's own parser gives.
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

/// An instant in Unix seconds; RFC 3339 on the wire, in UTC and whole seconds.
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
        // Beyond what RFC 3339 can say, the nearest that it can.
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
pub(super) struct Moment(pub Option<i64>);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let time = Option::<Time>::deserialize(deserializer)?;
        Ok(Self(
            time.filter(|time| *time != Time::ZERO).map(|time| time.0),
        ))
    }
}

/// `POST /v1/report`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportRequest {
    /// Whose usage.
    pub org: Required<OrgName>,
    /// Of what.
    pub feature: Required<FeatureName>,
    /// How much.
    #[serde(default)]
    pub n: i64,
    /// When; unset is now.
    #[serde(default)]
    pub at: Moment,
    /// Set the period's total instead of adding to it.
    #[serde(default)]
    pub clobber: bool,
}

/// `POST /v1/subscribe`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubscribeRequest {
    /// Whose plan changes.
    pub org: Required<OrgName>,
    /// `pm_…` for the invoices to come.
    #[serde(default)]
    pub payment_method_id: String,
    /// How tax is dealt with.
    #[serde(default)]
    pub tax: TaxRequest,
    /// Customer details to write; none leaves them alone.
    #[serde(default)]
    pub info: Option<InfoRequest>,
    /// What holds from when; none leaves the subscription alone.
    #[serde(default)]
    pub phases: Vec<PhaseRequest>,
}

/// How tax is dealt with.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TaxRequest {
    /// Stripe computes it. Unset: as it is.
    pub automatic: Option<bool>,
    /// Checkout asks for a tax id.
    pub collect_id: bool,
}

/// Customer details, as far as they can be written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct InfoRequest {
    /// E-mail address; empty leaves it as it is, and so in the next three.
    pub email: String,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Phone number.
    pub phone: String,
    /// Part of what `whois` answers, and ignored when it comes back.
    pub created: IgnoredAny,
    /// Keys to set; an empty value deletes the key.
    pub metadata: BTreeMap<String, Option<String>>,
    /// `pm_…` to attach.
    pub payment_method: String,
    /// What invoices are paid with.
    pub invoice_settings: InvoiceSettings,
}

/// What invoices are paid with.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct InvoiceSettings {
    /// `pm_…`, or empty.
    pub default_payment_method: String,
}

/// One phase of a subscription.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PhaseRequest {
    /// Nothing is charged during this phase.
    pub trial: bool,
    /// When it starts; unset is now.
    pub effective: Moment,
    /// Plans, and single features of plans.
    pub features: Vec<Reference>,
    /// Id of a coupon. Unset: the one that runs; empty: none.
    pub coupon: Option<String>,
    /// Part of what `phase` answers, and ignored when it comes back.
    pub coupon_data: IgnoredAny,
}

/// `POST /v1/checkout`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckoutRequest {
    /// Who pays.
    pub org: Required<OrgName>,
    /// Where the browser goes afterwards.
    #[serde(default)]
    pub success_url: String,
    /// Where it goes if the person turns back.
    #[serde(default)]
    pub cancel_url: String,
    /// Plans, and single features of plans; none: only a card is taken.
    #[serde(default)]
    pub features: Vec<Reference>,
    /// Length of a trial, in days; none if it is not above zero.
    #[serde(default)]
    pub trial_days: i64,
    /// The page asks for an address.
    #[serde(default)]
    pub require_billing_address: bool,
    /// How tax is dealt with.
    #[serde(default)]
    pub tax: TaxRequest,
}

/// `POST /v1/clock`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClockRequest {
    /// The clock to advance; none makes one.
    #[serde(default)]
    pub id: String,
    /// A new clock's name.
    #[serde(default)]
    pub name: String,
    /// The time that it shall show.
    #[serde(default)]
    pub present: Moment,
}

#[cfg(test)]
mod tests {
    use super::super::decode::from_slice;
    use super::*;

    fn fault<T: serde::de::DeserializeOwned>(body: &str) -> String {
        match from_slice::<T>(body.as_bytes()) {
            Ok(_) => "accepted".to_owned(),
            Err(fault) => fault.to_string(),
        }
    }

    #[test]
    fn a_missing_reference_gets_the_message_of_an_empty_one() {
        let missing = "org is required: org must be prefixed with \"org:\"";
        for (body, org) in [
            ("", missing),
            ("null", missing),
            ("{}", missing),
            (r#"{"org":null}"#, missing),
            (r#"{"org":""}"#, missing),
            (r#"{"org":"acme"}"#, "org must be prefixed with \"org:\""),
        ] {
            assert_eq!(fault::<ReportRequest>(body), org, "{body}");
            assert_eq!(fault::<SubscribeRequest>(body), org, "{body}");
            assert_eq!(fault::<CheckoutRequest>(body), org, "{body}");
        }
        assert_eq!(
            fault::<ReportRequest>(r#"{"org":"org:a"}"#),
            "feature name must start with 'feature:': \"\""
        );
    }

    #[test]
    fn times_are_rfc_3339_and_the_year_1_is_unset() {
        let at = |at: &str| {
            let body = format!(r#"{{"present":{at}}}"#);
            from_slice::<ClockRequest>(body.as_bytes())
                .map(|request| request.present.0)
                .map_err(|fault| fault.to_string())
        };
        assert_eq!(at("null"), Ok(None));
        assert_eq!(at(r#""0001-01-01T00:00:00Z""#), Ok(None));
        assert_eq!(at(r#""2023-01-01T00:00:00Z""#), Ok(Some(1_672_531_200)));
        assert_eq!(
            at(r#""2023-01-01T01:00:00.999+01:00""#),
            Ok(Some(1_672_531_200))
        );
        assert_eq!(
            at(r#""tomorrow""#),
            Err(
                "present must be an RFC 3339 time like 2030-01-31T12:00:00Z, not \"tomorrow\""
                    .to_owned()
            )
        );
        assert_eq!(
            at("1672531200"),
            Err(
                "present must be an RFC 3339 time like 2030-01-31T12:00:00Z, not a number"
                    .to_owned()
            )
        );
    }

    #[test]
    fn a_time_goes_out_in_utc_without_fractions() {
        let text = |time| serde_json::to_string(&time).unwrap();
        assert_eq!(text(Time(1_672_531_200)), "\"2023-01-01T00:00:00Z\"");
        assert_eq!(text(Time::ZERO), "\"0001-01-01T00:00:00Z\"");
    }

    #[test]
    fn the_go_clients_spelling_is_accepted() {
        let body = br#"{"ID":"clock_1","Name":"","Present":"2023-01-01T00:00:00Z"}"#;
        let clock: ClockRequest = from_slice(body).unwrap();
        assert_eq!(
            (clock.id.as_str(), clock.present.0),
            ("clock_1", Some(1_672_531_200))
        );
        assert_eq!(
            fault::<ReportRequest>(r#"{"Org":"org:a"}"#),
            "feature name must start with 'feature:': \"\""
        );
    }

    #[test]
    fn what_the_go_client_sends_for_unset_is_unset() {
        let body = br#"{"org":"org:a","payment_method_id":"","tax":{},"info":null,"phases":[
            {"trial":false,"effective":"0001-01-01T00:00:00Z","features":null,"coupon":"","coupon_data":null}]}"#;
        let request: SubscribeRequest = from_slice(body).unwrap();
        assert!(request.info.is_none());
        assert_eq!(request.phases.len(), 1);
        assert_eq!(request.phases[0].effective, Moment(None));
        assert!(request.phases[0].features.is_empty());
    }

    #[test]
    fn a_time_beyond_what_can_be_written_is_the_nearest_that_can() {
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

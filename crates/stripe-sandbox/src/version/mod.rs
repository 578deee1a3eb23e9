//! The API version of a call.
//!
//! There is one state, and views render it as 2022-11-15. [Version changes](changes) then convert the JSON to a later
//! version, like Stripe's own version-change modules. Differences in requests are handled where these are read: a route
//! has an [`Availability`], and inputs check the version of the call.

mod changes;

use std::fmt;
use std::str::FromStr;

use axum::http::HeaderMap;

use crate::error::{Error, Result};

/// A version of Stripe's API that the sandbox speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ApiVersion {
    /// `2022-11-15`: usage records, coupons, upcoming invoices.
    #[default]
    V2022_11_15,
    /// `2026-10-28.endive`: billing meters, discounts, previews of invoices.
    V2026_10_28,
}

impl ApiVersion {
    /// All versions, oldest first.
    pub const ALL: [Self; 2] = [Self::V2022_11_15, Self::V2026_10_28];

    /// The version as the header `Stripe-Version` names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2022_11_15 => "2022-11-15",
            Self::V2026_10_28 => "2026-10-28.endive",
        }
    }

    /// Whether the version has meters instead of usage records, and discounts instead of coupons.
    pub(crate) fn has_meters(self) -> bool {
        self >= Self::V2026_10_28
    }

    /// Whether the version has this type of events. Later versions removed one type.
    pub(crate) fn has_event(self, kind: &str) -> bool {
        kind != "invoiceitem.updated" || self < Self::V2026_10_28
    }

    /// Converts JSON of 2022-11-15 to this version. Must be applied only once to a value.
    pub(crate) fn convert(self, json: &mut serde_json::Value) {
        if self >= Self::V2026_10_28 {
            changes::apply(json);
        }
    }

    /// Like [`convert`](Self::convert), for an owned value.
    pub(crate) fn converted(self, mut json: serde_json::Value) -> serde_json::Value {
        self.convert(&mut json);
        json
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ApiVersion {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> std::result::Result<Self, UnknownVersion> {
        let mut all = Self::ALL.into_iter();
        all.find(|version| version.as_str() == text)
            .ok_or(UnknownVersion)
    }
}

/// The error for an API version that the sandbox does not speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownVersion;

impl fmt::Display for UnknownVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = ApiVersion::ALL;
        write!(f, "the sandbox only speaks {first} and {second}")
    }
}

impl std::error::Error for UnknownVersion {}

/// The version of a call: that of its header, else `default`. Unsupported versions are refused, because their clients
/// would misread the answers.
pub(crate) fn of_call(headers: &HeaderMap, default: ApiVersion) -> Result<ApiVersion> {
    let Some(header) = headers.get("stripe-version") else {
        return Ok(default);
    };
    let given = String::from_utf8_lossy(header.as_bytes());
    let [first, second] = ApiVersion::ALL;
    given.parse().map_err(|UnknownVersion| {
        Error::invalid(format!(
            "The sandbox only supports the API versions `{first}` and `{second}`, not `{given}`: send one of these as `Stripe-Version`, or leave the header out for `{default}`."
        ))
        .before_execution()
    })
}

/// The versions in which an endpoint exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Availability {
    All,
    /// Later versions do not have it.
    Until(ApiVersion),
    /// Earlier versions do not have it. (At Stripe, older versions have some of these endpoints, too.)
    Since(ApiVersion),
}

impl Availability {
    pub(crate) fn includes(self, version: ApiVersion) -> bool {
        match self {
            Self::All => true,
            Self::Until(last) => version <= last,
            Self::Since(first) => version >= first,
        }
    }
}

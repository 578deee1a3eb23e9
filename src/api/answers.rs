//! Answers as they go over the wire: the order of the fields is part of the contract.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;

use super::types::{InvoiceSettings, Time};
use crate::domain::refs::{self, FeatureName, FeaturePlan, OrgName, PlanName};
use crate::{domain, num};

/// `GET /v1/whoami`
#[derive(Serialize)]
pub(super) struct Whoami {
    id: String,
    email: String,
    created: Time,
    key_source: String,
    isolated: bool,
    url: String,
}

impl From<domain::Whoami> for Whoami {
    fn from(account: domain::Whoami) -> Self {
        Self {
            id: account.id,
            email: account.email,
            created: Time(account.created),
            key_source: account.key_source,
            isolated: account.isolated,
            url: account.url,
        }
    }
}

/// `GET /v1/whois`
#[derive(Serialize)]
pub(super) struct Whois {
    #[serde(flatten)]
    pub(super) info: Option<OrgInfo>,
    pub(super) org: OrgName,
    pub(super) stripe_id: String,
}

/// What `include=info` adds.
#[derive(Serialize)]
pub(super) struct OrgInfo {
    email: String,
    name: String,
    description: String,
    phone: String,
    created: Time,
    metadata: BTreeMap<String, String>,
    /// Never known: Stripe takes it, and does not tell.
    payment_method: &'static str,
    invoice_settings: InvoiceSettings,
}

impl From<domain::OrgInfo> for OrgInfo {
    fn from(info: domain::OrgInfo) -> Self {
        Self {
            email: info.email,
            name: info.name,
            description: info.description,
            phone: info.phone,
            created: Time(info.created),
            metadata: info.metadata,
            payment_method: "",
            invoice_settings: InvoiceSettings {
                default_payment_method: info.default_payment_method,
            },
        }
    }
}

/// `GET /v1/payment_methods`
#[derive(Serialize)]
pub(super) struct PaymentMethods {
    pub(super) org: OrgName,
    pub(super) methods: Vec<Value>,
}

/// `/v1/clock`
#[derive(Serialize)]
pub(super) struct Clock {
    id: String,
    link: String,
    present: Time,
    status: String,
}

impl From<domain::ClockState> for Clock {
    fn from(clock: domain::ClockState) -> Self {
        Self {
            id: clock.id,
            link: clock.link,
            present: Time(clock.present),
            status: clock.status,
        }
    }
}

/// `GET /v1/limits`
#[derive(Serialize)]
pub(super) struct Limits {
    pub(super) org: OrgName,
    pub(super) usage: Vec<FeatureUsage>,
}

/// A row of it.
#[derive(Serialize)]
pub(super) struct FeatureUsage {
    feature: FeatureName,
    used: i64,
    limit: i64,
}

impl From<domain::FeatureUsage> for FeatureUsage {
    fn from(row: domain::FeatureUsage) -> Self {
        Self {
            feature: row.feature,
            used: row.used,
            limit: row.limit,
        }
    }
}

/// `POST /v1/checkout`
#[derive(Serialize)]
pub(super) struct CheckoutPage {
    pub(super) url: String,
}

/// `POST /v1/push`
#[derive(Serialize)]
pub(super) struct PushResults {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    results: Vec<PushResult>,
}

#[derive(Serialize)]
struct PushResult {
    feature: FeaturePlan,
    status: &'static str,
    reason: String,
    #[serde(flatten)]
    price: Option<Price>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Price {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
}

impl From<Vec<domain::PushResult>> for PushResults {
    fn from(results: Vec<domain::PushResult>) -> Self {
        let results = results.into_iter().map(PushResult::from).collect();
        Self { results }
    }
}

impl From<domain::PushResult> for PushResult {
    fn from(result: domain::PushResult) -> Self {
        let warnings = refs::warning(&result.feature).into_iter().collect();
        Self {
            feature: result.feature,
            status: if result.outcome.is_ok() {
                "ok"
            } else {
                "failed"
            },
            reason: result.outcome.reason().to_owned(),
            price: result.price.map(|price| Price {
                id: price.id,
                link: price.link,
            }),
            warnings,
        }
    }
}

/// `GET /v1/phase`; what is empty, false or unset is left out.
#[derive(Serialize)]
pub(super) struct Phase {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    features: Vec<FeaturePlan>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    plans: Vec<PlanName>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fragments: Vec<FeaturePlan>,
    #[serde(skip_serializing_if = "is_false")]
    trial: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    coupon_data: Option<Coupon>,
    effective: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tax: Option<Tax>,
    #[serde(skip_serializing_if = "Option::is_none")]
    coupon: Option<String>,
}

impl From<domain::Phase> for Phase {
    fn from(phase: domain::Phase) -> Self {
        Self {
            features: phase.features,
            plans: phase.plans,
            fragments: phase.fragments,
            trial: phase.trial,
            coupon: phase.coupon.as_ref().map(|coupon| coupon.id.clone()),
            coupon_data: phase.coupon.map(Coupon::from),
            effective: Time(phase.effective),
            end: phase.end.map(Time),
            current: phase.current.map(Span::from),
            tax: phase.automatic_tax.then_some(Tax { automatic: true }),
        }
    }
}

/// `GET /v1/phases`
#[derive(Serialize)]
pub(super) struct Phases {
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<Span>,
    phases: Vec<Phase>,
}

impl From<domain::Phases> for Phases {
    fn from(phases: domain::Phases) -> Self {
        Self {
            current: phases.current.map(Span::from),
            phases: phases.phases.into_iter().map(Phase::from).collect(),
        }
    }
}

/// From when to when.
#[derive(Serialize)]
struct Span {
    effective: Time,
    end: Time,
}

impl From<domain::Span> for Span {
    fn from(span: domain::Span) -> Self {
        Self {
            effective: Time(span.effective),
            end: Time(span.end),
        }
    }
}

#[derive(Serialize)]
struct Tax {
    automatic: bool,
}

/// A coupon's terms. Three keys are capitalised and always there, because they always were.
#[derive(Serialize)]
struct Coupon {
    id: String,
    #[serde(rename = "Metadata")]
    metadata: BTreeMap<String, String>,
    #[serde(rename = "Created")]
    created: Time,
    #[serde(skip_serializing_if = "is_zero")]
    amount_off: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    currency: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    duration: String,
    #[serde(skip_serializing_if = "is_zero")]
    duration_in_months: i64,
    #[serde(skip_serializing_if = "is_zero")]
    max_redemptions: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(
        skip_serializing_if = "Decimal::is_zero",
        serialize_with = "num::serialize"
    )]
    percent_off: Decimal,
    #[serde(rename = "RedeemBy")]
    redeem_by: Time,
    #[serde(skip_serializing_if = "is_zero")]
    times_redeemed: i64,
    #[serde(skip_serializing_if = "is_false")]
    valid: bool,
}

impl From<domain::Coupon> for Coupon {
    fn from(coupon: domain::Coupon) -> Self {
        Self {
            id: coupon.id,
            metadata: coupon.metadata,
            created: Time(coupon.created),
            amount_off: coupon.amount_off.unwrap_or_default(),
            currency: coupon.currency.unwrap_or_default(),
            duration: coupon.duration,
            duration_in_months: coupon.duration_in_months.unwrap_or_default(),
            max_redemptions: coupon.max_redemptions.unwrap_or_default(),
            name: coupon.name.unwrap_or_default(),
            percent_off: coupon.percent_off.unwrap_or_default(),
            redeem_by: coupon.redeem_by.map_or(Time::ZERO, Time),
            times_redeemed: coupon.times_redeemed,
            valid: coupon.valid,
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out references"
)]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out references"
)]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

//! An org's past, current and future plans.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Serialize;

use crate::api::Role;
use crate::api::error::Error;
use crate::api::extract::Org;
use crate::api::json::Json;
use crate::api::operation::{Access, Operation};
use crate::api::values::Time;
use crate::domain::refs::{FeaturePlan, PlanName};
use crate::domain::{self, Answered, Domain, Lane};
use crate::num;

pub(in crate::api) fn operations() -> [Operation; 2] {
    let access = || Access::Account(Lane::Check, Role::Read);
    [
        Operation::get("phase", "/v1/phase", access(), phase),
        Operation::get("phases", "/v1/phases", access(), phases),
    ]
}

async fn phase(
    domain: Domain,
    Org(org): Org,
) -> Result<Answered<Result<Json<Phase>, Error>>, Error> {
    let known = domain.phase(&org).await?;
    Ok(known.map(|phase| Ok(Json(phase?.into()))))
}

async fn phases(domain: Domain, Org(org): Org) -> Result<Json<Phases>, Error> {
    Ok(Json(domain.phases(&org).await?.into()))
}

/// `GET /v1/phase`. Fields that are empty, false or unset are left out.
#[derive(Serialize)]
struct Phase {
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
            current: phase.current_period.map(Span::from),
            tax: phase.automatic_tax.then_some(Tax { automatic: true }),
        }
    }
}

/// `GET /v1/phases`
#[derive(Serialize)]
struct Phases {
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<Span>,
    phases: Vec<Phase>,
}

impl From<domain::Phases> for Phases {
    fn from(phases: domain::Phases) -> Self {
        Self {
            current: phases.current_period.map(Span::from),
            phases: phases.phases.into_iter().map(Phase::from).collect(),
        }
    }
}

/// The beginning and the end of a period.
#[derive(Serialize)]
pub(super) struct Span {
    effective: Time,
    end: Time,
}

impl From<domain::BillingPeriod> for Span {
    fn from(period: domain::BillingPeriod) -> Self {
        Self {
            effective: Time(period.start),
            end: Time(period.end),
        }
    }
}

#[derive(Serialize)]
struct Tax {
    automatic: bool,
}

/// A coupon's terms. As in the original, three keys are capitalized and always present.
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

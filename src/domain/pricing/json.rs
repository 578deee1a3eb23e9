//! Writes the model as JSON. The order of fields and the omission of defaults are as in the original Tier, since people
//! keep the output in git.
//!
//! A plan's hash is computed from its JSON, so a change here makes every pushed plan look changed.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Aggregate, Currency, Divide, Feature, Interval, Mode, Model, Plan, Rounding, Tier};
use crate::domain::refs::{FeatureName, PlanName};
use crate::num;

#[derive(Serialize)]
struct ModelJson<'a> {
    plans: BTreeMap<&'a PlanName, PlanJson<'a>>,
}

#[derive(Serialize)]
struct PlanJson<'a> {
    title: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    archived: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<Interval>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<&'a str>,
    features: BTreeMap<&'a FeatureName, FeatureJson<'a>>,
}

#[derive(Serialize)]
struct FeatureJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aggregate: Option<Aggregate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tiers: Option<Vec<TierJson>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    divide: Option<DivideJson>,
}

#[derive(Serialize)]
struct TierJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    upto: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<i64>,
}

#[derive(Serialize)]
struct DivideJson {
    by: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rounding: Option<Rounding>,
}

#[derive(Serialize)]
pub(super) struct Number(#[serde(serialize_with = "num::serialize")] pub(super) Decimal);

fn number(value: Decimal) -> Option<Number> {
    (!value.is_zero()).then_some(Number(value))
}

pub(super) fn unless_default<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

impl<'a> PlanJson<'a> {
    fn of(name: &PlanName, plan: &'a Plan) -> Self {
        let currency = plan.currency.as_str();
        let features = (plan.features.iter())
            .map(|(feature_name, feature)| {
                let default_title = feature_name.on(name);
                (
                    feature_name,
                    FeatureJson::of(default_title.as_str(), feature),
                )
            })
            .collect();
        Self {
            title: &plan.title,
            archived: false,
            interval: unless_default(plan.interval),
            currency: (currency != "usd").then_some(currency),
            features,
        }
    }
}

impl<'a> FeatureJson<'a> {
    fn of(default_title: &str, feature: &'a Feature) -> Self {
        Self {
            title: (feature.title != default_title).then_some(&feature.title),
            base: number(feature.base),
            mode: unless_default(feature.mode),
            aggregate: unless_default(feature.aggregate),
            tiers: (feature.tiers.as_ref()).map(|tiers| tiers.iter().map(TierJson::of).collect()),
            divide: feature.divide.map(DivideJson::of),
        }
    }
}

impl TierJson {
    fn of(tier: &Tier) -> Self {
        Self {
            upto: tier.upto,
            price: number(tier.price),
            base: unless_default(tier.base),
        }
    }
}

impl DivideJson {
    fn of(divide: Divide) -> Self {
        Self {
            by: divide.by,
            rounding: unless_default(divide.rounding),
        }
    }
}

/// The terms of a feature as names and JSON values, starting with the plan's. They are used to compare features.
pub(in crate::domain) fn fields(
    plan_title: &str,
    interval: Interval,
    currency: &Currency,
    feature: &Feature,
) -> [(&'static str, String); 9] {
    let tiers = feature.tiers.as_deref();
    let tiers = tiers.map(|tiers| tiers.iter().map(TierJson::of).collect::<Vec<_>>());
    [
        ("plan title", text(&plan_title)),
        ("interval", text(&interval)),
        ("currency", text(&currency.as_str())),
        ("title", text(&feature.title)),
        ("base", text(&Number(feature.base))),
        ("mode", text(&feature.mode)),
        ("aggregate", text(&feature.aggregate)),
        ("tiers", text(&tiers)),
        ("divide", text(&feature.divide.map(DivideJson::of))),
    ]
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("a model is text and numbers")
}

/// The value of the model's field `plans`, without white space.
pub(super) fn plans(model: &Model) -> String {
    let plans = model.plans.iter();
    let plans = plans.map(|(name, plan)| (name, PlanJson::of(name, plan)));
    let plans: BTreeMap<_, _> = plans.collect();
    serde_json::to_string(&plans).expect("a model is text and numbers")
}

/// The model, indented by two spaces. The `archived` plans have the field `archived`.
pub(super) fn model(model: &Model, archived: &BTreeSet<PlanName>) -> String {
    let plans = (model.plans.iter())
        .map(|(name, plan)| {
            let plan = PlanJson {
                archived: archived.contains(name),
                ..PlanJson::of(name, plan)
            };
            (name, plan)
        })
        .collect();
    serde_json::to_string_pretty(&ModelJson { plans }).expect("a model is text and numbers")
}

impl Plan {
    /// The SHA-256 of the plan's JSON, in hex. Plans with the same name have equal hashes only if they are equal.
    pub fn hash(&self, name: &PlanName) -> String {
        let json =
            serde_json::to_vec(&PlanJson::of(name, self)).expect("a plan is text and numbers");
        num::hex(&Sha256::digest(&json))
    }
}

//! The model in the format of 2022: features have a `type` and a `reset`, and every tier has all of its fields.
//!
//! That format cannot express everything: a licensed feature becomes one tier with its base, and `divide` is left out.
//! So a plan that is pushed unchanged after it was pulled is recognised by its content, and read as the existing plan.
//! Numbers are compared as JavaScript's, since its clients parse and print them in between.

use std::collections::BTreeMap;

use jsonc_parser::ast::{Object, Value};
use rust_decimal::Decimal;
use serde::Serialize;

use super::fault::{Path, short};
use super::json::{Number, unless_default};
use super::read::{Fields, Reader};
use super::{Aggregate, Faults, Feature, Interval, Mode, Model, NO_LIMIT, Plan, Tier, parse};
use crate::domain::refs::{FeatureName, PlanName};
use crate::num::{self, NumberError};

/// Fields of a plan that are ignored. Plans on a pricing page have them.
pub(super) const PLAN_FIELDS: [&str; 3] = ["id", "name", "version"];

/// The fields of a feature, in either format.
pub(super) const FEATURE_FIELDS: [&str; 8] = [
    "title",
    "base",
    "mode",
    "aggregate",
    "tiers",
    "divide",
    "type",
    "reset",
];

/// The `reset` of a perpetual feature.
const NEVER: &str = "@never";

/// The `reset` of a feature that resets with its plan's interval.
const PERIOD: &str = "@period";

/// The state of a reader that accepts the format of 2022.
pub(super) struct LegacyReader {
    /// The existing plans, each with its text in that format.
    existing: BTreeMap<PlanName, (Plan, String)>,
    /// The resets of the features of the plan that is being read.
    resets: Vec<Interval>,
}

impl Model {
    /// Parses a model in the format of 2022 or in the current one, or a JSON string with such a text. A plan that
    /// equals an `existing` plan as [`to_legacy`](Self::to_legacy) writes it is read as the existing plan.
    ///
    /// # Errors
    /// Every fault, each with its position.
    pub fn parse_legacy(bytes: &[u8], existing: Self) -> Result<Self, Faults> {
        let text = std::str::from_utf8(bytes);
        let text = text.map_err(|error| Faults::not_utf8(bytes, error.valid_up_to()))?;
        let text = parse::without_byte_order_mark(text);
        let mut reader = Reader {
            legacy: Some(LegacyReader::new(existing)),
            ..Reader::default()
        };
        match parse::syntax_tree(text)? {
            Some(Value::StringLit(inner)) => {
                let tree = parse::syntax_tree(&inner.value)?;
                parse::model_from_tree(&inner.value, tree.as_ref(), &mut reader)
            }
            tree => parse::model_from_tree(text, tree.as_ref(), &mut reader),
        }
    }

    /// The model in the format of 2022.
    pub fn to_legacy(&self) -> LegacyModel<'_> {
        let plans = self.plans.iter();
        LegacyModel {
            plans: plans
                .map(|(name, plan)| (name, LegacyPlan::of(plan)))
                .collect(),
        }
    }
}

/// A model in the format of 2022.
#[derive(Serialize)]
pub struct LegacyModel<'a> {
    plans: BTreeMap<&'a PlanName, LegacyPlan<'a>>,
}

/// A plan in the format of 2022.
#[derive(Serialize)]
pub struct LegacyPlan<'a> {
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<Interval>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<&'a str>,
    features: BTreeMap<&'a FeatureName, LegacyFeature<'a>>,
}

#[derive(Serialize)]
struct LegacyFeature<'a> {
    title: &'a str,
    r#type: Mode,
    reset: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    aggregate: Option<Aggregate>,
    tiers: Vec<LegacyTier>,
}

#[derive(Serialize)]
struct LegacyTier {
    upto: i64,
    price: Number,
    base: Number,
}

impl<'a> LegacyPlan<'a> {
    /// Converts a plan. Fields that the format of 2022 does not have are as in the current one.
    pub fn of(plan: &'a Plan) -> Self {
        let currency = plan.currency.as_str();
        let features = plan.features.iter();
        Self {
            title: &plan.title,
            interval: unless_default(plan.interval),
            currency: (currency != "usd").then_some(currency),
            features: features
                .map(|(name, feature)| (name, LegacyFeature::of(feature, plan.interval)))
                .collect(),
        }
    }
}

impl<'a> LegacyFeature<'a> {
    fn of(feature: &'a Feature, interval: Interval) -> Self {
        let (reset, aggregate) = match feature.aggregate {
            Aggregate::Perpetual => (NEVER, None),
            aggregate => (interval.as_str(), unless_default(aggregate)),
        };
        let tiers = match &feature.tiers {
            Some(tiers) => tiers.iter().map(LegacyTier::of).collect(),
            None => vec![LegacyTier::licensed(feature.base)],
        };
        Self {
            title: &feature.title,
            r#type: feature.mode,
            reset,
            aggregate,
            tiers,
        }
    }
}

impl LegacyTier {
    fn of(tier: &Tier) -> Self {
        Self {
            upto: tier.upto.unwrap_or(NO_LIMIT),
            price: Number(tier.price),
            base: Number(tier.base.into()),
        }
    }

    /// The closest equivalent of a licensed feature: a tier whose base is charged when the feature is used.
    fn licensed(base: Decimal) -> Self {
        Self {
            upto: NO_LIMIT,
            price: Number(Decimal::ZERO),
            base: Number(base),
        }
    }
}

impl LegacyReader {
    fn new(existing: Model) -> Self {
        let with_text = |(name, plan): (PlanName, Plan)| {
            let text = serde_json::to_string(&LegacyPlan::of(&plan));
            (name, (plan, text.expect("a plan is text and numbers")))
        };
        Self {
            existing: existing.plans.into_iter().map(with_text).collect(),
            resets: Vec::new(),
        }
    }
}

impl Reader {
    /// Whether the text may be in the format of 2022.
    pub(super) fn is_legacy(&self) -> bool {
        self.legacy.is_some()
    }

    /// The existing plan of that name, if `value` is its unchanged text.
    pub(super) fn existing_plan(&self, name: &PlanName, value: &Value<'_>) -> Option<Plan> {
        let (plan, text) = self.legacy.as_ref()?.existing.get(name)?;
        let pulled = parse::syntax_tree(text).ok()??;
        let is_unchanged = are_equal_objects(value.as_object()?, pulled.as_object()?, &PLAN_FIELDS);
        is_unchanged.then(|| plan.clone())
    }

    /// Reads the fields `type` and `reset` of the format of 2022.
    pub(super) fn legacy_terms(
        &mut self,
        path: &Path<'_>,
        fields: &Fields<'_>,
        feature: &mut Feature,
    ) {
        if fields.get("type").is_some() {
            let mode = self.word(path, fields, "type", Mode::from_word);
            if fields.get("mode").is_some() && feature.mode != mode {
                let message = "type and mode mean the same, and differ";
                self.faults
                    .add_at_field(fields.offset("type"), path, "type", message);
            }
            feature.mode = mode;
        }
        match self.string(path, fields, "reset") {
            None | Some("" | PERIOD) => {}
            Some(NEVER) => {
                let aggregate = feature.aggregate;
                if fields.get("aggregate").is_some() && aggregate != Aggregate::Perpetual {
                    let message = "what resets @never has the aggregate perpetual";
                    self.faults
                        .add_at_field(fields.offset("reset"), path, "reset", message);
                }
                feature.aggregate = Aggregate::Perpetual;
            }
            Some(word) => self.reset(path, fields, word),
        }
    }

    /// Records how often a feature resets, which must be the same for all features of a plan.
    fn reset(&mut self, path: &Path<'_>, fields: &Fields<'_>, word: &str) {
        let words = Interval::ALL.iter();
        let known = words.copied().find(|interval| interval.as_str() == word);
        let offset = fields.offset("reset");
        let Some(interval) = known else {
            let message = format!(
                "unknown reset: {:?}; Stripe bills @daily, @weekly, @monthly, @quarterly or @yearly",
                short(word)
            );
            self.faults.add(offset, path, message);
            return;
        };
        let Some(legacy) = &mut self.legacy else {
            return;
        };
        let first = *legacy.resets.first().unwrap_or(&interval);
        legacy.resets.push(interval);
        if first != interval {
            let message = format!(
                "all features of a plan must have the same reset: {} and {word}",
                first.as_str()
            );
            self.faults.add(offset, path, message);
        }
    }

    /// Takes the reset of the features of the plan that was just read; `None` if no feature has one.
    pub(super) fn take_common_reset(&mut self) -> Option<Interval> {
        let resets = std::mem::take(&mut self.legacy.as_mut()?.resets);
        resets.first().copied()
    }

    /// Whether a tier's `upto` exceeds the largest integer, as when JavaScript prints [`NO_LIMIT`].
    pub(super) fn is_legacy_no_limit(&self, fields: &Fields<'_>) -> bool {
        let Some(Value::NumberLit(literal)) = fields.get("upto") else {
            return false;
        };
        self.is_legacy()
            && match num::parse(literal.value) {
                Ok(number) => number > Decimal::from(NO_LIMIT),
                Err(NumberError::OutOfRange) => !literal.value.starts_with('-'),
                Err(NumberError::Invalid | NumberError::TooPrecise) => false,
            }
    }
}

/// Whether two values are equal in JavaScript.
fn are_equal(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => are_equal_objects(a, b, &[]),
        (Value::Array(a), Value::Array(b)) => {
            let mut pairs = a.elements.iter().zip(&b.elements);
            a.elements.len() == b.elements.len() && pairs.all(|(a, b)| are_equal(a, b))
        }
        (Value::StringLit(a), Value::StringLit(b)) => a.value == b.value,
        (Value::NumberLit(a), Value::NumberLit(b)) => {
            let [a, b] = [a.value, b.value].map(str::parse::<f64>);
            a.is_ok() && a == b
        }
        _ => false,
    }
}

/// Whether two objects are equal in JavaScript, not counting the fields of `a` in `ignored`.
fn are_equal_objects(a: &Object<'_>, b: &Object<'_>, ignored: &[&str]) -> bool {
    let compared = a.properties.iter();
    let compared = compared.filter(|property| !ignored.contains(&property.name.as_str()));
    let has = |name: &str, value: &Value<'_>| {
        let mut compared = compared.clone();
        let found = compared.find(|property| property.name.as_str() == name);
        found.is_some_and(|found| are_equal(&found.value, value))
    };
    let mut expected = b.properties.iter();
    compared.clone().count() == b.properties.len()
        && expected.all(|property| has(property.name.as_str(), &property.value))
}

#[cfg(test)]
#[path = "legacy_tests.rs"]
mod tests;

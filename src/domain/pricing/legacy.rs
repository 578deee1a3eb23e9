//! The model in the format of 2022: features have a `type` and a `reset`, and every tier has all of its fields.
//!
//! That format cannot say everything: a licensed feature becomes one tier with its base, and `divide` is left out. So a
//! plan that is pushed as it was pulled is recognised by its text, and stands for the plan that it was made from. Numbers
//! are compared as JavaScript's, since its clients read and print them in between.

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

/// The fields that a plan has besides: those on a pricing page, which mean nothing.
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

/// The `reset` of what goes on for ever.
const NEVER: &str = "@never";

/// The `reset` that says nothing.
const PERIOD: &str = "@period";

/// What a reader of the format of 2022 knows.
pub(super) struct LegacyReader {
    /// The plans that exist, each with its text in that format.
    existing: BTreeMap<PlanName, (Plan, String)>,
    /// How often the features of the plan that is being read reset.
    resets: Vec<Interval>,
}

impl Model {
    /// Reads a model in the format of 2022 or in today's, or a JSON string of such a text. A plan in it that is one of
    /// `existing` as [`to_legacy`](Self::to_legacy) writes it is that one.
    ///
    /// # Errors
    /// Every fault that there is.
    pub fn parse_legacy(bytes: &[u8], existing: Self) -> Result<Self, Faults> {
        let text = std::str::from_utf8(bytes);
        let text = text.map_err(|error| Faults::not_utf8(bytes, error.valid_up_to()))?;
        let text = parse::without_mark(text);
        let mut reader = Reader {
            legacy: Some(LegacyReader::over(existing)),
            ..Reader::default()
        };
        match parse::syntax_tree(text)? {
            Some(Value::StringLit(inner)) => {
                let tree = parse::syntax_tree(&inner.value)?;
                parse::model_of(&inner.value, tree.as_ref(), &mut reader)
            }
            tree => parse::model_of(text, tree.as_ref(), &mut reader),
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

/// A model.
#[derive(Serialize)]
pub struct LegacyModel<'a> {
    plans: BTreeMap<&'a PlanName, LegacyPlan<'a>>,
}

/// A plan.
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
    /// A plan in the format of 2022, and what that has no word for in today's.
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

    /// What comes closest to a licensed feature: using it at all costs its base.
    fn licensed(base: Decimal) -> Self {
        Self {
            upto: NO_LIMIT,
            price: Number(Decimal::ZERO),
            base: Number(base),
        }
    }
}

impl LegacyReader {
    fn over(existing: Model) -> Self {
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

    /// The existing plan of that name, if `value` is what was pulled of it.
    pub(super) fn recognised(&self, name: &PlanName, value: &Value<'_>) -> Option<Plan> {
        let (plan, text) = self.legacy.as_ref()?.existing.get(name)?;
        let pulled = parse::syntax_tree(text).ok()??;
        let is_pulled = same_objects(value.as_object()?, pulled.as_object()?, &PLAN_FIELDS);
        is_pulled.then(|| plan.clone())
    }

    /// Reads what features had other words for in 2022.
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

    /// Notes how often a feature resets: all features of a plan reset together.
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

    /// How often the features of the plan that was just read reset, if they say so.
    pub(super) fn common_reset(&mut self) -> Option<Interval> {
        let resets = std::mem::take(&mut self.legacy.as_mut()?.resets);
        resets.first().copied()
    }

    /// Whether a tier's `upto` is the largest integer as JavaScript prints it, or more.
    pub(super) fn is_no_limit_of_2022(&self, fields: &Fields<'_>) -> bool {
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

/// Whether two values are the same to a program in JavaScript.
fn same(one: &Value<'_>, other: &Value<'_>) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => same_objects(one, other, &[]),
        (Value::Array(one), Value::Array(other)) => {
            let mut pairs = one.elements.iter().zip(&other.elements);
            one.elements.len() == other.elements.len() && pairs.all(|(one, other)| same(one, other))
        }
        (Value::StringLit(one), Value::StringLit(other)) => one.value == other.value,
        (Value::NumberLit(one), Value::NumberLit(other)) => {
            let [one, other] = [one.value, other.value].map(str::parse::<f64>);
            one.is_ok() && one == other
        }
        _ => false,
    }
}

/// The same for objects, of which the first may have `more` fields.
fn same_objects(one: &Object<'_>, other: &Object<'_>, more: &[&str]) -> bool {
    let own = one.properties.iter();
    let own = own.filter(|property| !more.contains(&property.name.as_str()));
    let has = |name: &str, value: &Value<'_>| {
        let mut own = own.clone();
        let found = own.find(|property| property.name.as_str() == name);
        found.is_some_and(|found| same(&found.value, value))
    };
    let others = &other.properties;
    let mut pairs = others.iter().map(|one| (one.name.as_str(), &one.value));
    own.clone().count() == others.len() && pairs.all(|(name, value)| has(name, value))
}

#[cfg(test)]
#[path = "legacy_tests.rs"]
mod tests;

//! Parses `pricing.json` and reports all of its faults at once.

use std::collections::{BTreeMap, BTreeSet};

use jsonc_parser::ast::Value;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::fault::{Path, short};
use super::read::{Fields, Reader};
use super::{
    Aggregate, Currency, Divide, Faults, Feature, Interval, MAX_AMOUNT, MAX_LOOKUP_KEY_CHARS, Mode,
    Model, NO_LIMIT, Plan, Rounding, Tier, legacy,
};
use crate::domain::refs::{FeatureName, FeaturePlan, PlanName};
use crate::position::Position;

/// JSON with comments and trailing commas, but none of the parser's other extensions.
const SYNTAX: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_loose_object_property_names: false,
    allow_trailing_commas: true,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// The field that marks a pulled plan as archived.
const ARCHIVED: &str = "archived";

pub(super) fn model(text: &str) -> Result<Model, Faults> {
    read(text, &mut Reader::default())
}

/// Like [`model`], for plans that may be marked as archived. Returns the archived plans too.
pub(super) fn pulled(text: &str) -> Result<(Model, BTreeSet<PlanName>), Faults> {
    let mut reader = Reader {
        archived: Some(BTreeSet::new()),
        ..Reader::default()
    };
    let model = read(text, &mut reader)?;
    Ok((model, reader.archived.unwrap_or_default()))
}

fn read(text: &str, reader: &mut Reader) -> Result<Model, Faults> {
    let text = without_byte_order_mark(text);
    model_from_tree(text, syntax_tree(text)?.as_ref(), reader)
}

/// The text without the byte order mark that some editors write.
pub(super) fn without_byte_order_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The syntax tree of a text; `None` if the text is empty.
pub(super) fn syntax_tree(text: &str) -> Result<Option<Value<'_>>, Faults> {
    let parsed = parse_to_ast(text, &CollectOptions::default(), &SYNTAX).map_err(|error| {
        let position = Position {
            line: error.line_display(),
            column: error.column_display(),
        };
        Faults::syntax(error.kind().to_string(), position)
    })?;
    Ok(parsed.value)
}

/// The model that a syntax tree describes. `text` is the text of the tree.
pub(super) fn model_from_tree(
    text: &str,
    tree: Option<&Value<'_>>,
    reader: &mut Reader,
) -> Result<Model, Faults> {
    let model = match tree {
        None | Some(Value::NullKeyword(_)) => Model::default(),
        Some(value) => reader.model(value),
    };
    std::mem::take(&mut reader.faults).finish(text, model)
}

impl Reader {
    fn model(&mut self, value: &Value<'_>) -> Model {
        let mut model = Model::default();
        let path = Path::TOP;
        let Some(fields) = self.fields(&path, value, &["$schema", "plans"]) else {
            return model;
        };
        // Editors use `$schema`.
        self.string(&path, &fields, "$schema");
        let path = path.field("plans");
        for (key, start, value) in self.entries(&path, fields.get("plans")) {
            let path = path.entry(key);
            let name = self.name::<PlanName>(&path, key, start);
            let existing = name
                .as_ref()
                .and_then(|name| self.existing_plan(name, value));
            if existing.is_some() {
                model.plans.extend(name.zip(existing));
                continue;
            }
            let plan = self.plan(&path, name.as_ref(), value);
            model.plans.extend(name.zip(plan));
        }
        model
    }

    /// Reads a plan. If its name is invalid, the plan is read only for its faults.
    fn plan(
        &mut self,
        path: &Path<'_>,
        name: Option<&PlanName>,
        value: &Value<'_>,
    ) -> Option<Plan> {
        let mut known = vec!["title", "interval", "currency", "features"];
        if self.archived.is_some() {
            known.push(ARCHIVED);
        }
        if self.is_legacy() {
            known.extend(legacy::PLAN_FIELDS);
        }
        let fields = self.fields(path, value, &known)?;
        if let (Some(archived), Some(name), Some(Value::BooleanLit(literal))) =
            (&mut self.archived, name, fields.get(ARCHIVED))
            && literal.value
        {
            archived.insert(name.clone());
        }
        let mut interval = self.word(path, &fields, "interval", Interval::from_word);
        let currency = match self.string(path, &fields, "currency") {
            None | Some("") => Currency::default(),
            Some(code) => Currency::new(code).unwrap_or_else(|| {
                let is_code = code.len() == 3 && code.bytes().all(|b| b.is_ascii_lowercase());
                let rule = if is_code {
                    "unknown currency"
                } else {
                    "currency must be three lower-case letters"
                };
                let message = format!("{rule}: {:?}", short(code));
                self.faults
                    .add_at_field(fields.offset("currency"), path, "currency", message);
                Currency::default()
            }),
        };
        let default_title = name.map_or("", PlanName::as_str);
        let title = self.title(path, &fields, default_title);
        let features = self.features(path, &fields, name);
        if let Some(reset) = self.take_common_reset() {
            if fields.get("interval").is_some() && interval != reset {
                let message = "interval and reset differ";
                self.faults
                    .add_at_field(fields.offset("interval"), path, "interval", message);
            }
            interval = reset;
        }
        Some(Plan {
            title,
            interval,
            currency,
            features,
        })
    }

    fn features(
        &mut self,
        plan_path: &Path<'_>,
        plan_fields: &Fields<'_>,
        plan: Option<&PlanName>,
    ) -> BTreeMap<FeatureName, Feature> {
        let path = plan_path.field("features");
        let value = plan_fields.get("features");
        let mut features = BTreeMap::new();
        let entries = self.entries(&path, value);
        let is_object = value.is_none_or(|value| matches!(value, Value::Object(_)));
        if entries.is_empty() && is_object {
            let message = "plans must have at least one feature";
            self.faults
                .add(plan_fields.offset("features"), plan_path, message);
        }
        for (key, start, value) in entries {
            let path = path.entry(key);
            let name = self.name::<FeatureName>(&path, key, start);
            let full = name.as_ref().zip(plan).map(|(name, plan)| name.on(plan));
            if let Some(full) = &full {
                self.lookup_key(&path, start, full);
            }
            let feature = self.feature(&path, full.as_ref(), value);
            features.extend(name.zip(feature));
        }
        features
    }

    fn feature(
        &mut self,
        path: &Path<'_>,
        full: Option<&FeaturePlan>,
        value: &Value<'_>,
    ) -> Option<Feature> {
        let known: &[_] = if self.is_legacy() {
            &legacy::FEATURE_FIELDS
        } else {
            &["title", "base", "mode", "aggregate", "tiers", "divide"]
        };
        let fields = if let Value::NullKeyword(null) = value {
            Fields::none(null.range.start)
        } else {
            self.fields(path, value, known)?
        };
        let mut feature = Feature {
            title: self.title(path, &fields, full.map_or("", FeaturePlan::as_str)),
            base: self.amount(path, &fields, "base", "base"),
            mode: self.word(path, &fields, "mode", Mode::from_word),
            aggregate: self.word(path, &fields, "aggregate", Aggregate::from_word),
            tiers: self.tiers(path, &fields),
            divide: self.divide(path, &fields),
        };
        if feature.is_metered() && !feature.base.is_zero() {
            let message = "base must be zero with tiers";
            self.faults
                .add_at_field(fields.offset("base"), path, "base", message);
        }
        let divisible = match feature.tiers.as_deref() {
            None => true,
            Some([only]) => only.base == 0,
            Some(_) => false,
        };
        if feature.divide.is_some() && !divisible {
            let message = "divide must be used with base, or with one tier that has no base";
            self.faults
                .add_at_field(fields.offset("divide"), path, "divide", message);
        }
        if self.is_legacy() {
            self.legacy_terms(path, &fields, &mut feature);
        }
        feature.normalise();
        Some(feature)
    }

    fn tiers(&mut self, path: &Path<'_>, fields: &Fields<'_>) -> Option<Vec<Tier>> {
        let value = fields.get("tiers")?;
        let path = path.field("tiers");
        let Value::Array(array) = value else {
            self.wrong_type(&path, value, "a list");
            return None;
        };
        let mut tiers: Vec<Tier> = Vec::with_capacity(array.elements.len().min(1024));
        let mut before = 0;
        for (i, value) in array.elements.iter().enumerate() {
            let path = path.index(i);
            let Some((tier, upto_at)) = self.tier(&path, value) else {
                continue;
            };
            let last = i + 1 == array.elements.len();
            match tier.upto {
                None if !last => {
                    let message = "only the last tier may be without upto";
                    self.faults.add_at_field(upto_at, &path, "upto", message);
                }
                Some(upto) if upto > 0 && upto <= before => {
                    let message = "upto must be greater than in the tier before";
                    self.faults.add_at_field(upto_at, &path, "upto", message);
                }
                _ => {}
            }
            before = tier.upto.unwrap_or(before).max(before);
            tiers.push(tier);
        }
        Some(tiers)
    }

    /// A tier, and the offset of its bound in the text.
    fn tier(&mut self, path: &Path<'_>, value: &Value<'_>) -> Option<(Tier, usize)> {
        let fields = self.fields(path, value, &["upto", "price", "base"])?;
        let upto = if self.is_legacy_no_limit(&fields) {
            None
        } else {
            self.integer(path, &fields, "upto", NO_LIMIT)
        };
        if upto.is_some_and(|upto| upto < 1) {
            let message = "upto must be greater than zero";
            self.faults
                .add_at_field(fields.offset("upto"), path, "upto", message);
        }
        let base = self.integer(path, &fields, "base", MAX_AMOUNT).unwrap_or(0);
        if base < 0 {
            self.faults
                .add_at_field(fields.offset("base"), path, "base", "base must be positive");
        }
        let tier = Tier {
            // Go clients write "no limit" as a number.
            upto: upto.filter(|upto| *upto != NO_LIMIT),
            price: self.amount(path, &fields, "price", "tier prices"),
            base,
        };
        Some((tier, fields.offset("upto")))
    }

    /// Reads `divide`. It is `None` without a divisor too, which is how Go clients write "not divided".
    fn divide(&mut self, path: &Path<'_>, fields: &Fields<'_>) -> Option<Divide> {
        let path = path.field("divide");
        let fields = self.fields(&path, fields.get("divide")?, &["by", "rounding"])?;
        let rounding = self.word(&path, &fields, "rounding", Rounding::from_word);
        let by = self.integer(&path, &fields, "by", NO_LIMIT)?;
        if by < 1 {
            let message = "by must be greater than zero";
            self.faults
                .add_at_field(fields.offset("by"), &path, "by", message);
        }
        Some(Divide { by, rounding })
    }

    /// Checks the lookup key. Stripe limits its length, and two names have the same key if they differ only in `:plan:`
    /// and
    /// `@plan:`.
    fn lookup_key(&mut self, path: &Path<'_>, offset: usize, full: &FeaturePlan) {
        let key = full.lookup_key();
        if key.len() > MAX_LOOKUP_KEY_CHARS {
            let message = format!(
                "the names of feature and plan are too long: Stripe's lookup key for them has {} characters, \
                 and must not exceed {MAX_LOOKUP_KEY_CHARS}",
                key.len()
            );
            self.faults.add(offset, path, message);
        } else if let Some(other) = self.lookup_keys.get(&key) {
            let message =
                format!("the names of feature and plan read like {other} in Stripe; rename one");
            self.faults.add(offset, path, message);
        } else {
            self.lookup_keys.insert(key, full.clone());
        }
    }
}

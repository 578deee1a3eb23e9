//! A JSON Schema of `pricing.json`, for editors. It covers the checks of [`Model::parse`](super::pricing::Model::parse)
//! that a schema can express. It cannot express that bounds increase, that amounts have few decimals, or that names do
//! not collide.

use serde_json::{Value, json};

use super::pricing::{
    Aggregate, Currency, Interval, MAX_AMOUNT, MAX_TITLE_CHARS, Mode, NO_LIMIT, Rounding,
};

/// The schema, in draft 2020-12. Comments and trailing commas are outside its scope.
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pricing.json",
        "description": "Plans, with their features and prices.",
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": {
            "$schema": {
                "description": "The URL of this schema, for editors.",
                "type": ["string", "null"],
            },
            "plans": {
                "description": "By name and version: plan:NAME@VERSION. Once pushed, a version does not change.",
                "type": ["object", "null"],
                "propertyNames": { "pattern": "^plan:[a-zA-Z0-9:-]+@[a-zA-Z0-9-]+$" },
                "additionalProperties": { "$ref": "#/$defs/plan" },
            },
        },
        "$defs": {
            "plan": plan(),
            "feature": feature(),
            "tier": tier(),
            "divide": divide(),
            "title": { "type": ["string", "null"], "maxLength": MAX_TITLE_CHARS },
            "amount": { "type": ["number", "null"], "minimum": 0, "maximum": MAX_AMOUNT },
        },
    })
}

fn plan() -> Value {
    let unset = [json!(""), Value::Null];
    let currencies: Vec<Value> = Currency::codes().map(Value::from).chain(unset).collect();
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["features"],
        "properties": {
            "title": described("The display name; by default the plan's name.", "title"),
            "interval": words("How often the plan is billed.", Interval::ALL, Interval::as_str),
            "currency": {
                "description": "The currency, in three lower-case letters; by default usd.",
                "enum": currencies,
            },
            "features": {
                "description": "The features of the plan, by feature:NAME.",
                "type": "object",
                "minProperties": 1,
                "propertyNames": { "pattern": "^feature:[a-zA-Z0-9:-]+$" },
                "additionalProperties": { "$ref": "#/$defs/feature" },
            },
        },
    })
}

fn feature() -> Value {
    let has_tiers =
        json!({ "required": ["tiers"], "properties": { "tiers": { "type": "array" } } });
    let divisor = json!({ "type": "object", "required": ["by"], "properties": { "by": { "type": "integer" } } });
    let has_divide = json!({ "required": ["divide"], "properties": { "divide": divisor } });
    json!({
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": {
            "title": described("The display name; by default the feature's full name.", "title"),
            "base": described("The price per interval in the currency's minor unit (cents), billed in advance; not with tiers.", "amount"),
            "mode": words("How tiers add up.", Mode::ALL, Mode::as_str),
            "aggregate": words("How usage within an interval is aggregated.", Aggregate::ALL, Aggregate::as_str),
            "tiers": {
                "description": "Prices by usage. A feature without tiers is not metered; an empty list grants none of it.",
                "type": ["array", "null"],
                "items": { "$ref": "#/$defs/tier" },
            },
            "divide": {
                "description": "Divides usage before it is priced; with base, or with one tier that has no base.",
                "anyOf": [{ "$ref": "#/$defs/divide" }, { "type": "null" }],
            },
        },
        "allOf": [
            { "if": has_tiers, "then": { "properties": { "base": { "enum": [0, null] } } } },
            {
                "if": { "allOf": [has_tiers, has_divide] },
                "then": { "properties": { "tiers": {
                    "minItems": 1,
                    "maxItems": 1,
                    "items": { "properties": { "base": { "enum": [0, null] } } },
                } } },
            },
        ],
    })
}

fn tier() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "upto": {
                "description": "The last unit of this tier. Only the last tier may omit it.",
                "type": ["integer", "null"],
                "minimum": 1,
                "maximum": NO_LIMIT,
            },
            "price": described("Per unit, in cents, with up to 12 decimals.", "amount"),
            "base": {
                "description": "Once, when the tier is reached, in cents.",
                "type": ["integer", "null"],
                "minimum": 0,
                "maximum": MAX_AMOUNT,
            },
        },
    })
}

fn divide() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "by": {
                "description": "Units in a package.",
                "type": ["integer", "null"],
                "minimum": 1,
                "maximum": NO_LIMIT,
            },
            "rounding": words("How a package that is only partly used is counted.", Rounding::ALL, Rounding::as_str),
        },
    })
}

fn described(description: &str, definition: &str) -> Value {
    json!({ "description": description, "$ref": format!("#/$defs/{definition}") })
}

/// An enumeration of words. The first is the default, and may be omitted or empty.
fn words<T: Copy>(description: &str, all: &[T], word: fn(T) -> &'static str) -> Value {
    let known: Vec<&str> = all.iter().map(|value| word(*value)).collect();
    let mut allowed: Vec<Value> = known.iter().map(|word| json!(word)).collect();
    allowed.extend([json!(""), Value::Null]);
    json!({ "description": description, "enum": allowed, "default": known.first() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::pricing::{Faults, Model, models};
    use jsonschema::Validator;
    use proptest::prelude::*;
    use proptest::sample::Index;

    /// Whether a schema could have found one of the faults.
    fn is_expressible(faults: &Faults) -> bool {
        faults.iter().any(|fault| {
            ![
                "only the last tier may",
                "upto must be greater than in",
                "decimal places",
                "rename one",
                "lookup key",
            ]
            .iter()
            .any(|beyond| fault.message.contains(beyond))
        })
    }

    fn agree(validator: &Validator, json: &Value) -> Result<(), TestCaseError> {
        let text = json.to_string();
        match (Model::parse(&text), validator.is_valid(json)) {
            (Ok(_), true) | (Err(_), false) => Ok(()),
            (Ok(_), false) => Err(TestCaseError::fail(format!(
                "the schema alone refuses {text}"
            ))),
            (Err(faults), true) if !is_expressible(&faults) => Ok(()),
            (Err(faults), true) => Err(TestCaseError::fail(format!(
                "the schema alone accepts {text}:\n{faults}"
            ))),
        }
    }

    /// Adds the JSON pointers of `json`, which is at `here`, and of every value in it to `all`.
    fn pointers(json: &Value, here: &str, all: &mut Vec<String>) {
        all.push(here.to_owned());
        let escape = |key: &str| key.replace('~', "~0").replace('/', "~1");
        match json {
            Value::Object(object) => {
                for (key, value) in object {
                    pointers(value, &format!("{here}/{}", escape(key)), all);
                }
            }
            Value::Array(list) => {
                for (i, value) in list.iter().enumerate() {
                    pointers(value, &format!("{here}/{i}"), all);
                }
            }
            _ => {}
        }
    }

    fn junk() -> impl Strategy<Value = Value> {
        prop_oneof![
            prop::sample::select(vec![
                json!(null),
                json!(true),
                json!({}),
                json!([]),
                json!([null]),
                json!([{}]),
                json!([{}, {}]),
                json!(""),
                json!("x"),
                json!("@hourly"),
                json!("volume"),
                json!("USD"),
                json!("eur"),
                json!({ "by": 2 }),
                json!({ "by": 0 }),
                json!({ "feature:x": {} }),
                json!({ "x": {} }),
                json!("é".repeat(501)),
                json!("x".repeat(500)),
            ]),
            prop::sample::select(vec![
                json!(0),
                json!(1),
                json!(-1),
                json!(0.5),
                json!(-0.5),
                json!(1.0),
                json!(1e3),
                json!(1e12),
                json!(1e40),
                json!(-1e40),
                json!(1e-40),
                json!(i64::MAX),
                json!(u64::MAX),
                json!(i64::MIN),
            ]),
        ]
    }

    /// Replaces a value by junk, adds junk beside it under another key, or removes the value.
    fn spoil(json: &mut Value, index: Index, key: &str, junk: Value, remove: bool) {
        let mut all = Vec::new();
        pointers(json, "", &mut all);
        let pointer = index.get(&all);
        let target = json
            .pointer_mut(pointer)
            .expect("the pointer was taken from the value");
        match target {
            Value::Object(object) if remove => {
                let first = object.keys().next().cloned();
                first.map(|key| object.remove(&key));
            }
            Value::Object(object) if !key.is_empty() => {
                object.insert(key.to_owned(), junk);
            }
            _ => *target = junk,
        }
    }

    fn keys() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "",
            "",
            "",
            "x",
            "$schema",
            "plans",
            "title",
            "interval",
            "features",
            "base",
            "mode",
            "tiers",
            "divide",
            "upto",
            "price",
            "by",
            "rounding",
            "plan:a@1",
            "plan:a",
            "feature:x",
            "feature:x@plan:a@1",
        ])
    }

    #[test]
    fn the_schema_is_valid() {
        assert!(jsonschema::meta::is_valid(&schema()));
        let validator = jsonschema::validator_for(&schema()).unwrap();
        assert!(validator.is_valid(&Value::Null));
        assert!(!validator.is_valid(&json!({ "plans": { "plan:a@1": {} } })));
    }

    proptest! {
        #[test]
        fn schema_and_validator_agree(
            good in models::models(3, 3),
            spoils in prop::collection::vec((any::<Index>(), keys(), junk(), any::<bool>()), 0..3),
        ) {
            let validator = jsonschema::validator_for(&schema()).unwrap();
            let mut json = good;
            for (index, key, junk, remove) in spoils {
                spoil(&mut json, index, key, junk, remove);
                agree(&validator, &json)?;
            }
            agree(&validator, &json)?;
        }
    }
}

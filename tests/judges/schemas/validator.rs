//! Stripe's schemas, translated to JSON Schema.

use anyhow::Context as _;
use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, ValidationError, Validator};
use serde_json::{Map, Value, json};

use crate::openapi::Document;

/// The schemas of all answers and all objects in a document, as properties of one schema that is compiled once.
pub(super) struct Schemas(Validator);

/// A fault of an answer: its place, and what is wrong.
pub(super) struct Fault {
    /// The path within the answer.
    pub(super) path: Vec<String>,
    pub(super) what: String,
}

/// The name of the schema for an endpoint's answer.
pub(super) fn answer(method: &str, path: &str, status: u16) -> String {
    let status = if status == 200 { "200" } else { "default" };
    format!("{} {path} {status}", method.to_uppercase())
}

/// The name of the schema for the answer to a call without an endpoint.
pub(super) const ERROR: &str = "error";

impl Schemas {
    pub(super) fn of(document: &Document) -> anyhow::Result<Self> {
        let mut named = Map::new();
        for (path, methods) in document.0["paths"].as_object().context("it has no paths")? {
            for (method, operation) in methods.as_object().into_iter().flatten() {
                for status in [200, 400] {
                    let name = answer(method, path, status);
                    let key = if status == 200 { "200" } else { "default" };
                    let schema =
                        &operation["responses"][key]["content"]["application/json"]["schema"];
                    // An answer that is a file has no schema.
                    if schema.is_object() {
                        named.insert(name, translated(schema));
                    }
                }
            }
        }
        named.insert(
            ERROR.to_owned(),
            json!({"$ref": "#/components/schemas/error"}),
        );
        let components = document.0["components"]["schemas"].as_object();
        let components = components.context("it has no components")?;
        for (name, schema) in components {
            if let Some(object) = schema["properties"]["object"]["enum"][0].as_str() {
                let alternatives = named.entry(object).or_insert_with(|| json!({"anyOf": []}));
                let alternatives = alternatives["anyOf"]
                    .as_array_mut()
                    .context("an object is named like an answer")?;
                alternatives.push(json!({"$ref": format!("#/components/schemas/{name}")}));
            }
        }
        let components: Map<_, _> = components
            .iter()
            .map(|(name, schema)| (name.clone(), translated(schema)))
            .collect();
        let schema = json!({
            "properties": named,
            "additionalProperties": false,
            "components": {"schemas": components},
        });
        let options = jsonschema::options()
            .with_draft(Draft::Draft7)
            .should_validate_formats(false);
        Ok(Self(options.build(&schema)?))
    }

    /// The faults of this answer or object. The name itself may be unknown.
    pub(super) fn faults(&self, name: &str, instance: &Value) -> Vec<Fault> {
        let instance = json!({name: instance});
        let mut faults = Vec::new();
        for error in self.0.iter_errors(&instance) {
            explain(&error, &mut faults);
        }
        faults
    }
}

/// Translates a schema of OpenAPI 3.0 to JSON Schema. An object may have no fields that are not described.
fn translated(schema: &Value) -> Value {
    let Some(fields) = schema.as_object() else {
        return schema.clone();
    };
    let each = |map: &Map<String, Value>| -> Map<String, Value> {
        map.iter()
            .map(|(name, schema)| (name.clone(), translated(schema)))
            .collect()
    };
    let mut result = Map::new();
    for (keyword, value) in fields {
        let value = match (keyword.as_str(), value) {
            ("properties", Value::Object(properties)) => Value::Object(each(properties)),
            ("anyOf", Value::Array(schemas)) => schemas.iter().map(translated).collect(),
            ("items" | "additionalProperties", schema) => translated(schema),
            ("type" | "enum" | "required" | "$ref" | "maxLength" | "pattern", value) => {
                value.clone()
            }
            _ => continue,
        };
        result.insert(keyword.clone(), value);
    }
    if result.contains_key("properties") && !result.contains_key("additionalProperties") {
        result.insert("additionalProperties".into(), false.into());
    }
    match schema["nullable"] {
        Value::Bool(true) => json!({"anyOf": [result, {"type": "null"}]}),
        _ => result.into(),
    }
}

/// The faults behind an error. Among alternatives, the closest one counts.
fn explain(error: &ValidationError<'_>, faults: &mut Vec<Fault>) {
    let path: Vec<String> = error
        .instance_path()
        .to_string()
        .split('/')
        .skip(2)
        .map(str::to_owned)
        .collect();
    let mut fault = |name: Option<&str>, what: String| {
        let mut path = path.clone();
        path.extend(name.map(str::to_owned));
        faults.push(Fault { path, what });
    };
    match error.kind() {
        ValidationErrorKind::AnyOf { context } => match closest(context) {
            Some(errors) => errors.iter().for_each(|error| explain(error, faults)),
            None => fault(None, "fits none of its schemas".to_owned()),
        },
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            for name in unexpected {
                fault(Some(name), "is unknown".to_owned());
            }
        }
        ValidationErrorKind::Required { property } => {
            fault(property.as_str(), "is missing".to_owned());
        }
        ValidationErrorKind::Enum { .. } => {
            fault(None, format!("must not be {}", error.instance()));
        }
        ValidationErrorKind::Type { .. } => {
            fault(None, format!("must not be {}", kind(error.instance())));
        }
        _ => fault(None, format!("is wrong: {error}")),
    }
}

/// The alternative with the deepest and then the fewest errors. If possible, it is for the same object and type.
fn closest<'a>(
    context: &'a [Vec<ValidationError<'static>>],
) -> Option<&'a Vec<ValidationError<'static>>> {
    let is_other = |error: &ValidationError<'_>| {
        let path = error.instance_path().to_string();
        matches!(error.kind(), ValidationErrorKind::Enum { .. }) && path.ends_with("/object")
    };
    let depth =
        |error: &ValidationError<'_>| error.instance_path().to_string().matches('/').count();
    context
        .iter()
        .filter(|errors| !errors.is_empty())
        .min_by_key(|errors| {
            let is_type = |error: &ValidationError<'_>| {
                matches!(error.kind(), ValidationErrorKind::Type { .. })
            };
            let deepest = errors.iter().map(depth).max().unwrap_or_default();
            let wrong_type = errors
                .iter()
                .any(|error| is_type(error) && depth(error) < deepest + 1 && errors.len() == 1);
            (
                errors.iter().any(is_other),
                wrong_type,
                std::cmp::Reverse(deepest),
                errors.len(),
            )
        })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

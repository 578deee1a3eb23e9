//! The probes of an endpoint: every parameter that Stripe knows, at every depth, and every enum value.

use serde_json::Value;

use super::calls::Calls;
use crate::openapi::Document;
use crate::stripe::Param;

/// The name of a parameter or field that does not exist.
pub(super) const BOGUS: &str = "no_such_thing";

/// A parameter to send, together with the parameters that it needs beside it.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) kind: Kind,
    /// All parameters to send. The probed parameter is the last one.
    pub(super) params: Vec<Param>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One of the values of an enum.
    Enum,
    /// A text, a number, a time or a truth value.
    Scalar,
    /// A parameter that Stripe does not know.
    Bogus,
}

/// All probes of an endpoint, according to the document.
pub(super) fn of_operation(document: &Document, operation: &Value, calls: &Calls) -> Vec<Probe> {
    let mut probes = Probes {
        document,
        calls,
        found: Vec::new(),
    };
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        if parameter["in"] == "query" {
            let name = parameter["name"].as_str().unwrap_or_default();
            probes.collect(&parameter["schema"], name, &[]);
        }
    }
    let body = &operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"];
    for (name, schema) in body["properties"].as_object().into_iter().flatten() {
        probes.collect(schema, name, &[]);
    }
    probes.add(BOGUS, "x", Kind::Bogus, &[]);
    // Expansions are judged separately.
    probes
        .found
        .retain(|probe| !probe.name.starts_with("expand["));
    probes.found
}

struct Probes<'a> {
    document: &'a Document,
    calls: &'a Calls,
    found: Vec<Probe>,
}

impl Probes<'_> {
    fn add(&mut self, name: &str, value: &str, kind: Kind, beside: &[Param]) {
        let mut params = beside.to_vec();
        params.push((name.to_owned(), value.to_owned()));
        self.found.push(Probe {
            name: name.to_owned(),
            value: value.to_owned(),
            kind,
            params,
        });
    }

    /// Adds the probes of a parameter and of the parameters inside it.
    fn collect(&mut self, schema: &Value, name: &str, beside: &[Param]) {
        for schema in self.document.alternatives(schema) {
            if let Some(fields) = schema["properties"].as_object() {
                for (field, inner) in fields {
                    let mut beside = beside.to_vec();
                    for other in required(schema).filter(|other| other != field) {
                        self.fill(
                            &schema["properties"][other],
                            &format!("{name}[{other}]"),
                            &mut beside,
                        );
                    }
                    self.collect(inner, &format!("{name}[{field}]"), &beside);
                }
                self.add(&format!("{name}[{BOGUS}]"), "x", Kind::Bogus, beside);
            } else if schema["additionalProperties"].is_object() {
                self.collect(
                    &schema["additionalProperties"],
                    &format!("{name}[key]"),
                    beside,
                );
            } else if schema["type"] == "array" {
                self.collect(&schema["items"], &format!("{name}[0]"), beside);
            } else if let Some(values) = schema["enum"].as_array() {
                for value in values.iter().filter_map(Value::as_str) {
                    self.add(name, value, Kind::Enum, beside);
                }
            } else if schema["type"] == "boolean" {
                for value in ["true", "false"] {
                    self.add(name, value, Kind::Scalar, beside);
                }
            } else {
                let value = self.value(schema, name);
                self.add(name, &value, Kind::Scalar, beside);
            }
        }
    }

    /// Adds the fewest parameters that make this one valid.
    fn fill(&self, schema: &Value, name: &str, params: &mut Vec<Param>) {
        let Some(schema) = self.document.alternatives(schema).into_iter().next() else {
            return;
        };
        if schema["properties"].is_object() {
            for field in required(schema) {
                self.fill(
                    &schema["properties"][field],
                    &format!("{name}[{field}]"),
                    params,
                );
            }
        } else if schema["type"] == "array" {
            self.fill(&schema["items"], &format!("{name}[0]"), params);
        } else {
            params.push((name.to_owned(), self.value(schema, name)));
        }
    }

    /// A plausible value of the parameter.
    fn value(&self, schema: &Value, name: &str) -> String {
        let last = name
            .rsplit('[')
            .find(|part| *part != "0]")
            .unwrap_or(name)
            .trim_end_matches(']');
        let of = match last {
            "plan" | "default_price" => "price",
            "payment_method" | "default_payment_method" => "card",
            "test_clock" => "clock",
            last => last,
        };
        match (schema["type"].as_str(), last) {
            _ if schema["enum"][0].is_string() => {
                schema["enum"][0].as_str().unwrap_or_default().to_owned()
            }
            (Some("integer"), _) if schema["format"] == "unix-time" => "1679000000".to_owned(),
            (Some("integer" | "number"), _) => "1".to_owned(),
            (Some("boolean"), _) => "true".to_owned(),
            _ if schema["format"] == "decimal" => "1".to_owned(),
            (_, "currency") => "usd".to_owned(),
            (_, "country") => "US".to_owned(),
            (_, "email") => "judge@example.com".to_owned(),
            (_, last) if last.contains("url") => "https://example.com".to_owned(),
            _ if self.calls.makes(of) => format!("{{{of}}}"),
            _ => "x".to_owned(),
        }
    }
}

fn required(schema: &Value) -> impl Iterator<Item = &str> {
    schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

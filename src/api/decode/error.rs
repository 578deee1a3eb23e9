//! Errors in a request's JSON.

use std::fmt::{self, Display};

use serde::de::{Expected, Unexpected};
use serde_json::Value;

use crate::position::Position;

/// An error in a request's JSON. Its text is the message of the answer.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::api) struct DecodeError {
    path: String,
    problem: Problem,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Problem {
    Syntax(Position),
    UnknownField(String),
    Mismatch { expected: String, got: String },
    Rejected(String),
}

impl DecodeError {
    /// Whether the body is not valid JSON.
    pub(in crate::api) fn is_syntax_error(&self) -> bool {
        matches!(self.problem, Problem::Syntax(_))
    }

    pub(super) fn mismatch(expected: &str, got: &Value) -> Self {
        Problem::Mismatch {
            expected: expected.to_owned(),
            got: kind(got).to_owned(),
        }
        .into()
    }

    /// The same error, with `step` before its path.
    pub(super) fn within(mut self, step: impl Display) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') {
            ""
        } else {
            "."
        };
        self.path = format!("{step}{separator}{}", self.path);
        self
    }
}

impl From<Problem> for DecodeError {
    fn from(problem: Problem) -> Self {
        Self {
            path: String::new(),
            problem,
        }
    }
}

impl Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            Problem::Syntax(Position { line, column }) => {
                write!(f, "invalid json syntax at line {line}, column {column}")
            }
            Problem::UnknownField(name) => write!(f, "unknown field {name:?}"),
            Problem::Rejected(message) => f.write_str(message),
            Problem::Mismatch { expected, got } => {
                let path = if self.path.is_empty() {
                    "the body"
                } else {
                    &self.path
                };
                write!(f, "{path} must be {expected}, not {got}")
            }
        }
    }
}

impl std::error::Error for DecodeError {}

impl serde::de::Error for DecodeError {
    /// The error for a value of the right type that its own parser refused. Clients match these messages, so no path
    /// is added.
    fn custom<T: Display>(message: T) -> Self {
        Problem::Rejected(message.to_string()).into()
    }

    fn invalid_value(got: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let got = match got {
            Unexpected::Str(text) => format!("{text:?}"),
            other => other.to_string(),
        };
        Problem::Mismatch {
            expected: expected.to_string(),
            got,
        }
        .into()
    }

    fn unknown_field(field: &str, _known: &'static [&'static str]) -> Self {
        Problem::UnknownField(field.to_owned()).into()
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(n) if n.is_f64() => "a fraction or a number out of range",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

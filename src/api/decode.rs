//! Reads a request's JSON with the meaning that the published clients give it.
//!
//! They send every field they know, with `null` for "not set", so `null` is read as the type's zero value, like an
//! absent field. Everything else is strict: an undeclared field, or a value of another type, is an error with its path.
//! `serde_json`'s errors have the position only in their text, so this module has a small [`Deserializer`] with its own
//! error type.

mod containers;
mod error;

use serde::de::{DeserializeOwned, Deserializer, Expected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use containers::{Field, Fields, List, as_declared};
pub(super) use error::DecodeError;
use error::Problem;

use crate::position::Position;

/// Decodes the first JSON value in `body`, and ignores anything after it. An empty body is read as `null`.
pub(super) fn from_slice<T: DeserializeOwned>(body: &[u8]) -> Result<T, DecodeError> {
    let document = first_value(body)?;
    T::deserialize(Node(&document))
}

/// Decodes `body` and drops the result, for fuzzing.
pub(super) fn exercise<T: DeserializeOwned>(body: &[u8]) {
    if let Err(fault) = from_slice::<T>(body) {
        assert!(!fault.to_string().is_empty(), "a fault says what to do");
    }
}

fn first_value(body: &[u8]) -> Result<Value, DecodeError> {
    if body.trim_ascii().is_empty() {
        return Ok(Value::Null);
    }
    let mut stream = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
    match stream.next() {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(Problem::Syntax(Position::of_json_error(body, &error)).into()),
        None => Ok(Value::Null),
    }
}

/// One value of the document.
#[derive(Clone, Copy)]
struct Node<'de>(&'de Value);

const INTEGER: &str = "an integer of at most 64 bits";

/// JSON has a single number type: `3.0` and `3e0` are the integer 3, as long as a double can hold it exactly.
fn integer(value: &Value) -> Result<i64, DecodeError> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let Value::Number(number) = value else {
        return match value {
            Value::Null => Ok(0),
            other => Err(DecodeError::mismatch("an integer", other)),
        };
    };
    match (number.as_i64(), number.as_f64()) {
        (Some(n), _) => Ok(n),
        (None, Some(float)) if float.fract() == 0.0 && float.abs() <= EXACT => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "whole, and within 2^53: checked just above"
            )]
            let n = float as i64;
            Ok(n)
        }
        _ => Err(DecodeError::mismatch(INTEGER, value)),
    }
}

macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            visitor.visit_i64(integer(self.0)?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = DecodeError;

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(_) => self.deserialize_bool(visitor),
            Value::Number(_) => self.deserialize_i64(visitor),
            Value::String(_) => self.deserialize_str(visitor),
            Value::Array(_) => self.deserialize_seq(visitor),
            Value::Object(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Bool(b) => visitor.visit_bool(*b),
            Value::Null => visitor.visit_bool(false),
            other => Err(DecodeError::mismatch("true or false", other)),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::String(s) => visitor.visit_borrowed_str(s),
            Value::Null => visitor.visit_borrowed_str(""),
            other => Err(DecodeError::mismatch(
                &(&visitor as &dyn Expected).to_string(),
                other,
            )),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Array(items) => visitor.visit_seq(List::new(items)),
            Value::Null => visitor.visit_seq(List::new(&[])),
            other => Err(DecodeError::mismatch("a list", other)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Object(fields) => {
                let fields = fields.iter().map(|(key, value)| Field {
                    name: key,
                    written: key,
                    value,
                });
                visitor.visit_map(Fields::new(fields))
            }
            Value::Null => visitor.visit_map(Fields::new(std::iter::empty())),
            other => Err(DecodeError::mismatch("an object", other)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Object(fields) => {
                visitor.visit_map(Fields::new(as_declared(fields, names).into_iter()))
            }
            _ => self.deserialize_map(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct enum identifier
    }
}

#[cfg(test)]
mod tests;

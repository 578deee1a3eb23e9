//! Reads a request's JSON with the meaning that the published clients give it.
//!
//! They send every field they know and mean "not set" by `null`, so `null` reads as the type's zero value, the same
//! as an absent field does. Everything else is strict: a field that nobody declared, or a value of another type, is a
//! fault that names its place. `serde_json`'s errors say that only in their text, so this module has a small
//! [`Deserializer`] with an error type of its own.

use std::fmt::{self, Display};

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, Expected, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use crate::position::Position;

/// What is wrong with a request's JSON. Its text is the message of the answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    path: String,
    problem: Problem,
}

#[derive(Debug, PartialEq, Eq)]
enum Problem {
    Syntax(Position),
    UnknownField(String),
    Mismatch { expected: String, got: String },
    Rejected(String),
}

/// Decodes the first JSON value in `body`, and ignores what follows it. An empty body is read as `null`.
pub(super) fn from_slice<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    let document = first_value(body)?;
    T::deserialize(Node(&document))
}

fn first_value(body: &[u8]) -> Result<Value, Fault> {
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

impl Fault {
    /// Whether the body is not JSON at all.
    pub(super) fn is_of_syntax(&self) -> bool {
        matches!(self.problem, Problem::Syntax(_))
    }

    fn mismatch(expected: &str, got: &Value) -> Self {
        Problem::Mismatch {
            expected: expected.to_owned(),
            got: kind(got).to_owned(),
        }
        .into()
    }

    /// The same fault, with `step` before its path.
    fn within(mut self, place: impl Display) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') {
            ""
        } else {
            "."
        };
        self.path = format!("{place}{separator}{}", self.path);
        self
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self {
            path: String::new(),
            problem,
        }
    }
}

impl Display for Fault {
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

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    /// A value of the right type that its own parser refused. Clients match those messages, so no path is added.
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

/// One value of the document.
#[derive(Clone, Copy)]
struct Node<'de>(&'de Value);

const INTEGER: &str = "an integer of at most 64 bits";

/// JSON has one number type: `3.0` and `3e0` are the integer 3, as long as a double holds it exactly.
fn integer(value: &Value) -> Result<i64, Fault> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let Value::Number(number) = value else {
        return match value {
            Value::Null => Ok(0),
            other => Err(Fault::mismatch("an integer", other)),
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
        _ => Err(Fault::mismatch(INTEGER, value)),
    }
}

macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            visitor.visit_i64(integer(self.0)?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Fault;

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(_) => self.deserialize_bool(visitor),
            Value::Number(_) => self.deserialize_i64(visitor),
            Value::String(_) => self.deserialize_str(visitor),
            Value::Array(_) => self.deserialize_seq(visitor),
            Value::Object(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Bool(b) => visitor.visit_bool(*b),
            Value::Null => visitor.visit_bool(false),
            other => Err(Fault::mismatch("true or false", other)),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(s) => visitor.visit_borrowed_str(s),
            Value::Null => visitor.visit_borrowed_str(""),
            other => Err(Fault::mismatch(
                &(&visitor as &dyn Expected).to_string(),
                other,
            )),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Array(items) => visitor.visit_seq(List::new(items)),
            Value::Null => visitor.visit_seq(List::new(&[])),
            other => Err(Fault::mismatch("a list", other)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
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
            other => Err(Fault::mismatch("an object", other)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Object(fields) => {
                visitor.visit_map(Fields::new(as_declared(fields, names).into_iter()))
            }
            _ => self.deserialize_map(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct enum identifier
    }
}

/// Renames an object's fields to the declared names as Go's decoder does: case does not matter, and a field that is
/// written exactly as declared wins. Other fields keep their names.
fn as_declared<'de>(
    fields: &'de Map<String, Value>,
    names: &'static [&'static str],
) -> Vec<Field<'de>> {
    let mut found: Vec<Field<'_>> = Vec::with_capacity(fields.len());
    for (written, value) in fields {
        let is_named = |name: &&&str| name.eq_ignore_ascii_case(written);
        let name: &str = names.iter().find(is_named).map_or(written, |name| name);
        if written != name && fields.contains_key(name) {
            continue;
        }
        let field = Field {
            name,
            written,
            value,
        };
        match found.iter_mut().find(|before| before.name == name) {
            Some(before) => *before = field,
            None => found.push(field),
        }
    }
    found
}

/// A field of an object.
struct Field<'de> {
    name: &'de str,
    /// The name as the client wrote it.
    written: &'de str,
    value: &'de Value,
}

/// The items of a list, with their numbers. A `null` in a list is refused, because it is not an unset field: a phase
/// made of it would have no features, and such a phase cancels.
struct List<'de> {
    items: std::iter::Enumerate<std::slice::Iter<'de, Value>>,
}

impl<'de> List<'de> {
    fn new(items: &'de [Value]) -> Self {
        Self {
            items: items.iter().enumerate(),
        }
    }
}

impl<'de> SeqAccess<'de> for List<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some((index, item)) = self.items.next() else {
            return Ok(None);
        };
        let read = match item {
            Value::Null => Err(Fault::mismatch("a value", item)),
            item => seed.deserialize(Node(item)),
        };
        read.map(Some)
            .map_err(|fault| fault.within(format_args!("[{index}]")))
    }
}

/// The fields of an object, in the order in which the client wrote them.
struct Fields<'de, I> {
    rest: I,
    current: Option<Field<'de>>,
}

impl<I> Fields<'_, I> {
    fn new(rest: I) -> Self {
        Self {
            rest,
            current: None,
        }
    }
}

impl<'de, I: Iterator<Item = Field<'de>>> MapAccess<'de> for Fields<'de, I> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let Some(field) = self.rest.next() else {
            return Ok(None);
        };
        let name = field.name;
        self.current = Some(field);
        seed.deserialize(BorrowedStrDeserializer::new(name))
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let field = self
            .current
            .take()
            .ok_or_else(|| Fault::custom("a value was asked for before its key"))?;
        seed.deserialize(Node(field.value))
            .map_err(|fault| fault.within(field.written))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde::de::IgnoredAny;

    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default, deny_unknown_fields)]
    struct Inner {
        flag: bool,
        names: Vec<String>,
        anything: Option<IgnoredAny>,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default, deny_unknown_fields)]
    struct Outer {
        n: i64,
        name: String,
        inner: Inner,
        list: Vec<Inner>,
        pairs: BTreeMap<String, Option<String>>,
    }

    fn read(body: &str) -> Result<Outer, String> {
        from_slice(body.as_bytes()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn nothing_null_and_nulls_are_the_defaults() {
        for body in [
            "",
            " \n",
            "null",
            "{}",
            r#"{"n":null,"name":null,"inner":null,"list":null,"pairs":null}"#,
            r#"{"inner":{"flag":null,"names":null,"anything":null}}"#,
        ] {
            assert_eq!(read(body), Ok(Outer::default()), "{body:?}");
        }
    }

    #[test]
    fn only_the_first_value_counts() {
        assert_eq!(read(r#"{"n":1} trailing {"#).map(|o| o.n), Ok(1));
        assert_eq!(read(r#"{"n":1,"n":2}"#).map(|o| o.n), Ok(2));
    }

    #[test]
    fn names_are_read_in_whatever_case() {
        let body = r#"{"N":1,"NAME":"a","Inner":{"FLAG":true},"pairs":{"K":"v","k":"w"}}"#;
        let outer = read(body).unwrap();
        assert_eq!((outer.n, outer.name.as_str()), (1, "a"));
        assert!(outer.inner.flag);
        assert_eq!(outer.pairs.len(), 2, "these are the caller's own names");
        // The exact name wins, wherever it stands. Otherwise the last field does.
        for body in [
            r#"{"n":1,"N":2}"#,
            r#"{"N":2,"n":1}"#,
            r#"{"N":2,"n":1,"N":3}"#,
        ] {
            assert_eq!(read(body).map(|outer| outer.n), Ok(1), "{body}");
        }
        assert_eq!(read(r#"{"NAME":"a","Name":"b"}"#).unwrap().name, "b");
    }

    #[test]
    fn an_integer_may_be_written_as_any_whole_number() {
        for (body, n) in [("3", 3), ("3.0", 3), ("3e2", 300), ("-0.0", 0)] {
            assert_eq!(read(&format!(r#"{{"n":{body}}}"#)).map(|o| o.n), Ok(n));
        }
        assert_eq!(
            read(r#"{"n":9223372036854775807}"#).map(|o| o.n),
            Ok(i64::MAX)
        );
    }

    #[test]
    fn faults_say_where_and_what_was_expected() {
        for (body, message) in [
            ("{", "invalid json syntax at line 1, column 1"),
            ("nul", "invalid json syntax at line 1, column 3"),
            (r#"{"n":01}"#, "invalid json syntax at line 1, column 7"),
            (
                "{\n \"name\":\"\\ud800\"}",
                "invalid json syntax at line 2, column 16",
            ),
            (
                "{\n \"name\":\"Zoë\" \"n\"}",
                "invalid json syntax at line 2, column 15",
            ),
            ("n = {", "invalid json syntax at line 1, column 2"),
            ("[]", "the body must be an object, not a list"),
            ("7", "the body must be an object, not a number"),
            (r#"{"x":1}"#, r#"unknown field "x""#),
            (r#"{"x":null}"#, r#"unknown field "x""#),
            (r#"{"list":[{"a\"b":1}]}"#, r#"unknown field "a\"b""#),
            (r#"{"n":"1"}"#, "n must be an integer, not a string"),
            (
                r#"{"n":1.5}"#,
                "n must be an integer of at most 64 bits, not a fraction or a number out of range",
            ),
            (
                r#"{"n":9223372036854775808}"#,
                "n must be an integer of at most 64 bits, not a number",
            ),
            (
                r#"{"inner":{"flag":"yes"}}"#,
                "inner.flag must be true or false, not a string",
            ),
            (
                r#"{"list":[{},{"names":["a",3]}]}"#,
                "list[1].names[1] must be a string, not a number",
            ),
            (r#"{"list":[null]}"#, "list[0] must be a value, not null"),
            (
                r#"{"pairs":{"k":[]}}"#,
                "pairs.k must be a string, not a list",
            ),
        ] {
            assert_eq!(read(body), Err(message.to_owned()), "{body}");
        }
    }

    #[test]
    fn anything_goes_where_it_is_ignored() {
        let body = r#"{"inner":{"anything":{"x":[1,{"y":null}]}}}"#;
        assert_eq!(read(body).map(|o| o.inner.anything.is_some()), Ok(true));
    }

    #[test]
    fn nesting_without_end_is_a_fault_and_no_overflow() {
        let body = format!("{{\"inner\":{}", "[".repeat(100_000));
        let fault = read(&body).unwrap_err();
        assert!(
            fault.starts_with("invalid json syntax at line 1"),
            "{fault}"
        );
    }
}

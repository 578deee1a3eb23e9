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
fn an_empty_body_null_and_null_fields_are_the_defaults() {
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
fn the_case_of_names_does_not_matter() {
    let body = r#"{"N":1,"NAME":"a","Inner":{"FLAG":true},"pairs":{"K":"v","k":"w"}}"#;
    let outer = read(body).unwrap();
    assert_eq!((outer.n, outer.name.as_str()), (1, "a"));
    assert!(outer.inner.flag);
    assert_eq!(outer.pairs.len(), 2, "these are the caller's own names");
    // The exact name wins, at any position. Otherwise the last field does.
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
fn errors_say_where_and_what_was_expected() {
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
fn an_ignored_field_may_have_any_value() {
    let body = r#"{"inner":{"anything":{"x":[1,{"y":null}]}}}"#;
    assert_eq!(read(body).map(|o| o.inner.anything.is_some()), Ok(true));
}

#[test]
fn endless_nesting_is_an_error_and_no_overflow() {
    let body = format!("{{\"inner\":{}", "[".repeat(100_000));
    let fault = read(&body).unwrap_err();
    assert!(
        fault.starts_with("invalid json syntax at line 1"),
        "{fault}"
    );
}

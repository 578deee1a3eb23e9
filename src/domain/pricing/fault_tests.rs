//! Tests of faults: their messages and positions, and very large inputs.

use insta::assert_snapshot;

use super::Model;
use super::tests::feature;
use crate::position::Position;

/// The faults of a text, one per line.
fn faults(text: &str) -> String {
    Model::parse(text)
        .expect_err("the text must be refused")
        .to_string()
}

/// The faults of a feature, without the path of the feature.
fn feature_faults(json: &str) -> String {
    let text = feature(json).expect_err("the feature must be refused");
    text.replace(r#"plans["plan:a@1"].features["feature:x"]"#, "~")
}

#[test]
fn features_at_fault() {
    for (json, message) in [
        ("7", "~: expected an object, got a number"),
        (r#"{"limit":1}"#, r#"~: unknown field "limit""#),
        (r#"{"title":1}"#, "~.title: expected a string, got a number"),
        (r#"{"base":"1"}"#, "~.base: expected a number, got a string"),
        (r#"{"base":-1}"#, "~: base must be positive"),
        (r#"{"base":-1e99}"#, "~: base must be positive"),
        (r#"{"base":1e12}"#, "~: base must not exceed 999999999999"),
        (r#"{"base":1e99}"#, "~: base must not exceed 999999999999"),
        (
            r#"{"base":0.1111111111111}"#,
            "~: invalid base: 0.1111111111111; base must not exceed 12 decimal places",
        ),
        (
            r#"{"base":1,"tiers":[]}"#,
            "~: base must be zero with tiers",
        ),
        (
            r#"{"base":1,"tiers":[{}]}"#,
            "~: base must be zero with tiers",
        ),
        (r#"{"mode":"x"}"#, r#"~: unknown mode: "x""#),
        (r#"{"aggregate":"x"}"#, r#"~: unknown aggregate: "x""#),
    ] {
        assert_eq!(feature_faults(json), message, "{json}");
    }
}

#[test]
fn tiers_at_fault() {
    for (json, message) in [
        (r#"{"tiers":{}}"#, "~.tiers: expected a list, got an object"),
        (
            r#"{"tiers":[null]}"#,
            "~.tiers[0]: expected an object, got null",
        ),
        (r#"{"tiers":[{"x":1}]}"#, r#"~.tiers[0]: unknown field "x""#),
        (
            r#"{"tiers":[{"upto":0}]}"#,
            "~.tiers[0]: upto must be greater than zero",
        ),
        (
            r#"{"tiers":[{"upto":-1e99}]}"#,
            "~.tiers[0]: upto must be greater than zero",
        ),
        (
            r#"{"tiers":[{"upto":1.5}]}"#,
            "~.tiers[0].upto: expected an integer, got 1.5",
        ),
        (
            r#"{"tiers":[{"upto":1e-99}]}"#,
            "~.tiers[0].upto: expected an integer, got 1e-99",
        ),
        (
            r#"{"tiers":[{"upto":9223372036854775808}]}"#,
            "~.tiers[0]: upto must not exceed 9223372036854775807",
        ),
        (
            r#"{"tiers":[{"upto":true}]}"#,
            "~.tiers[0].upto: expected an integer, got a boolean",
        ),
        (
            r#"{"tiers":[{"price":-0.5}]}"#,
            "~.tiers[0]: price must be positive",
        ),
        (
            r#"{"tiers":[{"price":[]}]}"#,
            "~.tiers[0].price: expected a number, got a list",
        ),
        (
            r#"{"tiers":[{"price":0.1111111111111}]}"#,
            "~.tiers[0]: invalid price: 0.1111111111111; tier prices must not exceed 12 decimal places",
        ),
        (
            r#"{"tiers":[{"base":-5}]}"#,
            "~.tiers[0]: base must be positive",
        ),
        (
            r#"{"tiers":[{"base":0.5}]}"#,
            "~.tiers[0].base: expected an integer, got 0.5",
        ),
        (
            r#"{"tiers":[{},{"upto":1}]}"#,
            "~.tiers[0]: only the last tier may be without upto",
        ),
        (
            r#"{"tiers":[{"upto":9223372036854775807},{}]}"#,
            "~.tiers[0]: only the last tier may be without upto",
        ),
        (
            r#"{"tiers":[{"upto":2},{"upto":2}]}"#,
            "~.tiers[1]: upto must be greater than in the tier before",
        ),
        (
            r#"{"tiers":[{"upto":5},{"upto":3},{"upto":4}]}"#,
            "~.tiers[1]: upto must be greater than in the tier before\n\
             ~.tiers[2]: upto must be greater than in the tier before",
        ),
    ] {
        assert_eq!(feature_faults(json), message, "{json}");
    }
}

#[test]
fn divisions_at_fault() {
    for (json, message) in [
        (
            r#"{"divide":{"by":0}}"#,
            "~.divide: by must be greater than zero",
        ),
        (
            r#"{"divide":{"by":"x"}}"#,
            "~.divide.by: expected an integer, got a string",
        ),
        (
            r#"{"divide":{"by":1.5}}"#,
            "~.divide.by: expected an integer, got 1.5",
        ),
        (
            r#"{"divide":{"by":2,"rounding":"x"}}"#,
            r#"~.divide: unknown rounding: "x""#,
        ),
        (
            r#"{"divide":{"by":2,"round":"up"}}"#,
            r#"~.divide: unknown field "round""#,
        ),
        (
            r#"{"divide":{"by":2},"tiers":[]}"#,
            "~: divide must be used with base, or with one tier that has no base",
        ),
        (
            r#"{"divide":{"by":2},"tiers":[{"base":1}]}"#,
            "~: divide must be used with base, or with one tier that has no base",
        ),
    ] {
        assert_eq!(feature_faults(json), message, "{json}");
    }
}

#[test]
fn plans_at_fault() {
    for (text, message) in [
        ("[]", "expected an object, got a list"),
        (r#"{"plan":{}}"#, r#"unknown field "plan""#),
        (r#"{"plans":[]}"#, "plans: expected an object, got a list"),
        (
            r#"{"plans":{"plan:a@1":null}}"#,
            r#"plans["plan:a@1"]: expected an object, got null"#,
        ),
        (
            r#"{"plans":{"plan:a@1":{}}}"#,
            r#"plans["plan:a@1"]: plans must have at least one feature"#,
        ),
        (
            r#"{"plans":{"plan:a@1":{"features":{}}}}"#,
            r#"plans["plan:a@1"]: plans must have at least one feature"#,
        ),
        (
            r#"{"plans":{"plan:a@1":{"features":[]}}}"#,
            r#"plans["plan:a@1"].features: expected an object, got a list"#,
        ),
        (
            r#"{"plans":{"plan:a":{"features":{"feature:x":{}}}}}"#,
            r#"plans["plan:a"]: plan must have version: "plan:a""#,
        ),
        (
            r#"{"plans":{"plan:a@1":{"features":{"x":{}}}}}"#,
            r#"plans["plan:a@1"].features["x"]: feature name must start with 'feature:': "x""#,
        ),
        (
            r#"{"plans":{"plan:a@1":{"interval":"@hourly","features":{"feature:x":{}}}}}"#,
            r#"plans["plan:a@1"]: unknown interval: "@hourly""#,
        ),
        (
            r#"{"plans":{"plan:a@1":{"currency":"usx","features":{"feature:x":{}}}}}"#,
            r#"plans["plan:a@1"]: unknown currency: "usx""#,
        ),
        (
            r#"{"plans":{"plan:a@1":{"currency":"USD","features":{"feature:x":{}}}}}"#,
            r#"plans["plan:a@1"]: currency must be three lower-case letters: "USD""#,
        ),
        (
            r#"{"plans":{"plan:a@1":{"features":{"feature:x":{}},"features":{}}}}"#,
            r#"plans["plan:a@1"]: duplicate key "features""#,
        ),
        (
            r#"{"plans":{"plan:a@1":{"features":{"feature:x":{},"feature:x":{}}}}}"#,
            r#"plans["plan:a@1"].features: duplicate key "feature:x""#,
        ),
        (
            r#"{"plans":{"plan:a@1":{"features":{"feature:x:plan:b":{}}},"plan:b:plan:a@1":{"features":{"feature:x":{}}}}}"#,
            "plans[\"plan:b:plan:a@1\"].features[\"feature:x\"]: the names of feature and plan read like \
             feature:x:plan:b@plan:a@1 in Stripe; rename one",
        ),
    ] {
        assert_eq!(faults(text), message, "{text}");
    }
}

#[test]
fn names_and_titles_too_long_for_stripe() {
    let title = |chars| format!(r#"{{"title":"{}"}}"#, "é".repeat(chars));
    assert!(feature(&title(500)).is_ok());
    assert_eq!(
        feature_faults(&title(501)),
        "~: title must not exceed 500 characters"
    );

    let named = |chars| {
        let name = "x".repeat(chars);
        Model::parse(&format!(
            r#"{{"plans":{{"plan:a@1":{{"features":{{"feature:{name}":{{}}}}}}}}}}"#
        ))
    };
    assert!(named(177).is_ok());
    let message = named(178).unwrap_err().to_string();
    assert!(
        message.ends_with("has 201 characters, and must not exceed 200"),
        "{message}"
    );
}

#[test]
fn faults_come_together_with_their_positions() {
    let text = "{\"plans\": {\n  \"plan:é@1\": {},\n  \"plan:b@1\": {\"interval\": \"@x\", \"features\": {\n    \"feature:x\": {\"tiers\": [{\"upto\": 0, \"price\": -1}]},\n    /* é */ \"y\": {}\n  }}\n}}";
    let faults = Model::parse(text).unwrap_err();
    let lines: Vec<String> = faults
        .iter()
        .map(|fault| {
            let at = fault.position.unwrap();
            format!("{}:{}: {fault}", at.line, at.column)
        })
        .collect();
    assert_snapshot!(lines.join("\n"), @r#"
    2:3: plans["plan:é@1"]: plan name must match [a-zA-Z0-9:-]+: "plan:é@1"
    2:15: plans["plan:é@1"]: plans must have at least one feature
    3:28: plans["plan:b@1"]: unknown interval: "@x"
    4:38: plans["plan:b@1"].features["feature:x"].tiers[0]: upto must be greater than zero
    4:50: plans["plan:b@1"].features["feature:x"].tiers[0]: price must be positive
    5:13: plans["plan:b@1"].features["y"]: feature name must start with 'feature:': "y"
    "#);
}

#[test]
fn syntax_errors_say_where() {
    for (text, line, column) in [
        ("{", 1, 1),
        ("{\n  \"plans\": }", 2, 12),
        ("{\"plans\": {}} {}", 1, 15),
        ("{'plans': {}}", 1, 2),
        ("{plans: {}}", 1, 2),
        ("{\"plans\": NaN}", 1, 11),
        ("{\"plans\": 01}", 1, 12),
        ("{\"plans\": \"\\ud800\"}", 1, 12),
        ("\"abc", 1, 1),
        ("/* abc", 1, 1),
        ("nulll", 1, 1),
    ] {
        let faults = Model::parse(text).expect_err(text);
        let place = format!("invalid json syntax at line {line}, column {column}: ");
        assert!(faults.to_string().starts_with(&place), "{text}: {faults}");
        let fault = faults.iter().next().unwrap();
        assert_eq!(
            fault.position,
            Some(Position { line, column }),
            "{text}: {fault:?}"
        );
        assert!(fault.detail.is_some());
    }
    let faults = Model::parse_bytes(b"{\n \"\xff\"}").unwrap_err();
    assert_eq!(
        faults.to_string(),
        "invalid json syntax at line 2, column 3: Text must be UTF-8"
    );
    assert_eq!(
        faults.iter().next().unwrap().position,
        Some(Position { line: 2, column: 3 })
    );
}

fn assert_not_json(text: &str) {
    let found = faults(text);
    assert!(found.starts_with("invalid json syntax at line "), "{found}");
    assert!(found.len() < 200);
}

#[test]
fn deep_and_faulty_texts_are_refused_quickly() {
    for opening in ["[", "{\"a\":", "{\"plans\":{\"plan:a@1\":"] {
        assert_not_json(&opening.repeat(200_000));
    }
    let many = format!("{{{}}}", "\"x\":1,".repeat(100_000));
    let found = Model::parse(&many).unwrap_err();
    assert_eq!(found.count(), 100_000);
    assert!(found.to_string().ends_with("\nand 99000 more"));

    let long = "x".repeat(1_000_000);
    for text in [
        format!("{{\"{long}\":1}}"),
        format!("{{\"plans\":{{\"{long}\":1}}}}"),
        format!(
            "{{\"plans\":{{\"plan:{long}@1\":{{\"currency\":\"{long}\",\"interval\":\"{long}\"}}}}}}"
        ),
        format!(
            "{{\"plans\":{{\"plan:a@1\":{{\"features\":{{\"feature:{long}\":{{\"base\":{}}}}}}}}}}}",
            "1".repeat(1_000_000)
        ),
    ] {
        assert!(faults(&text).len() < 2000);
    }
}

#[test]
fn ten_megabytes_are_read() {
    let tiers = (1..250_000)
        .map(|i| format!("{{\"upto\":{i},\"price\":0.000001}}"))
        .collect::<Vec<_>>()
        .join(",");
    assert!(tiers.len() > 8_000_000, "{}", tiers.len());
    let feature = feature(&format!("{{\"tiers\":[{tiers}]}}")).unwrap();
    assert_eq!(feature.limit(), 249_999);
    let faulty = format!("[{}]", "[".repeat(10_000_000));
    assert_not_json(&faulty);
    let comment = format!("/*{}", "*".repeat(10_000_000));
    assert_not_json(&comment);
    let string = format!("\"{}\"", "\\u00e9".repeat(1_700_000));
    assert_eq!(faults(&string), "expected an object, got a string");
}

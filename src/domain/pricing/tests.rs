//! The model's rules by table, and as properties over random models.

use std::collections::BTreeSet;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

/// The faults of a text, a line each.
fn faults(text: &str) -> String {
    Model::parse(text)
        .expect_err("the text must be refused")
        .to_string()
}

/// The only plan's only feature, `feature:x` of `plan:a@1`, from its JSON.
fn feature(json: &str) -> Result<Feature, String> {
    let text = format!(r#"{{"plans":{{"plan:a@1":{{"features":{{"feature:x":{json}}}}}}}}}"#);
    let model = Model::parse(&text).map_err(|faults| faults.to_string())?;
    let (_, _, feature) = model.features().next().expect("there is one");
    Ok(feature.clone())
}

/// What is wrong with a feature, without the place of the feature.
fn feature_faults(json: &str) -> String {
    let text = feature(json).expect_err("the feature must be refused");
    text.replace(r#"plans["plan:a@1"].features["feature:x"]"#, "~")
}

#[test]
fn nothing_is_an_empty_model() {
    for text in [
        "",
        " \n",
        "null",
        "{}",
        r#"{"plans":null}"#,
        r#"{"plans":{}}"#,
        "// none",
        "\u{feff}{}",
    ] {
        assert_eq!(Model::parse(text), Ok(Model::default()), "{text:?}");
    }
    assert_eq!(Model::default().to_json(), "{\n  \"plans\": {}\n}");
}

#[test]
fn comments_and_trailing_commas() {
    let text = r#"{
        // what is for sale
        "plans": {
            "plan:a@1": {
                "title": "A \ud83e\udd80 /* no comment */",
                "features": { "feature:x": {"tiers": [{"upto": 10,}, {},],}, },
            }, /* and no more */
        },
    } // end"#;
    assert_snapshot!(Model::parse(text).unwrap().to_json(), @r#"
    {
      "plans": {
        "plan:a@1": {
          "title": "A 🦀 /* no comment */",
          "features": {
            "feature:x": {
              "tiers": [
                {
                  "upto": 10
                },
                {}
              ]
            }
          }
        }
      }
    }
    "#);
}

#[test]
fn all_fields_in_their_order() {
    let text = r#"{"plans":{
        "plan:b@2":{"features":{"feature:z":{},"feature:a":{"title":"feature:a@plan:b@2","mode":"volume","aggregate":"max"}}},
        "plan:a@1":{"features":{
            "feature:base":{"divide":{"rounding":"up","by":12},"base":0.0000001,"title":"Base"},
            "feature:one":{"divide":{"rounding":"down","by":1000},"tiers":[{"price":1e-12,"upto":9223372036854775807}],"mode":"volume","aggregate":"last"},
            "feature:none":{"tiers":[],"mode":"volume"},
            "feature:many":{"aggregate":"perpetual","mode":"volume","tiers":[{"base":7,"price":10.50,"upto":5},{"upto":1e1}]}
        },"currency":"eur","interval":"@quarterly","title":"Plan A"}
    }}"#;
    assert_snapshot!(Model::parse(text).unwrap().to_json(), @r#"
    {
      "plans": {
        "plan:a@1": {
          "title": "Plan A",
          "interval": "@quarterly",
          "currency": "eur",
          "features": {
            "feature:base": {
              "title": "Base",
              "base": 1e-7,
              "divide": {
                "by": 12,
                "rounding": "up"
              }
            },
            "feature:many": {
              "mode": "volume",
              "aggregate": "perpetual",
              "tiers": [
                {
                  "upto": 5,
                  "price": 10.5,
                  "base": 7
                },
                {
                  "upto": 10
                }
              ]
            },
            "feature:none": {
              "tiers": []
            },
            "feature:one": {
              "aggregate": "last",
              "tiers": [
                {
                  "price": 1e-12
                }
              ],
              "divide": {
                "by": 1000
              }
            }
          }
        },
        "plan:b@2": {
          "title": "plan:b@2",
          "features": {
            "feature:a": {},
            "feature:z": {}
          }
        }
      }
    }
    "#);
}

#[test]
fn what_means_nothing_has_its_default() {
    for (given, meant) in [
        (r#"{"mode":"volume"}"#, "{}"),
        (r#"{"aggregate":"max"}"#, "{}"),
        (
            r#"{"base":0,"tiers":null,"divide":null,"title":"","mode":"","aggregate":""}"#,
            "{}",
        ),
        (r#"{"base":10.0}"#, r#"{"base":10}"#),
        (r#"{"divide":{},"tiers":[]}"#, r#"{"tiers":[]}"#),
        (r#"{"divide":{"by":null,"rounding":"up"}}"#, "{}"),
        (r#"{"title":"feature:x@plan:a@1"}"#, "{}"),
        (r#"{"tiers":[{}],"mode":"volume"}"#, r#"{"tiers":[{}]}"#),
        (
            r#"{"tiers":[{"upto":9223372036854775807,"price":0,"base":0}]}"#,
            r#"{"tiers":[{}]}"#,
        ),
        (
            r#"{"divide":{"by":2,"rounding":"down"}}"#,
            r#"{"divide":{"by":2}}"#,
        ),
    ] {
        assert_eq!(feature(given), feature(meant), "{given}");
    }
    let distinct: BTreeSet<String> = [
        "{}",
        r#"{"base":1}"#,
        r#"{"tiers":[]}"#,
        r#"{"tiers":[{}]}"#,
        r#"{"tiers":[{}],"aggregate":"max"}"#,
        r#"{"tiers":[{"base":1}]}"#,
        r#"{"tiers":[{"base":1}],"mode":"volume"}"#,
        r#"{"tiers":[{"upto":1}]}"#,
        r#"{"divide":{"by":2}}"#,
        r#"{"divide":{"by":2,"rounding":"up"}}"#,
        r#"{"title":"x"}"#,
    ]
    .map(|json| format!("{:?}", feature(json).unwrap()))
    .into();
    assert_eq!(distinct.len(), 11);
}

#[test]
fn limits() {
    for (json, metered, tiered, limit) in [
        ("{}", false, false, NO_LIMIT),
        (r#"{"tiers":[]}"#, true, false, 0),
        (r#"{"tiers":[{}]}"#, true, false, NO_LIMIT),
        (r#"{"tiers":[{"upto":7}]}"#, true, false, 7),
        (r#"{"tiers":[{"upto":7,"base":1}]}"#, true, true, 7),
        (r#"{"tiers":[{"upto":7},{"upto":9}]}"#, true, true, 9),
        (r#"{"tiers":[{"upto":7},{}]}"#, true, true, NO_LIMIT),
    ] {
        let feature = feature(json).unwrap();
        assert_eq!(
            (feature.is_metered(), feature.is_tiered(), feature.limit()),
            (metered, tiered, limit),
            "{json}"
        );
    }
}

#[test]
fn features_at_fault() {
    for (json, message) in [
        ("null", "~: expected an object, got null"),
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
fn what_is_too_long_for_stripe() {
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
        assert_eq!(faults.to_string(), "invalid json syntax", "{text}");
        let fault = faults.iter().next().unwrap();
        assert_eq!(
            fault.position,
            Some(Position { line, column }),
            "{text}: {fault:?}"
        );
        assert!(fault.detail.is_some());
    }
    let faults = Model::parse_bytes(b"{\n \"\xff\"}").unwrap_err();
    assert_eq!(faults.to_string(), "invalid json syntax");
    assert_eq!(
        faults.iter().next().unwrap().position,
        Some(Position { line: 2, column: 3 })
    );
}

#[test]
fn bombs_are_defused() {
    for opening in ["[", "{\"a\":", "{\"plans\":{\"plan:a@1\":"] {
        assert_eq!(faults(&opening.repeat(200_000)), "invalid json syntax");
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
fn hashes_stay_as_they_are() {
    let text = r#"{"plans":{"plan:a@1":{"features":{"feature:x":{"tiers":[{"upto":10},{"price":0.5}]}}}}}"#;
    let model = Model::parse(text).unwrap();
    let (name, plan) = model.plans.first_key_value().unwrap();
    // Accounts remember this: when it changes, every plan that was ever pushed looks changed.
    assert_snapshot!(plan.hash(name), @"08d6c8ab45ee1870b1b285bfbf9a05af07b291c6cfdc8a3356d879b18c2baaf1");
    let mut other = plan.clone();
    other.title = "A".to_owned();
    assert_ne!(other.hash(name), plan.hash(name));
}

proptest! {
    #[test]
    fn a_model_reads_back_as_it_was_written(json in models::models(4, 4)) {
        let model = Model::parse(&json.to_string()).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let again = Model::parse(&model.to_json()).unwrap();
        prop_assert_eq!(&again, &model);
        prop_assert_eq!(again.to_json(), model.to_json());
        for (name, plan) in &model.plans {
            prop_assert_eq!(again.plans[name].hash(name), plan.hash(name));
        }
    }

    #[test]
    fn any_text_is_refused_or_read(text in any::<String>(), cut in 0_usize..400, json in models::models(2, 2)) {
        let _ = Model::parse(&text);
        // A model that broke off, and one with a hole in it.
        let whole: Vec<char> = json.to_string().chars().collect();
        let cut = cut.min(whole.len());
        let head: String = whole[..cut].iter().collect();
        let tail: String = whole[cut..].iter().collect();
        let _ = Model::parse(&head);
        let _ = Model::parse(&tail);
        let _ = Model::parse(&format!("{head}{text}{tail}"));
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = Model::parse_bytes(&bytes);
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
    assert_eq!(faults(&faulty), "invalid json syntax");
    let comment = format!("/*{}", "*".repeat(10_000_000));
    assert_eq!(faults(&comment), "invalid json syntax");
    let string = format!("\"{}\"", "\\u00e9".repeat(1_700_000));
    assert_eq!(faults(&string), "expected an object, got a string");
}

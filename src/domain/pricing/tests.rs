//! Tests of the model's rules, by example and as properties over random models.

use std::collections::BTreeSet;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

/// Parses `feature:x` of `plan:a@1` from the feature's JSON.
pub(super) fn feature(json: &str) -> Result<Feature, String> {
    let text = format!(r#"{{"plans":{{"plan:a@1":{{"features":{{"feature:x":{json}}}}}}}}}"#);
    let model = Model::parse(&text).map_err(|faults| faults.to_string())?;
    let (_, _, feature) = model.features().next().expect("there is one");
    Ok(feature.clone())
}

#[test]
fn an_empty_text_is_an_empty_model() {
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
fn the_schema_field_is_ignored() {
    let text = r#"{"$schema":"https://example.com/pricing.schema.json","plans":{}}"#;
    assert_eq!(Model::parse(text), Ok(Model::default()));
    for text in [
        r#"{"$schema":7}"#,
        r#"{"$Schemas":"x"}"#,
        r#"{"schema":"x"}"#,
    ] {
        assert!(Model::parse(text).is_err(), "{text}");
    }
}

#[test]
fn field_names_are_case_insensitive() {
    let usual = feature(r#"{"base":100,"title":"X"}"#).unwrap();
    for json in [
        r#"{"Base":100,"TITLE":"X"}"#,
        r#"{"base":100,"BASE":7,"title":"X"}"#,
        r#"{"BASE":7,"base":100,"Title":"Y","title":"X"}"#,
        r#"{"BASE":7,"Base":100,"title":"X"}"#,
    ] {
        assert_eq!(feature(json).as_ref(), Ok(&usual), "{json}");
    }
    let model = r#"{"Plans":{"plan:a@1":{"Features":{"feature:x":{"Tiers":[{"UpTo":1}]}}}}}"#;
    assert_eq!(Model::parse(model).unwrap().features().count(), 1);
    // Names are case-sensitive.
    for text in [
        r#"{"plans":{"Plan:a@1":{"features":{"feature:x":{}}}}}"#,
        r#"{"plans":{"plan:a@1":{"features":{"Feature:x":{}}}}}"#,
    ] {
        assert!(Model::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_feature_without_fields_is_licensed_and_free() {
    assert_eq!(feature("null"), feature("{}"));
}

#[test]
fn names_that_some_clients_refuse_are_warned_of_once() {
    let text = r#"{"plans":{
        "plan:a@1":{"features":{"feature:b-c":{},"feature:x":{}}},
        "plan:a-b@1":{"features":{"feature:b-c":{}}}}}"#;
    let warnings = Model::parse(text).unwrap().warnings();
    let names: Vec<_> = warnings
        .iter()
        .filter_map(|w| w.split(": ").next())
        .collect();
    assert_eq!(names, ["plan:a-b@1", "feature:b-c"]);
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
fn fields_without_effect_have_their_default() {
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
fn plan_hashes_are_stable() {
    let text = r#"{"plans":{"plan:a@1":{"features":{"feature:x":{"tiers":[{"upto":10},{"price":0.5}]}}}}}"#;
    let model = Model::parse(text).unwrap();
    let (name, plan) = model.plans.first_key_value().unwrap();
    // Accounts store this hash. If it changes, every pushed plan looks changed.
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
        let written: serde_json::Value = serde_json::from_str(&model.to_json()).unwrap();
        prop_assert_eq!(written, models::as_pulled(&json));
        for (name, plan) in &model.plans {
            prop_assert_eq!(again.plans[name].hash(name), plan.hash(name));
        }
    }

    #[test]
    fn any_text_is_refused_or_read(text in any::<String>(), cut in 0_usize..400, json in models::models(2, 2)) {
        let _ = Model::parse(&text);
        // A truncated model, and one with a part removed.
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

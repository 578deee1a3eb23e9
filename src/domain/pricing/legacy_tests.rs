//! The format of 2022, both ways.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::models::models;
use super::*;

fn read(text: &str) -> Result<Model, String> {
    let model = Model::parse_legacy(text.as_bytes(), Model::default());
    model.map_err(|faults| faults.to_string())
}

fn plan(plan: &Value) -> String {
    json!({"plans": {"plan:p@1": plan}}).to_string()
}

fn feature(feature: &Value) -> String {
    plan(&json!({"features": {"feature:x": feature}}))
}

fn today(text: &str) -> Model {
    Model::parse(text).expect("a model of today")
}

#[test]
fn the_words_of_2022_mean_those_of_today() {
    let tiers = json!([{"upto": 10}, {}]);
    for (old, new) in [
        (json!({"tiers": tiers}), json!({"tiers": tiers})),
        (
            json!({"type": "volume", "tiers": tiers}),
            json!({"mode": "volume", "tiers": tiers}),
        ),
        (
            json!({"type": "graduated", "tiers": tiers}),
            json!({"tiers": tiers}),
        ),
        (
            json!({"type": "", "reset": "", "tiers": tiers}),
            json!({"tiers": tiers}),
        ),
        (
            json!({"type": null, "reset": null, "tiers": tiers}),
            json!({"tiers": tiers}),
        ),
        (
            json!({"reset": "@period", "tiers": tiers}),
            json!({"tiers": tiers}),
        ),
        (
            json!({"reset": "@monthly", "tiers": tiers}),
            json!({"tiers": tiers}),
        ),
        (
            json!({"reset": "@never", "tiers": tiers}),
            json!({"aggregate": "perpetual", "tiers": tiers}),
        ),
        (
            json!({"reset": "@never", "aggregate": "perpetual", "tiers": tiers}),
            json!({"aggregate": "perpetual", "tiers": tiers}),
        ),
        (
            json!({"aggregate": "max", "tiers": tiers}),
            json!({"aggregate": "max", "tiers": tiers}),
        ),
        (json!({"tiers": []}), json!({"tiers": []})),
        (json!({}), json!({})),
        (
            json!({"base": 0.5, "divide": {"by": 2}}),
            json!({"base": 0.5, "divide": {"by": 2}}),
        ),
    ] {
        assert_eq!(read(&feature(&old)), Ok(today(&feature(&new))), "{old}");
    }
    for reset in ["@daily", "@weekly", "@monthly", "@quarterly", "@yearly"] {
        let old = plan(
            &json!({"features": {"feature:a": {"reset": reset}, "feature:b": {}, "feature:c": {"reset": "@period"}}}),
        );
        let new = plan(
            &json!({"interval": reset, "features": {"feature:a": {}, "feature:b": {}, "feature:c": {}}}),
        );
        assert_eq!(read(&old), Ok(today(&new)), "{reset}");
    }
}

#[test]
fn a_limit_that_does_not_fit_is_none() {
    for upto in [
        "9223372036854775807",
        "9223372036854776000",
        "9223372036854775808",
        "1e30",
        "1e300",
        "null",
    ] {
        let text = format!(
            r#"{{"plans":{{"plan:p@1":{{"features":{{"feature:x":{{"tiers":[{{"upto":{upto}}}]}}}}}}}}}}"#
        );
        let unlimited = today(&feature(&json!({"tiers": [{}]})));
        assert_eq!(read(&text), Ok(unlimited), "{upto}");
    }
    let largest = feature(&json!({"tiers": [{"upto": i64::MAX - 1}]}));
    assert_eq!(read(&largest), Ok(today(&largest)));
}

#[test]
fn faults_have_their_paths() {
    let at = r#"plans["plan:p@1"].features["feature:x"]"#;
    let tiers = json!([{}]);
    for (old, message) in [
        (
            json!({"reset": "0 0 1 * *"}),
            format!(
                "{at}: unknown reset: \"0 0 1 * *\"; Stripe bills @daily, @weekly, @monthly, @quarterly or @yearly"
            ),
        ),
        (
            json!({"reset": 1}),
            format!("{at}.reset: expected a string, got a number"),
        ),
        (
            json!({"type": "tiered"}),
            format!("{at}: unknown type: \"tiered\""),
        ),
        (
            json!({"type": "volume", "mode": "graduated"}),
            format!("{at}: type and mode mean the same, and differ"),
        ),
        (
            json!({"reset": "@never", "aggregate": "max", "tiers": tiers}),
            format!("{at}: what resets @never has the aggregate perpetual"),
        ),
        (
            json!({"tiers": [{"upto": 0}]}),
            format!("{at}.tiers[0]: upto must be greater than zero"),
        ),
        (
            json!({"tiers": [{"upto": -1e30}]}),
            format!("{at}.tiers[0]: upto must be greater than zero"),
        ),
        (
            json!({"tiers": [{"upto": 1.5}]}),
            format!("{at}.tiers[0].upto: expected an integer, got 1.5"),
        ),
        (
            json!({"tiers": [{"base": 0.5}]}),
            format!("{at}.tiers[0].base: expected an integer, got 0.5"),
        ),
        (
            json!({"limit": 1}),
            format!("{at}: unknown field \"limit\""),
        ),
    ] {
        assert_eq!(read(&feature(&old)), Err(message), "{old}");
    }
    let differ = json!({"features": {"feature:a": {"reset": "@monthly"}, "feature:b": {"reset": "@yearly"}}});
    let message = r#"plans["plan:p@1"].features["feature:b"]: all features of a plan must have the same reset: @monthly and @yearly"#;
    assert_eq!(read(&plan(&differ)), Err(message.to_owned()));
    let differ = json!({"interval": "@monthly", "features": {"feature:a": {"reset": "@yearly"}}});
    let message = r#"plans["plan:p@1"]: interval and reset differ"#;
    assert_eq!(read(&plan(&differ)), Err(message.to_owned()));
}

#[test]
fn a_plan_of_a_pricing_page_and_a_text_in_a_string_are_read() {
    let features = json!({"feature:x": {}});
    let page = json!({"id": "plan:p@1", "name": "plan:p", "version": "1", "features": features});
    let expected = today(&plan(&json!({"features": features})));
    assert_eq!(read(&plan(&page)).as_ref(), Ok(&expected));
    let text = format!("\u{feff}{} // c", plan(&page));
    assert_eq!(read(&text).as_ref(), Ok(&expected));
    let quoted = Value::String(format!("{}\n// c", plan(&page))).to_string();
    assert_eq!(read(&quoted).as_ref(), Ok(&expected));
    assert_eq!(
        read(r#""\"{}\"""#),
        Err("expected an object, got a string".to_owned())
    );
    for nothing in [
        "",
        "null",
        "{}",
        r#""""#,
        r#"{"plans":{}}"#,
        r#"{"plans":null}"#,
    ] {
        assert_eq!(read(nothing), Ok(Model::default()), "{nothing:?}");
    }
}

#[test]
fn a_model_in_the_format_of_2022() {
    let model = json!({"plans": {"plan:p@1": {"title": "P", "interval": "@yearly", "currency": "eur", "features": {
        "feature:base": {"base": 12.5, "divide": {"by": 3}},
        "feature:ever": {"title": "Ever", "aggregate": "perpetual", "tiers": [{"upto": 5}]},
        "feature:none": {"tiers": []},
        "feature:peak": {"aggregate": "max", "mode": "volume", "tiers": [{"upto": 5, "price": 0.1, "base": 2}, {"price": 1}]},
    }}}});
    let legacy = serde_json::to_value(today(&model.to_string()).to_legacy()).expect("JSON");
    let expected = json!({"plans": {"plan:p@1": {"title": "P", "interval": "@yearly", "currency": "eur", "features": {
        "feature:base": {"title": "feature:base@plan:p@1", "type": "graduated", "reset": "@yearly",
            "tiers": [{"upto": i64::MAX, "price": 0, "base": 12.5}]},
        "feature:ever": {"title": "Ever", "type": "graduated", "reset": "@never",
            "tiers": [{"upto": 5, "price": 0, "base": 0}]},
        "feature:none": {"title": "feature:none@plan:p@1", "type": "graduated", "reset": "@yearly", "tiers": []},
        "feature:peak": {"title": "feature:peak@plan:p@1", "type": "volume", "reset": "@yearly", "aggregate": "max",
            "tiers": [{"upto": 5, "price": 0.1, "base": 2}, {"upto": i64::MAX, "price": 1, "base": 0}]},
    }}}});
    assert_eq!(legacy, expected);
}

/// Texts that are recognised as the existing plan, and texts that only resemble them.
#[test]
fn an_existing_plan_is_recognised_by_its_whole_text() {
    let licensed = today(&feature(&json!({"base": 100})));
    let pulled = |change: fn(&mut Value)| {
        let mut pulled = serde_json::to_value(licensed.to_legacy()).expect("JSON");
        change(&mut pulled["plans"]["plan:p@1"]);
        Model::parse_legacy(pulled.to_string().as_bytes(), licensed.clone())
    };
    assert_eq!(pulled(|_| {}).as_ref(), Ok(&licensed));
    assert_eq!(
        pulled(|plan| plan["id"] = json!("plan:p@1")).as_ref(),
        Ok(&licensed)
    );
    for change in [
        (|plan| plan["title"] = json!("Q")) as fn(&mut Value),
        |plan| plan["currency"] = json!("eur"),
        |plan| plan["features"]["feature:x"]["tiers"][0]["base"] = json!(101),
        |plan| plan["features"]["feature:x"]["tiers"][0]["upto"] = json!(100),
        |plan| plan["features"]["feature:x"]["aggregate"] = json!("last"),
        |plan| plan["features"]["feature:y"] = json!({}),
    ] {
        let other = pulled(change).expect("a model");
        let feature = &other.plans.values().next().expect("a plan").features;
        assert!(feature.values().next().expect("a feature").is_metered());
    }
    let twice = r#"{"plans":{"plan:p@1":{"title":"plan:p@1","title":"plan:p@1"}}}"#;
    assert!(Model::parse_legacy(twice.as_bytes(), licensed.clone()).is_err());
}

/// The numbers of a JSON text as JavaScript has them.
fn through_javascript(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let double: f64 = number.to_string().parse().expect("a number");
            *value = json!(double);
        }
        Value::Array(items) => items.iter_mut().for_each(through_javascript),
        Value::Object(fields) => fields.values_mut().for_each(through_javascript),
        _ => {}
    }
}

proptest! {
    #[test]
    fn a_pulled_plan_is_read_as_the_existing_plan(model in models(3, 4)) {
        let existing = today(&model.to_string());
        let text = serde_json::to_string(&existing.to_legacy()).expect("JSON");
        let pushed = Model::parse_legacy(text.as_bytes(), existing.clone());
        prop_assert_eq!(pushed.as_ref(), Ok(&existing));
        let mut value: Value = serde_json::from_str(&text).expect("JSON");
        through_javascript(&mut value);
        let pushed = Model::parse_legacy(value.to_string().as_bytes(), existing.clone());
        prop_assert_eq!(pushed.as_ref(), Ok(&existing));
    }

    #[test]
    fn the_current_format_is_read_too(model in models(3, 4)) {
        let text = model.to_string();
        prop_assert_eq!(read(&text), Ok(today(&text)));
    }
}

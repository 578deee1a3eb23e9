//! Checks that `openapi.yaml` agrees with the server about paths and methods. [`crate::contract`] checks the answers in
//! every test.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::{Value, json};

use crate::contract::{DOCUMENT, compile, documented_methods, escape};
use crate::harness::TestApp;

/// An operation's id, method, path and role.
type Described<'a> = (&'a str, String, &'a str, Option<&'a str>);

/// The operations in `openapi.yaml`.
fn documented() -> BTreeSet<Described<'static>> {
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, operations)| {
        let operations = operations.as_object().expect("operations");
        let named = operations.iter();
        named.map(move |(method, operation)| (path, method, operation))
    });
    let described = operations.map(|(path, method, operation)| {
        let id = operation["operationId"].as_str().expect("an id");
        let mut schemes = operation["security"]
            .as_array()
            .expect("each says so")
            .iter();
        let role = schemes.find_map(|scheme| scheme["basic"][0].as_str());
        (id, method.to_uppercase(), path.as_str(), role)
    });
    described.collect()
}

#[test]
fn every_operation_is_documented_as_it_is_declared() {
    let declared = tier::api::operations().iter().map(|operation| {
        let role = operation.access.role().map(tier::api::Role::as_str);
        let method = operation.method.to_string();
        (operation.id, method, operation.path, role)
    });
    let declared: BTreeSet<Described<'_>> = declared.collect();
    let documented = documented();
    let missing: Vec<_> = declared.difference(&documented).collect();
    assert!(
        missing.is_empty(),
        "describe these in openapi.yaml, with the same operationId and, in `security`, the same role: {missing:?}"
    );
    let extra: Vec<_> = documented.difference(&declared).collect();
    assert!(
        extra.is_empty(),
        "declare these in `operations()` of a noun in src/api/v1, or take them out of openapi.yaml: {extra:?}"
    );
}

/// The served paths.
fn paths() -> BTreeSet<&'static str> {
    let operations = tier::api::operations().iter();
    operations.map(|operation| operation.path).collect()
}

#[tokio::test]
async fn every_method_is_documented_and_every_documented_method_is_served() {
    let app = TestApp::start().await;
    for path in paths() {
        let refused = app
            .request(Method::from_bytes(b"PROPFIND").unwrap(), path)
            .send()
            .await;
        let allowed: BTreeSet<String> = refused
            .header("allow")
            .split(',')
            .map(str::to_owned)
            .collect();
        let mut documented: BTreeSet<String> = documented_methods(path).into_iter().collect();
        if documented.contains("GET") {
            documented.insert("HEAD".to_owned());
        }
        assert_eq!(allowed, documented, "{path}");
    }
}

#[tokio::test]
async fn the_document_is_served_as_yaml_and_as_json() {
    let app = TestApp::start().await;
    let yaml = app.get("/openapi.yaml").await;
    assert_eq!(yaml.header("content-type"), "application/yaml");
    assert_eq!(yaml.body, include_str!("../../openapi.yaml"));
    let json = app.get("/openapi.json").await;
    assert_eq!(json.header("content-type"), "application/json");
    assert_eq!(json.json(), *DOCUMENT);
}

#[test]
fn the_document_has_the_version_of_the_package() {
    assert_eq!(DOCUMENT["info"]["version"], env!("CARGO_PKG_VERSION"));
}

/// People copy examples, so every example must be valid.
#[test]
fn every_example_is_valid() {
    let mut seen = 0;
    walk(&DOCUMENT, "", &mut |pointer, node| {
        let (Some(examples), true) = (
            node.get("examples").and_then(Value::as_object),
            node.get("schema").is_some(),
        ) else {
            return;
        };
        let validator = compile(&format!("{pointer}/schema"));
        for (name, example) in examples {
            seen += 1;
            if let Err(fault) = validator.validate(&example["value"]) {
                panic!("{pointer} {name:?}: {fault}");
            }
        }
    });
    assert!(seen > 30, "{seen} examples were found");
}

/// An optional field of a model may also be null. The document does not say so, because generators cannot handle
/// nullable objects and enums.
#[tokio::test]
async fn optional_fields_of_a_pushed_model_may_be_null() {
    let app = TestApp::start().await;
    let request = "/paths/~1v1~1push/post/requestBody";
    let schema = compile(&format!("{request}/content/application~1json/schema"));
    let plan = |plan: Value| json!({"plans": {"plan:a@1": plan}});
    let feature = |feature: Value| plan(json!({"features": {"feature:x": feature}}));
    let empty = json!({
        "title": null, "base": null, "mode": null, "aggregate": "",
        "tiers": [{"upto": null, "price": null, "base": null}],
        "divide": {"by": null, "rounding": ""},
    });
    let features = json!({"feature:x": empty});
    let least = json!({"title": null, "base": null, "tiers": [{"upto": null, "price": null}]});
    for (model, taken, described) in [
        (Value::Null, true, false),
        (json!({"plans": null}), true, false),
        (json!({}), true, true),
        (json!({"plans": {}}), true, true),
        (
            plan(json!({"title": null, "interval": null, "currency": null, "features": features})),
            true,
            false,
        ),
        (
            plan(json!({"title": "", "interval": "", "currency": "", "features": features})),
            true,
            false,
        ),
        (
            plan(json!({"title": null, "features": {"feature:x": least}})),
            true,
            true,
        ),
        (feature(json!({"tiers": null, "divide": null})), true, false),
        (feature(Value::Null), true, false),
        (plan(Value::Null), false, false),
        (plan(json!({})), false, false),
        (plan(json!({"features": null})), false, false),
        (feature(json!({"tiers": [null]})), false, false),
        (feature(json!({"tiers": [{"upto": 0}]})), false, false),
    ] {
        let answer = app.post_json("/v1/push", &model).await;
        assert_eq!(answer.status == 200, taken, "{model}: {}", answer.body);
        assert_eq!(schema.is_valid(&model), described, "{model}");
    }
    app.request(Method::POST, "/v1/push").send().await.ok();
    assert!(DOCUMENT.pointer(&format!("{request}/required")).is_none());
}

/// Forms that have made generators drop answers or generate code that does not run.
#[test]
fn the_document_avoids_what_generators_cannot_handle() {
    walk(&DOCUMENT, "", &mut |pointer, node| {
        let is_example = pointer.contains("/example");
        let Some(fields) = node.as_object().filter(|_| !is_example) else {
            return;
        };
        assert!(!fields.contains_key("const"), "{pointer} has a const");
        let is_property_list = pointer.ends_with("/properties");
        assert!(
            is_property_list || !fields.contains_key("default"),
            "{pointer} has a default: a field with one counts as required"
        );
        let types = node["type"].as_array();
        let is_object_or_null = types.is_some_and(|types| types.contains(&json!("object")));
        assert!(!is_object_or_null, "{pointer} may be null");
        if let Some(words) = node["enum"].as_array() {
            let all_words = words
                .iter()
                .all(|word| word.as_str().is_some_and(|w| !w.is_empty()));
            assert!(all_words && node["type"] == "string", "{pointer}");
        }
    });
}

/// Objects are closed: a field that the document does not describe is neither sent nor accepted.
#[test]
fn every_object_is_closed() {
    let strangers = ["PaymentMethods/properties/methods/items"];
    walk(
        &DOCUMENT["components"]["schemas"],
        "",
        &mut |pointer, node| {
            if node.get("properties").is_some() && !pointer.ends_with("/properties") {
                let known_stranger = strangers.iter().any(|end| pointer.ends_with(end));
                assert!(
                    known_stranger || node["additionalProperties"] == false,
                    "{pointer} is open"
                );
            }
        },
    );
}

fn walk(node: &Value, pointer: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(pointer, node);
    match node {
        Value::Object(fields) => {
            for (key, value) in fields {
                walk(value, &format!("{pointer}/{}", escape(key)), visit);
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                walk(item, &format!("{pointer}/{i}"), visit);
            }
        }
        _ => {}
    }
}

//! Random pricing models as a user would write them: every legal form, with defaults written out or omitted.
//!
//! This generator knows the rules of `pricing.json`, but shares no code with its reader.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A legal model with up to `plans` plans, each of up to `features` features.
pub(crate) fn models(plans: usize, features: usize) -> impl Strategy<Value = Value> {
    btree_map(plan_name(), plan(features), 0..=plans).prop_map(|plans| json!({ "plans": plans }))
}

/// A legal plan.
fn plan(features: usize) -> impl Strategy<Value = Value> {
    (
        option::of(title()),
        option::of(prop::sample::select(vec![
            "@daily",
            "@weekly",
            "@monthly",
            "@quarterly",
            "@yearly",
            "",
        ])),
        option::of(prop::sample::select(vec!["usd", "eur", "jpy", ""])),
        btree_map(feature_name(), feature(), 1..=features),
    )
        .prop_map(|(title, interval, currency, features)| {
            let mut plan = Map::new();
            set(&mut plan, "title", title);
            set(&mut plan, "interval", interval);
            set(&mut plan, "currency", currency);
            set(&mut plan, "features", Some(features));
            Value::Object(plan)
        })
}

/// A legal feature of any kind.
pub(crate) fn feature() -> impl Strategy<Value = Value> {
    let kinds = prop_oneof![
        (option::of(amount()), option::of(divide())).prop_map(|(base, divide)| {
            let mut feature = Map::new();
            set(&mut feature, "base", base);
            set(&mut feature, "divide", divide);
            feature
        }),
        (tier(false), option::of(divide())).prop_map(|(tier, divide)| {
            let mut feature = Map::new();
            set(&mut feature, "tiers", Some(vec![tier]));
            set(&mut feature, "divide", divide);
            feature
        }),
        tiers().prop_map(|tiers| Map::from_iter([("tiers".to_owned(), Value::Array(tiers))])),
    ];
    let words = (
        option::of(title()),
        option::of(prop::sample::select(vec!["graduated", "volume", ""])),
        option::of(prop::sample::select(vec![
            "sum",
            "max",
            "last",
            "perpetual",
            "",
        ])),
    );
    (words, kinds).prop_map(|((title, mode, aggregate), mut feature)| {
        set(&mut feature, "title", title);
        set(&mut feature, "mode", mode);
        set(&mut feature, "aggregate", aggregate);
        Value::Object(feature)
    })
}

/// Up to six tiers with increasing bounds. The last tier may be unbounded.
fn tiers() -> impl Strategy<Value = Vec<Value>> {
    (vec((1_i64..1_000_000, tier(true)), 0..=6), any::<bool>()).prop_map(|(steps, open)| {
        let mut upto = 0;
        let mut tiers: Vec<Value> = steps
            .into_iter()
            .map(|(step, mut tier)| {
                upto += step;
                tier["upto"] = json!(upto);
                tier
            })
            .collect();
        if let Some(Value::Object(last)) = tiers.last_mut().filter(|_| open) {
            last.remove("upto");
        }
        tiers
    })
}

fn tier(with_base: bool) -> impl Strategy<Value = Value> {
    let upto = prop_oneof![1_i64..100, Just(i64::MAX - 1), Just(i64::MAX)];
    let base = prop_oneof![3 => 0_i64..2000, 1 => Just(999_999_999_999)];
    (option::of(upto), option::of(amount()), option::of(base)).prop_map(
        move |(upto, price, base)| {
            let mut tier = Map::new();
            set(&mut tier, "upto", upto);
            set(&mut tier, "price", price);
            set(&mut tier, "base", base.filter(|_| with_base));
            Value::Object(tier)
        },
    )
}

fn divide() -> impl Strategy<Value = Value> {
    let rounding = option::of(prop::sample::select(vec!["up", "down", ""]));
    (1_i64..=1_000_000, rounding).prop_map(|(by, rounding)| {
        let mut divide = Map::from_iter([("by".to_owned(), json!(by))]);
        set(&mut divide, "rounding", rounding);
        Value::Object(divide)
    })
}

/// An amount that a float holds exactly, so that [`Value`] can represent it.
fn amount() -> impl Strategy<Value = Value> {
    (0_u64..=999_999_999_999, 0_u32..=12).prop_map(|(digits, decimals)| {
        let text = format!("{digits}e-{decimals}");
        let number: f64 = text.parse().expect("the text is a number");
        if number.fract() == 0.0 {
            json!(digits / 10_u64.pow(decimals))
        } else {
            json!(number)
        }
    })
}

fn title() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9 &<>\"'\\\\/=+%\\[\\]-]{0,40}",
        "\\PC{0,20}",
        Just("naïve 🦀 title\twith\nspace".to_owned()),
    ]
    // Stripe trims text, and an empty text counts as a missing text.
    .prop_map(|title| title.trim().to_owned())
}

fn plan_name() -> impl Strategy<Value = String> {
    "plan:[a-z0-9:-]{1,8}@[a-zA-Z0-9-]{1,3}".prop_filter("confusable", |name| apart(name))
}

fn feature_name() -> impl Strategy<Value = String> {
    "feature:[a-z0-9:-]{1,8}".prop_filter("confusable", |name| apart(name))
}

/// Whether a name avoids the forms that Stripe's ids cannot tell apart. A model must not contain names of such forms.
fn apart(name: &str) -> bool {
    !name.contains(":plan:")
}

/// A model as a pull returns it: without defaults, and without fields that have no effect.
pub(crate) fn as_pulled(model: &Value) -> Value {
    let plans =
        entries(&model["plans"]).map(|(name, plan)| (name.clone(), plan_as_pulled(name, plan)));
    json!({ "plans": plans.collect::<Map<_, _>>() })
}

fn plan_as_pulled(name: &str, plan: &Value) -> Value {
    let mut shown = Map::new();
    set(
        &mut shown,
        "title",
        Some(text(plan, "title", "").unwrap_or(name)),
    );
    set(&mut shown, "interval", text(plan, "interval", "@monthly"));
    set(&mut shown, "currency", text(plan, "currency", "usd"));
    let features = entries(&plan["features"]).map(|(feature, terms)| {
        let title = format!("{feature}@{name}");
        (feature.clone(), feature_as_pulled(&title, terms))
    });
    set(
        &mut shown,
        "features",
        Some(features.collect::<Map<_, _>>()),
    );
    Value::Object(shown)
}

fn feature_as_pulled(default_title: &str, feature: &Value) -> Value {
    let tiers = feature["tiers"].as_array();
    let is_tiered = tiers.is_some_and(|tiers| match tiers.as_slice() {
        [] => false,
        [only] => amount_of(only, "base").is_some(),
        _ => true,
    });
    let mut shown = Map::new();
    set(&mut shown, "title", text(feature, "title", default_title));
    set(&mut shown, "base", amount_of(feature, "base"));
    set(
        &mut shown,
        "mode",
        text(feature, "mode", "graduated").filter(|_| is_tiered),
    );
    set(
        &mut shown,
        "aggregate",
        text(feature, "aggregate", "sum").filter(|_| tiers.is_some()),
    );
    set(
        &mut shown,
        "tiers",
        tiers.map(|tiers| tiers.iter().map(tier_as_pulled).collect::<Vec<_>>()),
    );
    set(
        &mut shown,
        "divide",
        feature["divide"].as_object().map(|_| {
            let mut divide = Map::from_iter([("by".to_owned(), feature["divide"]["by"].clone())]);
            set(
                &mut divide,
                "rounding",
                text(&feature["divide"], "rounding", "down"),
            );
            divide
        }),
    );
    Value::Object(shown)
}

fn tier_as_pulled(tier: &Value) -> Value {
    let mut shown = Map::new();
    set(
        &mut shown,
        "upto",
        tier["upto"].as_i64().filter(|upto| *upto != i64::MAX),
    );
    set(&mut shown, "price", amount_of(tier, "price"));
    set(&mut shown, "base", amount_of(tier, "base"));
    Value::Object(shown)
}

fn entries(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten()
}

/// A text that exists and differs from the default.
fn text<'a>(object: &'a Value, key: &str, default: &str) -> Option<&'a str> {
    object[key]
        .as_str()
        .filter(|text| !text.is_empty() && *text != default)
}

fn amount_of<'a>(object: &'a Value, key: &str) -> Option<&'a Value> {
    Some(&object[key]).filter(|amount| amount.as_f64().is_some_and(|amount| amount != 0.0))
}

fn set(object: &mut Map<String, Value>, key: &str, value: Option<impl serde::Serialize>) {
    if let Some(value) = value {
        let value = serde_json::to_value(value).expect("a value is made of plain JSON");
        object.insert(key.to_owned(), value);
    }
}

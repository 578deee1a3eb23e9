//! Tests of prices: the parameters sent for each kind of feature, and the features read from Tier's and the original's
//! prices.

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::*;
use crate::domain::pricing::Model;
use crate::stripe::Form;

/// The first feature of a model whose only plan is `plan:a@1`.
fn first(plan: &Value) -> (FeaturePlan, Plan, Feature) {
    let model = Model::parse(&json!({ "plans": { "plan:a@1": plan } }).to_string()).unwrap();
    let (name, plan, feature) = model.features().next().expect("a plan has a feature");
    (name, plan.clone(), feature.clone())
}

/// The parameters of a feature's creation, one per line.
fn sent(plan: &Value) -> String {
    let (name, plan, feature) = first(plan);
    let mut form = new_product(&name, &plan, &feature).form();
    form.append(terms(&name, &plan, &feature, None).form());
    lines(&form)
}

fn lines(form: &Form) -> String {
    let lines = form.iter().map(|(key, value)| format!("{key}={value}"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_licensed_feature() {
    let plan = json!({
        "title": "Plan A", "interval": "@quarterly", "currency": "eur",
        "features": { "feature:a-b:c": {
            "title": "Seats & more", "base": 1e-7, "divide": { "by": 12, "rounding": "up" },
        } },
    });
    assert_snapshot!(sent(&plan), @r#"
    product_data[id]=tier__feature-a_2db-c-plan-a-1
    product_data[name]=Plan A - Seats & more
    lookup_key=tier__feature-a_2db-c-plan-a-1
    metadata[tier.feature]=feature:a-b:c@plan:a@1
    metadata[tier.limit]=9223372036854775807
    metadata[tier.title]=Seats & more
    metadata[tier.plan_title]=Plan A
    currency=eur
    recurring[interval]=month
    recurring[interval_count]=3
    recurring[usage_type]=licensed
    billing_scheme=per_unit
    unit_amount_decimal=0.0000001
    transform_quantity[divide_by]=12
    transform_quantity[round]=up
    "#);
}

#[test]
fn a_feature_priced_by_the_unit() {
    let plan = json!({ "features": { "feature:x": {
        "tiers": [{ "upto": 1000, "price": 0.25 }], "mode": "volume", "aggregate": "last",
    } } });
    assert_snapshot!(sent(&plan), @r#"
    product_data[id]=tier__feature-x-plan-a-1
    product_data[name]=plan:a@1 - feature:x@plan:a@1
    lookup_key=tier__feature-x-plan-a-1
    metadata[tier.feature]=feature:x@plan:a@1
    metadata[tier.limit]=1000
    metadata[tier.title]=feature:x@plan:a@1
    metadata[tier.plan_title]=plan:a@1
    currency=usd
    recurring[interval]=month
    recurring[interval_count]=1
    recurring[usage_type]=metered
    recurring[aggregate_usage]=last_during_period
    billing_scheme=per_unit
    unit_amount_decimal=0.25
    "#);
}

#[test]
fn a_feature_priced_in_tiers() {
    let plan = json!({ "features": { "feature:x": {
        "tiers": [{ "upto": 10 }, { "upto": 20, "price": 1.5, "base": 100 }, { "upto": 30, "price": 3 }],
        "mode": "volume", "aggregate": "perpetual",
    } } });
    assert_snapshot!(sent(&plan), @r#"
    product_data[id]=tier__feature-x-plan-a-1
    product_data[name]=plan:a@1 - feature:x@plan:a@1
    lookup_key=tier__feature-x-plan-a-1
    metadata[tier.feature]=feature:x@plan:a@1
    metadata[tier.limit]=30
    metadata[tier.title]=feature:x@plan:a@1
    metadata[tier.plan_title]=plan:a@1
    currency=usd
    recurring[interval]=month
    recurring[interval_count]=1
    recurring[usage_type]=metered
    recurring[aggregate_usage]=last_ever
    billing_scheme=tiered
    tiers_mode=volume
    tiers[0][up_to]=10
    tiers[0][unit_amount_decimal]=0
    tiers[0][flat_amount]=0
    tiers[1][up_to]=20
    tiers[1][unit_amount_decimal]=1.5
    tiers[1][flat_amount]=100
    tiers[2][up_to]=inf
    tiers[2][unit_amount_decimal]=3
    tiers[2][flat_amount]=0
    "#);
}

#[test]
fn a_feature_with_a_meter() {
    let plan = json!({ "features": { "feature:x": {
        "tiers": [{ "upto": 10 }, { "upto": 20, "price": 1.5 }], "aggregate": "max",
    } } });
    let (name, plan, feature) = first(&plan);
    let form = terms(&name, &plan, &feature, Some("mtr_1")).form();
    assert_snapshot!(lines(&form), @r#"
    lookup_key=tier__feature-x-plan-a-1
    metadata[tier.feature]=feature:x@plan:a@1
    metadata[tier.limit]=20
    metadata[tier.title]=feature:x@plan:a@1
    metadata[tier.plan_title]=plan:a@1
    metadata[tier.aggregate]=max
    currency=usd
    recurring[interval]=month
    recurring[interval_count]=1
    recurring[usage_type]=metered
    recurring[meter]=mtr_1
    billing_scheme=tiered
    tiers_mode=graduated
    tiers[0][up_to]=10
    tiers[0][unit_amount_decimal]=0
    tiers[0][flat_amount]=0
    tiers[1][up_to]=inf
    tiers[1][unit_amount_decimal]=1.5
    tiers[1][flat_amount]=0
    "#);
}

#[test]
fn a_licensed_feature_has_no_meter() {
    let (name, plan, feature) = first(&json!({ "features": { "feature:x": { "base": 7 } } }));
    let of = |meter| terms(&name, &plan, &feature, meter).form().encode();
    assert_eq!(of(Some("mtr_1")), of(None));
}

#[test]
fn the_aggregate_of_a_price_with_a_meter_is_in_its_metadata() {
    let recurring = json!({ "aggregate_usage": null, "meter": "mtr_1", "usage_type": "metered" });
    for (word, aggregate) in [
        (Some("sum"), AggregateUsage::Sum),
        (Some("max"), AggregateUsage::Max),
        (Some("last"), AggregateUsage::LastDuringPeriod),
        (Some("perpetual"), AggregateUsage::LastEver),
        (Some("average"), AggregateUsage::Sum),
        (None, AggregateUsage::Sum),
    ] {
        let noted = json!({ "recurring": recurring, "metadata": { "tier.aggregate": word.unwrap_or_default() } });
        let metered = price(&noted);
        assert_eq!(metered.generation(), Some(Generation::Meters));
        assert_eq!(metered.aggregate(), aggregate, "{word:?}");
    }
    // Without a meter, the note says nothing.
    let classic = metered(&json!({ "metadata": { "tier.aggregate": "max" } }));
    assert_eq!(classic.generation(), Some(Generation::Classic));
    assert_eq!(classic.aggregate(), AggregateUsage::Sum);
    assert_eq!(price(&json!({})).generation(), None);
}

#[test]
fn a_feature_that_is_not_granted() {
    let plan = json!({ "features": { "feature:x": { "tiers": [] } } });
    let sent = sent(&plan);
    for param in [
        "recurring[usage_type]=metered",
        "unit_amount_decimal=0",
        "metadata[tier.limit]=0",
    ] {
        assert!(sent.lines().any(|line| line == param), "{param}");
    }
}

/// A price as Stripe returns it, with some of its fields replaced.
fn price(fields: &Value) -> Price {
    let mut price = json!({
        "id": "price_1",
        "object": "price",
        "billing_scheme": "per_unit",
        "currency": "usd",
        "lookup_key": "tier__feature-x-plan-a-1",
        "metadata": {
            "tier.feature": "feature:x@plan:a@1", "tier.limit": "9223372036854775807",
            "tier.plan_title": "plan:a@1", "tier.title": "feature:x@plan:a@1",
        },
        "product": "tier__feature-x-plan-a-1",
        "recurring": {
            "aggregate_usage": null, "interval": "month", "interval_count": 1, "usage_type": "licensed",
        },
        "tiers_mode": null,
        "transform_quantity": null,
        "unit_amount": 0,
        "unit_amount_decimal": "0",
    });
    merge(&mut price, fields);
    serde_json::from_value(price).unwrap()
}

fn merge(into: &mut Value, fields: &Value) {
    match (into, fields) {
        (Value::Object(into), Value::Object(fields)) => {
            for (key, value) in fields {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, fields) => *into = fields.clone(),
    }
}

const METERED: &str = r#"{"aggregate_usage":"sum","usage_type":"metered"}"#;

fn metered(fields: &Value) -> Price {
    let recurring: Value = serde_json::from_str(METERED).unwrap();
    let mut all = json!({ "recurring": recurring });
    merge(&mut all, fields);
    price(&all)
}

#[track_caller]
fn assert_reads(price: &Price, feature_json: &Value) {
    let pulled = PulledFeature::read(price).expect("the price is Tier's");
    let (name, plan, feature) = first(&json!({ "features": { "feature:x": feature_json } }));
    assert_eq!(pulled.feature, feature);
    assert_eq!(pulled.name, name);
    assert!(pulled.has_terms_of(&plan, &feature));
}

#[test]
fn prices_are_read() {
    assert_reads(&price(&json!({})), &json!({}));
    assert_reads(
        &price(&json!({ "unit_amount": null, "unit_amount_decimal": "0.5" })),
        &json!({ "base": 0.5 }),
    );
    // Only an integer amount, and no metadata except the name.
    assert_reads(
        &price(&json!({
            "unit_amount": 7, "unit_amount_decimal": null,
            "metadata": { "tier.limit": "inf", "tier.title": "", "tier.plan_title": "" },
        })),
        &json!({ "base": 7 }),
    );
    let unit = json!({ "unit_amount_decimal": "2", "metadata": { "tier.limit": "10" } });
    assert_reads(
        &metered(&unit),
        &json!({ "tiers": [{ "upto": 10, "price": 2 }] }),
    );
    let inf = json!({ "metadata": { "tier.limit": "inf" } });
    assert_reads(&metered(&inf), &json!({ "tiers": [{}] }));
    let none = json!({ "metadata": { "tier.limit": "0" } });
    assert_reads(&metered(&none), &json!({ "tiers": [] }));
    let tiered = json!({
        "billing_scheme": "tiered",
        "tiers_mode": "volume",
        "recurring": { "aggregate_usage": "last_during_period" },
        "unit_amount": null,
        "unit_amount_decimal": null,
        "metadata": { "tier.limit": "20" },
        "tiers": [
            { "up_to": 5, "flat_amount": 0, "unit_amount": 3, "unit_amount_decimal": "3" },
            { "up_to": null, "flat_amount": 1, "unit_amount": null, "unit_amount_decimal": "0.5" },
        ],
    });
    assert_reads(
        &metered(&tiered),
        &json!({
            "mode": "volume", "aggregate": "last",
            "tiers": [{ "upto": 5, "price": 3 }, { "upto": 20, "price": 0.5, "base": 1 }],
        }),
    );
    let divided = json!({ "transform_quantity": { "divide_by": 12, "round": "up" } });
    assert_reads(
        &price(&divided),
        &json!({ "divide": { "by": 12, "rounding": "up" } }),
    );
}

#[test]
fn prices_of_others_are_ignored() {
    for fields in [
        json!({ "metadata": { "tier.feature": "feature:x" } }),
        json!({ "metadata": { "tier.feature": "feature:x@1" } }),
        json!({ "recurring": null }),
        json!({ "recurring": { "interval_count": 2 } }),
        json!({ "billing_scheme": "tiered", "tiers_mode": "volume" }),
        json!({ "recurring": { "usage_type": "metered" }, "billing_scheme": "tiered" }),
    ] {
        assert_eq!(PulledFeature::read(&price(&fields)), None, "{fields}");
    }
}

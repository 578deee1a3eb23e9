//! The differences of answers between 2022-11-15 and 2026-10-28.endive: fields that moved (here), and fields that were
//! removed and added (`fields.txt`). The changes are applied to the JSON of 2022-11-15, which has all the data.

mod invoices;
mod subscriptions;

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

type Fields = Map<String, Value>;

/// The fields that were removed from an object and added to it.
#[derive(Debug, Default)]
struct Difference {
    removed: Vec<&'static str>,
    added: Vec<(&'static str, Value)>,
}

static DIFFERENCES: LazyLock<HashMap<&'static str, Difference>> = LazyLock::new(|| {
    let mut all: HashMap<&'static str, Difference> = HashMap::new();
    let mut object = "";
    let lines = include_str!("fields.txt").lines();
    for line in lines.filter(|line| !line.starts_with('#')) {
        if !line.starts_with(' ') {
            object = line;
            continue;
        }
        let difference = all.entry(object).or_default();
        let mut words = line.split_whitespace();
        let is_removed = words.next() == Some("-");
        for word in words {
            match word.split_once('=') {
                Some((name, value)) => {
                    let value = serde_json::from_str(value).expect("the table has JSON");
                    difference.added.push((name, value));
                }
                None if is_removed => difference.removed.push(word),
                None => panic!("{word} has no value"),
            }
        }
    }
    all
});

/// Converts an object and everything in it.
pub(super) fn apply(value: &mut Value) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(apply),
        Value::Object(fields) => change(fields),
        _ => {}
    }
}

fn change(fields: &mut Fields) {
    let object = fields.get("object").and_then(Value::as_str);
    let object = object.unwrap_or_default().to_owned();
    let is_deleted = fields
        .get("deleted")
        .is_some_and(|deleted| *deleted == true);
    if object == "event" || is_deleted && object != "discount" {
        // An event keeps the version in which it was recorded, and a deleted object has no fields to convert.
        return;
    }
    match &*object {
        "subscription" => subscriptions::subscription(fields),
        "subscription_schedule" => subscriptions::schedule(fields),
        "price" => price(fields),
        "discount" => source(fields),
        "promotion_code" => promotion(fields),
        "invoice" => invoices::invoice(fields),
        "list" => invoices::add_invoice_to_lines(fields),
        "line_item" => invoices::line(fields),
        "invoiceitem" => invoices::item(fields),
        "checkout.session" => checkout(fields),
        _ => {}
    }
    if let Some(difference) = DIFFERENCES.get(&*object) {
        for name in &difference.removed {
            fields.shift_remove(*name);
        }
        for (path, value) in &difference.added {
            add(fields, path, value);
        }
    }
    // Metadata belongs to the client, so it is not converted.
    let inner = fields.iter_mut().filter(|(name, _)| *name != "metadata");
    inner.for_each(|(_, value)| apply(value));
}

/// Adds a field, unless the object has it. A path (`a.b`) adds it to an inner object, if that exists.
fn add(fields: &mut Fields, path: &str, value: &Value) {
    match path.split_once('.') {
        None => {
            fields.entry(path).or_insert_with(|| value.clone());
        }
        Some((name, rest)) => {
            if let Some(Value::Object(inner)) = fields.get_mut(name) {
                add(inner, rest, value);
            }
        }
    }
}

/// The id of a field that holds an object or its id.
fn id_of(value: Option<&Value>) -> Value {
    match value {
        Some(Value::Object(object)) => object.get("id").cloned().unwrap_or_default(),
        Some(id) => id.clone(),
        None => Value::Null,
    }
}

/// A price has `meter` instead of `aggregate_usage`.
fn price(fields: &mut Fields) {
    if let Some(Value::Object(recurring)) = fields.get_mut("recurring") {
        recurring.shift_remove("aggregate_usage");
        recurring.entry("meter").or_insert(Value::Null);
    }
}

/// A discount has its coupon in `source`.
fn source(fields: &mut Fields) {
    let coupon = id_of(fields.get("coupon"));
    fields.insert("source".into(), json!({"coupon": coupon, "type": "coupon"}));
}

/// A promotion code has its coupon in `promotion`.
fn promotion(fields: &mut Fields) {
    let coupon = id_of(fields.get("coupon"));
    let promotion = json!({"coupon": coupon, "type": "coupon"});
    fields.insert("promotion".into(), promotion);
}

/// Adds `liability` and the null fields in `more` to `automatic_tax`.
fn automatic_tax(fields: &mut Fields, more: &[&str]) {
    let Some(Value::Object(tax)) = fields.get_mut("automatic_tax") else {
        return;
    };
    let enabled = tax.get("enabled").is_some_and(|enabled| *enabled == true);
    let liability = if enabled {
        json!({"type": "self"})
    } else {
        Value::Null
    };
    tax.insert("liability".into(), liability);
    for name in more {
        tax.insert((*name).into(), Value::Null);
    }
}

fn checkout(fields: &mut Fields) {
    automatic_tax(fields, &["provider"]);
    if let Some(Value::Object(details)) = fields.get_mut("customer_details") {
        details.insert("business_name".into(), Value::Null);
        details.insert("individual_name".into(), Value::Null);
    }
    let text = json!({
        "after_submit": null,
        "shipping_address": null,
        "submit": null,
        "terms_of_service_acceptance": null,
    });
    fields.insert("custom_text".into(), text);
}

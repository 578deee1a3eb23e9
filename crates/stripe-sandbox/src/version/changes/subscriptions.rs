//! Subscriptions and their schedules.

use serde_json::{Value, json};

use super::{Fields, automatic_tax, id_of};

/// Each item has a period: its own, else the subscription's. `discounts` is a list of ids.
pub(super) fn subscription(fields: &mut Fields) {
    let start = fields.get("current_period_start").cloned();
    let end = fields.get("current_period_end").cloned();
    let items = fields
        .get_mut("items")
        .and_then(|items| items["data"].as_array_mut());
    for item in items.into_iter().flatten().filter_map(Value::as_object_mut) {
        for (name, time) in [
            ("current_period_start", &start),
            ("current_period_end", &end),
        ] {
            item.entry(name)
                .or_insert_with(|| time.clone().unwrap_or_default());
        }
    }
    if let Some(Value::Object(details)) = fields.get_mut("cancellation_details") {
        details.insert("feedback_option".into(), Value::Null);
    }
    automatic_tax(fields, &["disabled_reason"]);
    let discounts = match id_of(fields.get("discount")) {
        Value::Null => json!([]),
        id => json!([id]),
    };
    fields.insert("discounts".into(), discounts);
}

pub(super) fn schedule(fields: &mut Fields) {
    if let Some(Value::Object(defaults)) = fields.get_mut("default_settings") {
        automatic_tax(defaults, &["disabled_reason"]);
        let settings = json!({
            "account_tax_ids": null,
            "custom_fields": null,
            "days_until_due": null,
            "description": null,
            "footer": null,
            "issuer": {"type": "self"},
        });
        defaults.insert("invoice_settings".into(), settings);
    }
    let phases = fields.get_mut("phases").and_then(Value::as_array_mut);
    for phase in phases
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        self::phase(phase);
    }
}

/// A phase has `discounts` instead of `coupon`.
fn phase(fields: &mut Fields) {
    automatic_tax(fields, &["disabled_reason"]);
    let discounts = match fields.shift_remove("coupon") {
        None | Some(Value::Null) => json!([]),
        coupon => {
            let coupon = id_of(coupon.as_ref());
            json!([{"coupon": coupon, "discount": null, "promotion_code": null}])
        }
    };
    fields.insert("discounts".into(), discounts);
    each(fields, "items", |item| {
        item.insert("discounts".into(), json!([]));
    });
    each(fields, "add_invoice_items", |added| {
        added.insert("discountable".into(), Value::Null);
        added.insert("discounts".into(), json!([]));
        added.insert("metadata".into(), json!({}));
        let period = json!({
            "end": {"type": "min_item_period_end"},
            "start": {"type": "max_item_period_start"},
        });
        added.insert("period".into(), period);
    });
}

fn each(fields: &mut Fields, name: &str, change: impl Fn(&mut Fields)) {
    let elements = fields.get_mut(name).and_then(Value::as_array_mut);
    let elements = elements.into_iter().flatten();
    elements.filter_map(Value::as_object_mut).for_each(change);
}

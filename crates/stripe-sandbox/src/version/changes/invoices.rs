//! Invoices, their lines, and invoice items.

use serde_json::{Value, json};

use super::{Fields, automatic_tax, id_of};

/// An invoice has its subscription in `parent`. Its payments are objects of their own.
pub(super) fn invoice(fields: &mut Fields) {
    let subscription = id_of(fields.get("subscription"));
    let parent = match subscription {
        Value::Null => Value::Null,
        id => {
            let details = fields.get("subscription_details");
            let metadata = details.map(|details| details["metadata"].clone());
            json!({
                "quote_details": null,
                "subscription_details": {"metadata": metadata, "subscription": id},
                "type": "subscription_details",
            })
        }
    };
    fields.insert("parent".into(), parent);
    automatic_tax(fields, &["disabled_reason", "provider"]);
    let waits = fields
        .get("status")
        .is_some_and(|status| *status == "draft")
        && fields
            .get("auto_advance")
            .is_some_and(|advances| *advances == true);
    let attempt = fields.get("next_payment_attempt").cloned();
    let finalizes = attempt.filter(|_| waits).unwrap_or_default();
    fields.insert("automatically_finalizes_at".into(), finalizes);
    pretax_credits(
        fields,
        "total_discount_amounts",
        "total_pretax_credit_amounts",
    );
}

/// Adds the discounts to the list of pre-tax credits.
pub(super) fn pretax_credits(fields: &mut Fields, from: &str, name: &str) {
    let amounts = fields.get(from).and_then(Value::as_array);
    let credit = |amount: &Value| json!({"amount": amount["amount"], "discount": amount["discount"], "type": "discount"});
    let credits: Vec<Value> = amounts.into_iter().flatten().map(credit).collect();
    fields.insert(name.to_owned(), json!(credits));
}

/// Adds the invoice's id to each line of a list. The id is taken from the list's URL.
pub(super) fn add_invoice_to_lines(fields: &mut Fields) {
    let url = fields
        .get("url")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let path = url
        .strip_prefix("/v1/invoices/")
        .and_then(|rest| rest.split_once("/lines"));
    let Some(invoice) = path.map(|(id, _)| json!(id)) else {
        return;
    };
    let lines = fields.get_mut("data").and_then(Value::as_array_mut);
    for line in lines.into_iter().flatten().filter_map(Value::as_object_mut) {
        line.insert("invoice".into(), invoice.clone());
    }
}

/// A line has its invoice item or subscription item in `parent`, and its price in `pricing`.
pub(super) fn line(fields: &mut Fields) {
    let get = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let details = json!({
        "invoice_item": get("invoice_item"),
        "proration": get("proration"),
        "proration_details": get("proration_details"),
        "subscription": id_of(fields.get("subscription")),
        "subscription_item": get("subscription_item"),
    });
    let parent = if details["subscription_item"].is_null() {
        let mut details = details;
        if let Some(details) = details.as_object_mut() {
            details.shift_remove("subscription_item");
        }
        json!({
            "invoice_item_details": details,
            "subscription_item_details": null,
            "type": "invoice_item_details",
        })
    } else {
        json!({
            "invoice_item_details": null,
            "subscription_item_details": details,
            "type": "subscription_item_details",
        })
    };
    let pricing = pricing(&get("price"), &get("unit_amount_excluding_tax"));
    let (subtotal, quantity) = (get("amount"), get("quantity"));
    fields.insert("parent".into(), parent);
    fields.insert("pricing".into(), pricing);
    fields.insert("subtotal".into(), subtotal);
    quantity_decimal(fields, &quantity);
    pretax_credits(fields, "discount_amounts", "pretax_credit_amounts");
}

fn quantity_decimal(fields: &mut Fields, quantity: &Value) {
    let exact = quantity
        .as_i64()
        .map(|quantity| json!(quantity.to_string()));
    fields
        .entry("quantity_decimal")
        .or_insert(exact.unwrap_or_default());
}

fn pricing(price: &Value, unit_amount: &Value) -> Value {
    let mut pricing = json!({"type": "price_details", "unit_amount_decimal": unit_amount});
    if !price.is_null() {
        pricing["price_details"] = json!({
            "price": id_of(Some(price)),
            "product": id_of(price.get("product")),
        });
    }
    pricing
}

pub(super) fn item(fields: &mut Fields) {
    let get = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let parent = match id_of(fields.get("subscription")) {
        Value::Null => Value::Null,
        id => {
            let mut details = json!({"subscription": id});
            if let Some(item) = fields.get("subscription_item") {
                details["subscription_item"] = item.clone();
            }
            json!({"subscription_details": details, "type": "subscription_details"})
        }
    };
    let pricing = pricing(&get("price"), &get("unit_amount_decimal"));
    let quantity = get("quantity");
    fields.insert("parent".into(), parent);
    fields.insert("pricing".into(), pricing);
    quantity_decimal(fields, &quantity);
}

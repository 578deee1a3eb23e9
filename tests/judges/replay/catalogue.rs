//! The catalogue that the recordings take for granted: products, prices and coupons of the recorded account, made
//! again.

use serde_json::Value;

use super::recording::Call;
use crate::names::Names;
use crate::stripe::{Param, Stripe};

/// No answer has the products. Their names are those in the descriptions of invoice lines.
const PRODUCTS: [(&str, &str); 3] = [
    ("prod_EYTX7RYhRjcwKD", "Test Subscription"),
    ("prod_J54YfEqBTZfFes", "Default"),
    ("prod_IxQQWtyij0rvGp", "T-Shirt"),
];

/// The prices and coupons in the answers, each once and in its first state, ordered by creation time.
pub(super) fn shown<'a>(calls: impl Iterator<Item = &'a Call>) -> Vec<Value> {
    let mut shown = Vec::new();
    for call in calls {
        collect(&call.answer, &mut shown);
    }
    shown.sort_by_key(|object| object["created"].as_i64());
    shown.into_iter().cloned().collect()
}

/// Makes the products, and then these prices and coupons, each at its time.
pub(super) async fn prepare(
    catalogue: &[Value],
    is_old: bool,
    account: Option<&str>,
    stripe: &Stripe,
    names: &mut Names,
) -> anyhow::Result<()> {
    for (id, name) in PRODUCTS {
        let mut params = pairs(&[("id", id), ("name", name)]);
        // The invoice lines of the first recordings have no unit label.
        if name == "Test Subscription" && !is_old {
            params.extend(pairs(&[("unit_label", "user")]));
        }
        make(stripe, "/v1/products", &params, account, id, names).await?;
    }
    for object in catalogue {
        stripe.pass_time(object["created"].as_i64().unwrap_or_default());
        let (path, params) = match object["object"].as_str() {
            Some("coupon") => {
                let fields = ["id", "name", "amount_off", "currency", "duration"];
                ("/v1/coupons", copied(object, &fields))
            }
            _ => ("/v1/prices", price(object)),
        };
        let id = object["id"].as_str().unwrap_or_default();
        make(stripe, path, &params, account, id, names).await?;
    }
    Ok(())
}

async fn make(
    stripe: &Stripe,
    path: &str,
    params: &[Param],
    account: Option<&str>,
    id: &str,
    names: &mut Names,
) -> anyhow::Result<()> {
    let (status, made) = stripe.send("post", path, params, account).await?;
    anyhow::ensure!(status == 200, "{path} {params:?}: {made}");
    names.relate(id, made["id"].as_str().unwrap_or_default());
    Ok(())
}

fn price(object: &Value) -> Vec<Param> {
    let mut params = copied(
        object,
        &[
            "product",
            "currency",
            "unit_amount",
            "nickname",
            "tax_behavior",
        ],
    );
    if let Some(interval) = object["recurring"]["interval"].as_str() {
        params.extend(pairs(&[("recurring[interval]", interval)]));
    }
    params
}

fn copied(object: &Value, fields: &[&str]) -> Vec<Param> {
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let given = fields.iter().filter(|field| !object[**field].is_null());
    given
        .map(|field| ((*field).to_owned(), text(&object[*field])))
        .collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<Param> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// The prices and coupons in an answer, each once.
fn collect<'a>(value: &'a Value, shown: &mut Vec<&'a Value>) {
    if value["object"] == "price" || value["object"] == "coupon" {
        if shown.iter().all(|known| known["id"] != value["id"]) {
            shown.push(value);
        }
        return;
    }
    match value {
        Value::Object(fields) => fields.values().for_each(|value| collect(value, shown)),
        Value::Array(elements) => elements.iter().for_each(|value| collect(value, shown)),
        _ => {}
    }
}

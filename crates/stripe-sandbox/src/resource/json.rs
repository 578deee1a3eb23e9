//! JSON parts that many objects share.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};
use url::Url;

/// The maximum number of elements of a list within an object.
const NESTED: usize = 10;

/// A list within an object: the first ten elements and the URL of the rest.
pub(crate) fn nested(url: &str, total: usize, first: impl Iterator<Item = Value>) -> Value {
    let data: Vec<Value> = first.take(NESTED).collect();
    json!({
        "object": "list",
        "data": data,
        "has_more": total > NESTED,
        "total_count": total,
        "url": url,
    })
}

/// A time in milliseconds as `/v2` writes it.
pub(crate) fn rfc3339(millis: i64) -> Value {
    let time = DateTime::from_timestamp_millis(millis);
    json!(time.map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true)))
}

/// Merges objects into one, in their order.
pub(crate) fn merged<const N: usize>(parts: [Value; N]) -> Value {
    let fields = parts.into_iter().filter_map(|part| match part {
        Value::Object(fields) => Some(fields),
        _ => None,
    });
    Value::Object(fields.flatten().collect())
}

/// Stripe's `next_action`: where the customer authenticates, and the URL to return to.
pub(crate) fn next_action(url: &str, back: Option<&str>) -> Value {
    match back {
        Some(back) => json!({
            "redirect_to_url": {"return_url": back, "url": url},
            "type": "redirect_to_url",
        }),
        None => json!({
            "type": "use_stripe_sdk",
            "use_stripe_sdk": {"stripe_js": url, "type": "three_d_secure_redirect"},
        }),
    }
}

/// The return URL with the parameters that Stripe adds: the intent's id (under `kind`), its secret, and the outcome.
pub(crate) fn with_outcome(
    back: &str,
    kind: &str,
    id: &str,
    secret: &str,
    has_succeeded: bool,
) -> String {
    let Ok(mut url) = Url::parse(back) else {
        return back.to_owned();
    };
    let outcome = if has_succeeded { "succeeded" } else { "failed" };
    url.query_pairs_mut()
        .append_pair(kind, id)
        .append_pair(&format!("{kind}_client_secret"), secret)
        .append_pair("redirect_status", outcome);
    url.into()
}

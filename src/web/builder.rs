//! The page of the Model Builder. Its scripts make everything on it.

use maud::html;
use serde_json::{Map, Value, json};

use super::Page;
use crate::domain::SharedModel;
use crate::domain::pricing::Currency;

/// The page. `is_live`: whether the server's Stripe account is in live mode. `shared`: the model in the link that was
/// opened.
pub fn builder(is_live: bool, shared: Option<&SharedModel>) -> Page<'static> {
    let title = shared.map(|shared| shared.title.as_deref().unwrap_or_default());
    let from = shared.and_then(|shared| shared.from.as_deref());
    let body = html! {
        tier-builder
            data-live=(is_live.to_string())
            data-shared[shared.is_some()]
            data-title=[title]
            data-from=[from]
            data-currencies=(currencies().to_string())
        {
            noscript { p.error { "The Model Builder needs JavaScript. `tier init` writes a pricing.json to begin with." } }
        }
    };
    Page::new("Model Builder", body)
        .wide()
        .styles(&["/assets/builder.css"])
        .scripts(&["/tier.js", "/assets/builder.mjs"])
}

/// The decimals and the sign of each currency, by its code.
fn currencies() -> Value {
    let all = Currency::codes().filter_map(Currency::new);
    let all = all.map(|currency| {
        let format = json!({ "decimals": currency.decimals(), "sign": currency.sign() });
        (currency.as_str().to_owned(), format)
    });
    Value::Object(all.collect::<Map<_, _>>())
}

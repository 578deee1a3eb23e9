//! Times, amounts, links, and the fields of an object.

use chrono::DateTime;
use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rust_decimal::Decimal;
use serde_json::Value;

use super::target::{KINDS, kind_of};
use crate::money::format::money;
use crate::resource::customer::Customer;
use crate::resource::price::{Amount, Price, Recurring};
use crate::store::account::Account;

/// The characters that are escaped in a path segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'_')
    .remove(b'-')
    .remove(b'.')
    .remove(b'~');

/// An account, and its time, for the pages about it.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) account: &'a Account,
    pub(super) now: i64,
}

impl View<'_> {
    /// The path of this account's overview, or of a list or an object below it.
    pub(super) fn path(&self, segments: &[&str]) -> String {
        let mut path = format!("/{}", self.account.profile.id);
        for segment in segments {
            path.push('/');
            path.extend(utf8_percent_encode(segment, SEGMENT));
        }
        path
    }

    /// A link to an object, with its id or another text.
    pub(super) fn link(&self, segment: &str, id: &str, text: &str) -> Markup {
        html! { a href=(self.path(&[segment, id])) { (text) } }
    }

    /// The id of an object, with a link if it has a page.
    pub(super) fn id(&self, id: &str) -> Markup {
        let linked = kind_of(id).map(|kind| self.link(kind.segment, id, id));
        linked.unwrap_or_else(|| html! { (id) })
    }

    /// The customer, by name.
    pub(super) fn customer(&self, id: &str) -> Markup {
        let named = self.account.customers.get(id).map(name);
        self.link("customers", id, named.unwrap_or(id))
    }

    /// The price, by the product's name.
    pub(super) fn price_name<'p>(&'p self, id: &'p str) -> &'p str {
        let Some(price) = self.account.prices.get(id) else {
            return id;
        };
        let product = self.account.products.get(&price.product);
        product.map_or(id, |product| &product.name)
    }

    /// The product's name and the amount, with a link to the price.
    pub(super) fn price(&self, id: &str) -> Markup {
        let price = self.account.prices.get(id);
        html! {
            (self.link("prices", id, self.price_name(id)))
            @if let Some(price) = price { ", " (price_text(price)) }
        }
    }
}

/// A customer's display name: the name, e-mail address, description or id.
pub(super) fn name(customer: &Customer) -> &str {
    let names = [&customer.name, &customer.email, &customer.description];
    let mut given = names
        .into_iter()
        .filter_map(Option::as_deref)
        .filter(|name| !name.trim().is_empty());
    given.next().unwrap_or(&customer.id)
}

pub(super) fn time(at: i64) -> Markup {
    let Some(time) = DateTime::from_timestamp(at, 0) else {
        return html! { (at) };
    };
    html! {
        time datetime=(time.format("%Y-%m-%dT%H:%M:%SZ")) { (time.format("%Y-%m-%d %H:%M UTC")) }
    }
}

/// An amount in the smallest unit with its currency: `$10.00 USD`.
pub(super) fn amount(minor: Decimal, currency: &str) -> String {
    let code = currency.to_uppercase();
    let text = money(minor, currency);
    if text.contains(&code) {
        text
    } else {
        format!("{text} {code}")
    }
}

/// The amount and interval of a price: `$5.00 USD for 10 / 3 months, metered`.
pub(super) fn price_text(price: &Price) -> String {
    let currency = price.currency.as_str();
    let cost = match &price.amount {
        Amount::PerUnit(unit) => amount(*unit, currency),
        Amount::Tiered { mode, tiers } => {
            let (count, mode) = (tiers.len(), mode.as_str());
            format!("{count} {mode} tiers in {}", currency.to_uppercase())
        }
    };
    let pack = price.transform.as_ref();
    let pack = pack.map_or_else(String::new, |divide| format!(" for {}", divide.by));
    let recurring = price.recurring.as_ref();
    let interval = recurring.map_or_else(String::new, |recurring| {
        let unit = recurring.interval.unit.as_str();
        match recurring.interval.count {
            1 => format!(" / {unit}"),
            count => format!(" / {count} {unit}s"),
        }
    });
    let is_metered = recurring.is_some_and(Recurring::is_metered);
    let metered = if is_metered { ", metered" } else { "" };
    let archived = if price.active { "" } else { ", archived" };
    format!("{cost}{pack}{interval}{metered}{archived}")
}

/// The fields of an object of the API that have a value, except lists; then all of it as JSON.
pub(super) fn fields(view: View<'_>, object: &Value) -> Markup {
    let currency = object["currency"].as_str();
    let entries = object.as_object().into_iter().flatten();
    let entries = entries.filter(|(key, value)| {
        let empty = value.as_object().is_some_and(serde_json::Map::is_empty);
        let nested = value.is_array() || (value.is_object() && *key != "metadata");
        !(value.is_null() || empty || nested || *key == "object" || *key == "livemode")
    });
    html! {
        dl {
            @for (key, value) in entries {
                dt { (key.replace('_', " ")) }
                dd { (field(view, key, value, currency)) }
            }
        }
    }
}

/// The object as the API shows it.
pub(super) fn json(object: &Value) -> Markup {
    let text = serde_json::to_string_pretty(object).unwrap_or_default();
    html! {
        details {
            summary { "JSON, as the API shows it" }
            pre tabindex="0" { (text) }
        }
    }
}

fn field(view: View<'_>, key: &str, value: &Value, currency: Option<&str>) -> Markup {
    match value {
        Value::Number(number) => match (number.as_i64(), currency) {
            (Some(at), _) if is_time(key) => time(at),
            (Some(minor), Some(currency)) if is_amount(key) => {
                html! { (amount(minor.into(), currency)) }
            }
            _ => html! { (number.to_string()) },
        },
        Value::String(text) if key == "id" || key.ends_with("secret") => html! { (text) },
        // Products and customers are linked by key, because their ids can be any text.
        Value::String(text) if key == "product" => view.link("products", text, text),
        Value::String(text) if key == "customer" => view.customer(text),
        Value::String(text) => view.id(text),
        Value::Object(metadata) => html! {
            ul {
                @for (key, value) in metadata {
                    li { (key) ": " (value.as_str().unwrap_or_default()) }
                }
            }
        },
        other => html! { (other.to_string()) },
    }
}

fn is_time(key: &str) -> bool {
    let ends = [
        "_at", "_start", "_end", "_date", "_time", "_anchor", "_attempt",
    ];
    matches!(key, "created" | "updated" | "deletes_after")
        || ends.iter().any(|end| key.ends_with(end))
}

fn is_amount(key: &str) -> bool {
    let whole = ["total", "subtotal", "tax", "balance"];
    key.split('_').any(|word| word == "amount") || whole.iter().any(|word| key.contains(word))
}

/// The title of a list: `Test clocks`.
pub(super) fn plural(segment: &str) -> String {
    let kind = KINDS.iter().find(|kind| kind.segment == segment);
    let name = kind.map_or(segment, |kind| kind.name);
    let (first, rest) = name.split_at(1);
    format!("{}{rest}s", first.to_uppercase())
}

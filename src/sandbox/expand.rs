//! `expand[]`: an id in an answer is replaced by the object that it names, and fields that are only shown
//! on request are added.
//!
//! What can be expanded is listed, by the type of the object that holds it. So a request is checked before
//! anything happens, and what is not listed is refused, as Stripe does.

use serde_json::{Value, json};

use super::billing;
use super::error::{Error, Result};
use super::params::Params;
use super::payment_method::PaymentMethod;
use super::price::Price;
use super::product::Product;
use super::setup_intent::SetupIntent;
use super::state::Account;
use super::test_clock::TestClock;

const MAX_DEPTH: usize = 4;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    /// An id, or null, in place of an object of this type.
    Link(&'static str),
    /// Something that is there only when expanded, of this type (empty: nothing in it can be expanded).
    Hidden(&'static str),
    /// An object of this type, an array of them, or null, which is there in any case.
    Part(&'static str),
}

use Field::{Hidden, Link, Part};

/// Holder, field, what is in it. A `list:x` has the field `data` with parts `x`.
const FIELDS: &[(&str, &str, Field)] = &[
    ("price", "product", Link("product")),
    ("price", "tiers", Hidden("")),
    ("price", "currency_options", Hidden("")),
    ("product", "default_price", Link("price")),
    ("customer", "test_clock", Link("test_helpers.test_clock")),
    ("customer", "invoice_settings", Part("invoice_settings")),
    ("customer", "discount", Part("discount")),
    ("customer", "subscriptions", Hidden("list:subscription")),
    ("customer", "sources", Hidden("list:source")),
    ("customer", "tax_ids", Hidden("list:tax_id")),
    ("customer", "tax", Hidden("")),
    ("customer", "default_source", Link("")),
    (
        "invoice_settings",
        "default_payment_method",
        Link("payment_method"),
    ),
    ("discount", "customer", Link("customer")),
    // It is there in any case, and may be named all the same.
    ("discount", "coupon", Link("coupon")),
    ("discount", "promotion_code", Link("")),
    ("coupon", "applies_to", Hidden("")),
    ("coupon", "currency_options", Hidden("")),
    ("payment_method", "customer", Link("customer")),
    ("setup_intent", "customer", Link("customer")),
    ("setup_intent", "payment_method", Link("payment_method")),
    ("setup_intent", "latest_attempt", Link("")),
    ("setup_intent", "mandate", Link("")),
    ("subscription", "customer", Link("customer")),
    ("subscription", "schedule", Link("subscription_schedule")),
    (
        "subscription",
        "default_payment_method",
        Link("payment_method"),
    ),
    ("subscription", "default_source", Link("")),
    ("subscription", "latest_invoice", Link("invoice")),
    ("subscription", "pending_setup_intent", Link("setup_intent")),
    (
        "subscription",
        "test_clock",
        Link("test_helpers.test_clock"),
    ),
    ("subscription", "discount", Part("discount")),
    ("subscription", "items", Part("list:subscription_item")),
    ("subscription_item", "price", Part("price")),
    ("subscription_item", "plan", Part("plan")),
    ("plan", "product", Link("product")),
    ("plan", "tiers", Hidden("")),
    ("subscription_schedule", "customer", Link("customer")),
    (
        "subscription_schedule",
        "subscription",
        Link("subscription"),
    ),
    (
        "subscription_schedule",
        "test_clock",
        Link("test_helpers.test_clock"),
    ),
    (
        "subscription_schedule",
        "default_settings",
        Part("default_settings"),
    ),
    ("subscription_schedule", "phases", Part("phase")),
    (
        "default_settings",
        "default_payment_method",
        Link("payment_method"),
    ),
    ("phase", "coupon", Link("coupon")),
    ("phase", "default_payment_method", Link("payment_method")),
    ("phase", "items", Part("phase_item")),
    ("phase_item", "price", Link("price")),
    ("phase_item", "plan", Link("plan")),
    ("invoice", "customer", Link("customer")),
    ("invoice", "subscription", Link("subscription")),
    ("invoice", "default_payment_method", Link("payment_method")),
    ("invoice", "charge", Link("")),
    ("invoice", "payment_intent", Link("")),
    ("invoice", "test_clock", Link("test_helpers.test_clock")),
    ("invoice", "discount", Part("discount")),
    ("invoice", "discounts", Link("discount")),
    ("invoice", "lines", Part("list:line_item")),
    ("invoice", "total_discount_amounts", Part("discount_amount")),
    ("discount_amount", "discount", Link("discount")),
    ("credit_note", "customer", Link("customer")),
    ("credit_note", "invoice", Link("invoice")),
    ("credit_note", "customer_balance_transaction", Link("")),
    ("credit_note", "refund", Link("")),
    ("credit_note", "lines", Part("list:credit_note_line_item")),
    ("credit_note", "discount_amounts", Part("discount_amount")),
    (
        "credit_note_line_item",
        "discount_amounts",
        Part("discount_amount"),
    ),
    ("line_item", "price", Part("price")),
    ("line_item", "plan", Part("plan")),
    ("line_item", "discounts", Link("discount")),
    ("line_item", "discount_amounts", Part("discount_amount")),
    ("checkout.session", "customer", Link("customer")),
    ("checkout.session", "subscription", Link("subscription")),
    ("checkout.session", "setup_intent", Link("setup_intent")),
    ("checkout.session", "invoice", Link("invoice")),
    ("checkout.session", "payment_intent", Link("")),
    ("checkout.session", "payment_link", Link("")),
    ("checkout.session", "line_items", Hidden("list:item")),
    ("item", "price", Part("price")),
];

/// The paths of one request, checked.
#[derive(Debug, Default)]
pub(crate) struct Expand {
    paths: Vec<Vec<String>>,
    object: &'static str,
}

fn field(holder: &'static str, name: &str) -> Option<Field> {
    if let Some(element) = holder.strip_prefix("list:") {
        return (name == "data").then_some(Part(element));
    }
    let found = FIELDS
        .iter()
        .find(|(kind, field, _)| *kind == holder && *field == name);
    found.map(|(_, _, field)| *field)
}

impl Expand {
    /// Reads `expand[]` for an answer of type `object`.
    pub(crate) fn read(params: &Params<'_>, object: &'static str) -> Result<Self> {
        let mut paths = Vec::new();
        for path in params.strings("expand")?.unwrap_or_default() {
            let steps: Vec<String> = path.split('.').map(str::to_owned).collect();
            // The `data` of the list that is asked for does not count.
            let depth = steps.len() - usize::from(object.starts_with("list:"));
            if depth > MAX_DEPTH {
                return Err(refused(format!(
                    "You cannot expand more than {MAX_DEPTH} levels of a property. Property: {path}"
                )));
            }
            let mut holder = object;
            for (index, step) in steps.iter().enumerate() {
                let reachable = field(holder, step);
                let last = index + 1 == steps.len();
                holder = match reachable {
                    Some(Part(_)) if last => None,
                    Some(Link(kind) | Hidden(kind) | Part(kind)) => Some(kind),
                    None => None,
                }
                .ok_or_else(|| {
                    refused(format!(
                        "This property cannot be expanded ({}).",
                        steps[..=index].join(".")
                    ))
                })?;
            }
            paths.push(steps);
        }
        Ok(Self { paths, object })
    }

    /// Expands an answer in place. Deleted objects have nothing to expand.
    pub(crate) fn apply(&self, account: &Account, now: i64, answer: &mut Value) {
        for path in &self.paths {
            walk(account, now, self.object, answer, path);
        }
    }
}

fn refused(message: String) -> Error {
    Error::malformed("expand", message)
}

fn walk(account: &Account, now: i64, holder: &'static str, value: &mut Value, path: &[String]) {
    if let Value::Array(elements) = value {
        for element in elements {
            walk(account, now, holder, element, path);
        }
        return;
    }
    let Some((step, rest)) = path.split_first() else {
        return;
    };
    let (Some(field), false) = (field(holder, step), value["deleted"] == true) else {
        return;
    };
    if let Hidden(_) = field
        && value.is_object()
        && value.get(step).is_none()
        && let Some(shown) = hidden(account, value, step)
    {
        value[step.as_str()] = shown;
    }
    let Some(inner) = value.get_mut(step) else {
        return;
    };
    let (Link(kind) | Hidden(kind) | Part(kind)) = field;
    if let Link(_) = field {
        link(account, now, inner);
    }
    walk(account, now, kind, inner, rest);
}

/// Puts objects in the place of ids.
fn link(account: &Account, now: i64, value: &mut Value) {
    match value {
        Value::Array(elements) => {
            for element in elements {
                link(account, now, element);
            }
        }
        Value::String(id) => {
            if let Some(object) = render(account, now, id) {
                *value = object;
            }
        }
        _ => {}
    }
}

/// Any object of the account, by its id.
fn render(account: &Account, now: i64, id: &str) -> Option<Value> {
    let (prefix, _) = id.split_once('_').unwrap_or(("", id));
    let found = match prefix {
        "cus" => {
            let customer = account.customers.even_deleted(id);
            customer.map(|customer| customer.to_json(account.time_of(id, now)))
        }
        "price" => account.prices.get(id).map(Price::to_json),
        "pm" => account.payment_methods.get(id).map(PaymentMethod::to_json),
        "seti" => account.setup_intents.get(id).map(SetupIntent::to_json),
        "clock" => account.clocks.get(id).map(TestClock::to_json),
        _ => billing::render(account, now, id),
    };
    // Products and coupons have whatever ids their owners gave them.
    found
        .or_else(|| account.products.get(id).map(Product::to_json))
        .or_else(|| account.coupons.get(id).map(|coupon| coupon.to_json(now)))
}

/// What an object shows on request.
fn hidden(account: &Account, object: &Value, field: &str) -> Option<Value> {
    let id = object["id"].as_str().unwrap_or_default();
    let list = |path: &str| json!({"object": "list", "data": [], "has_more": false, "url": format!("/v1/customers/{id}/{path}")});
    match (object["object"].as_str().unwrap_or_default(), field) {
        ("price" | "plan", "tiers") => account.prices.get(id)?.tiers_json(),
        ("price", "currency_options") => account.prices.get(id).map(Price::currency_options_json),
        ("customer", "sources" | "tax_ids") => Some(list(field)),
        ("customer", "tax") => Some(json!({
            "automatic_tax": "unrecognized_location",
            "ip_address": null,
            "location": null,
        })),
        _ => billing::include(account, object, field),
    }
}

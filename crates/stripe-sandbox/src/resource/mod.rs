//! A folder for each resource: its state in `mod.rs`, its JSON in `view`, the reading of its parameters in `input`, and
//! its endpoints in `routes`. Small resources have fewer files.
//!
//! State does not use accounts, and views change nothing. The [`engine`](crate::engine) acts on resources: it uses
//! state and views, and is used by inputs and routes.
//!
//! This module lists all resources: their folders, their [endpoints](ROUTES), and how `expand[]` [shows](render) them.

pub(crate) mod account;
pub(crate) mod balance_transaction;
pub(crate) mod charge;
pub(crate) mod checkout_session;
pub(crate) mod coupon;
pub(crate) mod credit_note;
pub(crate) mod customer;
pub(crate) mod customer_balance;
pub(crate) mod discount;
pub(crate) mod event;
pub(crate) mod event_destination;
pub(crate) mod expand;
pub(crate) mod invoice;
pub(crate) mod invoice_item;
pub(crate) mod invoice_payment;
pub(crate) mod json;
pub(crate) mod meter;
pub(crate) mod meter_event;
pub(crate) mod payment_intent;
pub(crate) mod payment_method;
pub(crate) mod portal_session;
pub(crate) mod price;
pub(crate) mod product;
pub(crate) mod promotion_code;
pub(crate) mod refund;
pub(crate) mod route;
pub(crate) mod setup_intent;
pub(crate) mod subscription;
pub(crate) mod subscription_item;
pub(crate) mod subscription_schedule;
pub(crate) mod test_clock;
pub(crate) mod thin_event;
pub(crate) mod webhook_endpoint;

use std::sync::LazyLock;

use serde_json::Value;

use self::customer::Customer;
use self::discount::Discount;
use self::meter::Meter;
use self::payment_intent::PaymentIntent;
use self::payment_method::PaymentMethod;
use self::price::Price;
use self::price::view::plan;
use self::product::Product;
use self::refund::Refund;
use self::route::Route;
use self::setup_intent::SetupIntent;
use self::test_clock::TestClock;
use crate::store::account::Account;
use crate::version::ApiVersion;

/// The endpoints by resource. If two match, the first is used.
pub(crate) static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
    let resources = [
        account::routes::routes(),
        balance_transaction::routes::routes(),
        charge::routes::routes(),
        checkout_session::routes::routes(),
        coupon::routes::routes(),
        credit_note::routes::routes(),
        customer::routes::routes(),
        customer_balance::routes::routes(),
        discount::routes::routes(),
        event::routes::routes(),
        event_destination::routes::routes(),
        invoice::routes::routes(),
        invoice_item::routes::routes(),
        invoice_payment::routes::routes(),
        meter::routes::routes(),
        meter_event::routes::routes(),
        payment_intent::routes::routes(),
        payment_method::routes::routes(),
        portal_session::routes::routes(),
        price::routes::routes(),
        product::routes::routes(),
        promotion_code::routes::routes(),
        refund::routes::routes(),
        setup_intent::routes::routes(),
        subscription::routes::routes(),
        subscription_item::routes::routes(),
        subscription_schedule::routes::routes(),
        test_clock::routes::routes(),
        thin_event::routes::routes(),
        webhook_endpoint::routes::routes(),
    ];
    resources.into_iter().flatten().collect()
});

/// The JSON of an object by its id. A plan has its price's id; products and coupons have ids that clients chose, so
/// `kinds` tells their type.
pub(crate) fn render(account: &Account, now: i64, kinds: &[&str], id: &str) -> Option<Value> {
    match kinds {
        ["plan"] => return account.prices.get(id).map(plan),
        ["product"] => return account.products.get(id).map(Product::to_json),
        ["coupon"] => return Some(account.coupons.get(id)?.to_json(now)),
        _ => {}
    }
    let (prefix, _) = id.split_once('_')?;
    let (payments, billing) = (&account.payments, &account.billing);
    match prefix {
        "cus" => {
            let customer = account.customers.get_even_deleted(id);
            customer.map(|customer| customer.to_json(account.time_of(id, now)))
        }
        "mtr" => account.meters.get(id).map(Meter::to_json),
        "price" => account.prices.get(id).map(Price::to_json),
        "pm" => account.payment_methods.get(id).map(PaymentMethod::to_json),
        "seti" => account.setup_intents.get(id).map(SetupIntent::to_json),
        "promo" => Some(account.promotion_codes.get(id)?.to_json(now)),
        "cbtxn" => Some(account.customer_balance_transactions.get(id)?.to_json()),
        "clock" => account.clocks.get(id).map(TestClock::to_json),
        "pi" => payments.intents.get(id).map(PaymentIntent::to_json),
        "ch" => Some(payments.charges.get(id)?.to_json(account)),
        "txn" => balance_transaction::view::render(account, now, id),
        "re" => payments.refunds.get(id).map(Refund::to_json),
        "inpay" => {
            let invoice = invoice_payment::view::invoice_of(account, id)?;
            invoice_payment::view::of_invoice(account, invoice)
        }
        "in" => Some(invoice::view::invoice(account, billing.invoices.get(id)?)),
        "cn" => Some(credit_note::view::note(
            account,
            billing.credit_notes.get(id)?,
        )),
        "ii" => Some(billing.invoice_items.table.get(id)?.to_json(account)),
        "di" => {
            let discount = find_discount(account, id)?;
            Some(discount.to_json(account.time_of(&discount.customer, now)))
        }
        "si" => subscription_item::view::render(account, id),
        "bpc" => {
            let configuration = portal_session::view::configuration(&account.profile);
            (configuration["id"] == id).then_some(configuration)
        }
        "cs" => Some(checkout_session::view::to_json(billing.sessions.get(id)?)),
        "sub" if id.starts_with("sub_sched_") => Some(subscription_schedule::view::schedule(
            billing.schedules.get(id)?,
        )),
        "sub" => Some(subscription::view::subscription(
            account,
            billing.subscriptions.get(id)?,
            now,
        )),
        _ => None,
    }
}

/// A discount by its id: of an invoice, a subscription or a customer.
fn find_discount<'a>(account: &'a Account, id: &str) -> Option<&'a Discount> {
    let billing = &account.billing;
    let is_it = |discount: &&Discount| *discount.id == *id;
    let subscriptions = billing.subscriptions.iter();
    let of_subscriptions = || {
        let mut discounts = subscriptions.filter_map(|subscription| subscription.discount.as_ref());
        discounts.find(is_it)
    };
    let customers = account.customers.table().iter();
    let of_customers = || customers.filter_map(Customer::discount).find(is_it);
    let of_invoice = billing.discounts.get(id);
    of_invoice.or_else(of_subscriptions).or_else(of_customers)
}

/// The value of a field that an object has only on request.
fn on_request(
    account: &Account,
    (version, now): (ApiVersion, i64),
    object: &Value,
    field: &str,
) -> Option<Value> {
    let id = object["id"].as_str().unwrap_or_default();
    let billing = &account.billing;
    let list = |path: &str| serde_json::json!({"object": "list", "data": [], "has_more": false, "url": format!("/v1/customers/{id}/{path}")});
    match (object["object"].as_str().unwrap_or_default(), field) {
        ("price" | "plan", "tiers") => account.prices.get(id)?.tiers_json(),
        ("price", "currency_options") => account.prices.get(id).map(Price::currency_options_json),
        ("customer", "cash_balance") => Some(Value::Null),
        ("customer", "sources" | "tax_ids") => Some(list(field)),
        ("customer", "tax") => {
            let mut tax = account
                .customers
                .get(id)
                .map(customer::tax_location::to_json)?;
            if version.has_meters() {
                tax["provider"] = "stripe".into();
            }
            Some(tax)
        }
        ("customer", "subscriptions") => Some(subscription::view::of_customer(account, id, now)),
        ("invoice", "payments") => {
            let invoice = billing.invoices.get(id)?;
            Some(invoice_payment::view::list_of(account, invoice))
        }
        ("invoice", "confirmation_secret") => {
            let invoice = billing.invoices.get(id)?;
            Some(invoice_payment::view::secret_of(account, invoice))
        }
        ("charge", "refunds") => {
            let charge = account.payments.charges.get(id)?;
            Some(charge::view::refunds(account, charge))
        }
        ("checkout.session", "line_items") => {
            let session = account.billing.sessions.get(id)?;
            Some(checkout_session::basket::first_line_items(account, session))
        }
        _ => None,
    }
}

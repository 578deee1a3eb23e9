//! Payments: cards and charges, and their effects on invoices and subscriptions.

mod authentication;
mod balance;
mod cards;
mod charges;
mod credit_notes;
mod drafts;
mod events;
mod first_payment;
mod given_up;
mod incomplete;
mod intents;
mod invoices;
mod largest;
mod named_refunds;
mod stripe_js;
mod trial_end;

use super::START;
use super::billing::{DAY, World};

/// The types of an account's events with this prefix, oldest first.
async fn kinds(world: &World, start: &str) -> Vec<String> {
    let list = world.api.get("/v1/events?limit=100").await.ok();
    let events = list["data"].as_array().expect("a list").iter().rev();
    let kinds = events.map(|event| event["type"].as_str().expect("a type").to_owned());
    kinds.filter(|kind| kind.starts_with(start)).collect()
}

/// A customer on the clock with the given card, which may be a bad one, or without a card.
async fn customer(world: &World, card: &str) -> String {
    let form = match card {
        "" => format!("test_clock={}", world.clock),
        card => format!(
            "test_clock={}&payment_method={card}&invoice_settings[default_payment_method]={card}",
            world.clock
        ),
    };
    world.api.create("/v1/customers", &form).await
}

/// A customer without a card, whose subscription is past due after a trial of a week.
async fn unpaid(world: &World, price: &str, more: &str) -> (String, String) {
    let customer = customer(world, "").await;
    let price = world.price(price).await;
    let form = format!("customer={customer}&items[0][price]={price}&trial_period_days=7{more}");
    let subscription = world.api.create("/v1/subscriptions", &form).await;
    world.advance_to(START + 7 * DAY).await;
    (customer, subscription)
}

//! The JSON of subscriptions at 2022-11-15. Every field is present, and null without a value.

use serde_json::{Value, json};

use super::pause::Pause;
use super::{PaymentSettings, Subscription, view};
use crate::resource::json::{self, merged};
use crate::resource::price::view::plan;
use crate::resource::subscription_item::view::{item, quantity};
use crate::store::account::Account;

/// The JSON of a subscription at the account's time `now`.
pub(crate) fn subscription(account: &Account, subscription: &Subscription, now: i64) -> Value {
    let now = account.time_on(subscription.clock.as_ref(), now);
    let (trial_start, trial_end) = subscription.trial.unzip();
    let (period_start, period_end) = subscription.first_period();
    let url = format!("/v1/subscription_items?subscription={}", subscription.id);
    // The list of items is always complete: there are at most twenty, and clients read all of them from here.
    let data: Vec<Value> = subscription
        .items
        .iter()
        .map(|each| item(account, subscription, each))
        .collect();
    let first = json!({
        "id": &*subscription.id,
        "object": "subscription",
        "application": null,
        "application_fee_percent": null,
        "automatic_tax": {"enabled": subscription.automatic_tax},
        "billing_cycle_anchor": subscription.anchor,
        "billing_thresholds": null,
        "cancel_at": subscription.ends_at(),
        "cancel_at_period_end": subscription.cancel_at_period_end,
        "canceled_at": subscription.canceled_at,
        "cancellation_details": {
            "comment": null,
            "feedback": null,
            "reason": subscription.cancellation_reason,
        },
        "collection_method": "charge_automatically",
        "created": subscription.created,
        "currency": subscription.currency.as_str(),
        "current_period_end": period_end,
        "current_period_start": period_start,
        "customer": &*subscription.customer,
        "days_until_due": null,
        "default_payment_method": subscription.default_payment_method.as_deref(),
        "default_source": null,
        "default_tax_rates": [],
        "description": subscription.description,
    });
    let second = json!({
        "discount": subscription.discount.as_ref().map(|discount| discount.to_json(now)),
        "ended_at": subscription.ended_at,
        "items": {
            "object": "list",
            "total_count": data.len(),
            "data": data,
            "has_more": false,
            "url": url,
        },
        "latest_invoice": subscription.latest_invoice.as_deref(),
        "livemode": false,
        "metadata": subscription.metadata.to_json(),
        "next_pending_invoice_item_invoice": null,
        "on_behalf_of": null,
        "pause_collection": subscription.pause.map(Pause::to_json),
        "payment_settings": payment_settings(subscription.payment_settings),
        "pending_invoice_item_interval": null,
        "pending_setup_intent": subscription.pending_setup_intent.as_deref(),
        "pending_update": null,
        "schedule": subscription.schedule.as_deref(),
        "start_date": subscription.start_date,
        "status": subscription.status.as_str(),
        "test_clock": subscription.clock.as_deref(),
        "transfer_data": null,
        "trial_end": trial_end,
        "trial_settings": {
            "end_behavior": {"missing_payment_method": subscription.missing_method.as_str()},
        },
        "trial_start": trial_start,
    });
    merged([
        first,
        second,
        only_item(account, subscription),
        subscription.billing_mode.to_json(),
    ])
}

/// The fields that only a subscription with one item has.
fn only_item(account: &Account, subscription: &Subscription) -> Value {
    let [only] = &*subscription.items else {
        return json!({});
    };
    let mut object = json!({"plan": plan(account.price(&only.price))});
    let fields = object.as_object_mut().expect("built as an object");
    quantity(fields, only.quantity);
    object
}

fn payment_settings(settings: PaymentSettings) -> Value {
    json!({
        "payment_method_options": null,
        "payment_method_types": settings.has_card_types.then_some(["card"]),
        "save_default_payment_method": if settings.save_default { "on_subscription" } else { "off" },
    })
}

/// The value of a customer's `subscriptions` when it is expanded.
pub(crate) fn of_customer(account: &Account, id: &str, now: i64) -> Value {
    let positions = account
        .customers
        .get(id)
        .map(|customer| &customer.subscriptions);
    let mut live: Vec<&Subscription> = positions
        .into_iter()
        .flatten()
        .map(|position| account.subscription(*position))
        .filter(|each| !each.status.is_ended())
        .collect();
    live.reverse();
    let url = format!("/v1/customers/{id}/subscriptions");
    let elements = live
        .iter()
        .map(|each| view::subscription(account, each, now));
    json::nested(&url, live.len(), elements)
}

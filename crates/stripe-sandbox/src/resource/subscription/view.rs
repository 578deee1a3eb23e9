//! Subscriptions and schedules as Stripe 2022-11-15 shows them: every field is there, null where it has no value.

use serde_json::{Map, Value, json};

use super::pause::Pause;
use super::{Item, PaymentSettings, Subscription};
use crate::engine::added_items::AddedItem;
use crate::engine::catalog;
use crate::money::usage::Aggregate;
use crate::resource::price::{Amount, Price, amounts, transform_json};
use crate::resource::subscription_schedule::{ItemSpec, Phase, Schedule};
use crate::store::context::Ctx;
use crate::store::state::Account;

/// How many objects a list inside an object shows.
pub(crate) const NESTED: usize = 10;

/// A list inside an object: its first ten, and where the rest is.
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

/// One object of several parts, in their order.
pub(crate) fn merged<const N: usize>(parts: [Value; N]) -> Value {
    let fields = parts.into_iter().filter_map(|part| match part {
        Value::Object(fields) => Some(fields),
        _ => None,
    });
    Value::Object(fields.flatten().collect())
}

/// A subscription.
pub(crate) fn subscription(account: &Account, subscription: &Subscription) -> Value {
    let (trial_start, trial_end) = subscription.trial.unzip();
    let url = format!("/v1/subscription_items?subscription={}", subscription.id);
    // A subscription's items are never cut: there are twenty at most, and clients read them all from here.
    let data: Vec<Value> = subscription
        .items
        .iter()
        .map(|one| item(account, subscription, one))
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
        "current_period_end": subscription.period.1,
        "current_period_start": subscription.period.0,
        "customer": &*subscription.customer,
        "days_until_due": null,
        "default_payment_method": subscription.default_payment_method.as_deref(),
        "default_source": null,
        "default_tax_rates": [],
        "description": subscription.description,
    });
    let second = json!({
        "discount": subscription.discount.as_ref().map(|discount| discount.to_json(now(account, subscription))),
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
    merged([first, second, only_item(account, subscription)])
}

/// What a subscription with one item shows of it.
fn only_item(account: &Account, subscription: &Subscription) -> Value {
    let [only] = &*subscription.items else {
        return json!({});
    };
    let mut object = json!({"plan": plan(catalog::price(account, &only.price))});
    let fields = object.as_object_mut().expect("built as an object");
    quantity(fields, only.quantity);
    object
}

fn payment_settings(settings: PaymentSettings) -> Value {
    json!({
        "payment_method_options": null,
        "payment_method_types": settings.cards_named.then_some(["card"]),
        "save_default_payment_method": if settings.save_default { "on_subscription" } else { "off" },
    })
}

/// The subscription's time, by which a coupon is still valid or not.
fn now(account: &Account, subscription: &Subscription) -> i64 {
    account.time_on(subscription.clock.as_ref(), subscription.period.0)
}

/// One item of a subscription.
pub(crate) fn item(account: &Account, subscription: &Subscription, item: &Item) -> Value {
    let price = catalog::price(account, &item.price);
    let mut object = json!({
        "id": &*item.id,
        "object": "subscription_item",
        "billing_thresholds": null,
        "created": item.created,
        "metadata": item.metadata.to_json(),
        "plan": plan(price),
        "price": price.to_json(),
    });
    let fields = object.as_object_mut().expect("built as an object");
    quantity(fields, item.quantity);
    fields.insert("subscription".into(), json!(&*subscription.id));
    fields.insert("tax_rates".into(), json!([]));
    object
}

fn quantity(fields: &mut Map<String, Value>, quantity: Option<i64>) {
    if let Some(quantity) = quantity {
        fields.insert("quantity".into(), json!(quantity));
    }
}

/// A recurring price in its older form, which items still carry.
pub(crate) fn plan(price: &Price) -> Value {
    let (scheme, mode, unit) = match &price.amount {
        Amount::PerUnit(unit) => ("per_unit", None, Some(*unit)),
        Amount::Tiered { mode, .. } => ("tiered", Some(mode.as_str()), None),
    };
    let (amount, amount_decimal) = amounts(unit);
    let recurring = price.recurring.as_ref();
    let aggregate = recurring.and_then(|recurring| recurring.aggregate_usage);
    json!({
        "id": &*price.id,
        "object": "plan",
        "active": price.active,
        "aggregate_usage": aggregate.map(Aggregate::as_str),
        "amount": amount,
        "amount_decimal": amount_decimal,
        "billing_scheme": scheme,
        "created": price.created,
        "currency": price.currency.as_str(),
        "interval": recurring.map(|recurring| recurring.every.interval.as_str()),
        "interval_count": recurring.map(|recurring| recurring.every.count),
        "livemode": false,
        "metadata": price.metadata.to_json(),
        "nickname": price.nickname,
        "product": &*price.product,
        "tiers_mode": mode,
        "transform_usage": price.transform.map(transform_json),
        "trial_period_days": recurring.and_then(|recurring| recurring.trial_period_days),
        "usage_type": if aggregate.is_some() { "metered" } else { "licensed" },
    })
}

/// A subscription schedule.
pub(crate) fn schedule(schedule: &Schedule) -> Value {
    let defaults = &schedule.defaults;
    let phases: Vec<Value> = schedule.phases.iter().map(phase).collect();
    json!({
        "id": &*schedule.id,
        "object": "subscription_schedule",
        "application": null,
        "canceled_at": schedule.canceled_at,
        "completed_at": schedule.completed_at,
        "created": schedule.created,
        "current_phase": schedule.running().map(|phase| json!({
            "end_date": phase.end,
            "start_date": phase.start,
        })),
        "customer": &*schedule.customer,
        "default_settings": {
            "application_fee_percent": null,
            "automatic_tax": {"enabled": defaults.automatic_tax},
            "billing_cycle_anchor": anchor(defaults.anchored),
            "billing_thresholds": null,
            "collection_method": "charge_automatically",
            "default_payment_method": defaults.default_payment_method.as_deref(),
            "description": defaults.description,
            "invoice_settings": null,
            "on_behalf_of": null,
            "transfer_data": null,
        },
        "end_behavior": schedule.end_behavior.as_str(),
        "livemode": false,
        "metadata": schedule.metadata.to_json(),
        "phases": phases,
        "released_at": schedule.released_at,
        "released_subscription": schedule.released_subscription.as_deref(),
        "status": schedule.status.as_str(),
        "subscription": schedule.subscription.as_deref(),
        "test_clock": schedule.clock.as_deref(),
    })
}

fn anchor(anchored: bool) -> &'static str {
    if anchored { "phase_start" } else { "automatic" }
}

fn phase(phase: &Phase) -> Value {
    let items: Vec<Value> = phase.items.iter().map(phase_item).collect();
    let mut object = json!({
        "add_invoice_items": phase.added.iter().map(AddedItem::to_json).collect::<Vec<_>>(),
        "application_fee_percent": null,
    });
    let fields = object.as_object_mut().expect("built as an object");
    if let Some(enabled) = phase.automatic_tax {
        fields.insert("automatic_tax".into(), json!({"enabled": enabled}));
    }
    let rest = json!({
        "billing_cycle_anchor": phase.anchored.map(anchor),
        "billing_thresholds": null,
        "collection_method": phase.collection_named.then_some("charge_automatically"),
        "coupon": phase.coupon.as_ref().map(|coupon| &*coupon.id),
        "currency": phase.currency.as_str(),
        "default_payment_method": phase.default_payment_method.as_deref(),
        "default_tax_rates": [],
        "description": phase.description,
        "end_date": phase.end,
        "invoice_settings": null,
        "items": items,
        "metadata": phase.metadata.to_json(),
        "on_behalf_of": null,
        "proration_behavior": phase.prorate.as_str(),
        "start_date": phase.start,
        "transfer_data": null,
        "trial_end": phase.trial_end,
    });
    merged([object, rest])
}

fn phase_item(spec: &ItemSpec) -> Value {
    let mut object = json!({
        "billing_thresholds": null,
        "metadata": spec.metadata.to_json(),
        "plan": &*spec.price,
        "price": &*spec.price,
    });
    let fields = object.as_object_mut().expect("built as an object");
    quantity(fields, spec.quantity);
    fields.insert("tax_rates".into(), json!([]));
    object
}

/// Records what became of a subscription that was `before`, if anything did.
pub(crate) fn changed(ctx: &mut Ctx<'_>, position: u32, before: &Value, at: i64) {
    let after = subscription(ctx.account, ctx.account.subscription(position));
    if after == *before {
        return;
    }
    // One that never began is not told to be deleted.
    if after["ended_at"].is_null() || after["status"] == "incomplete_expired" {
        ctx.update_event("customer.subscription.updated", before, &after, at);
    } else {
        ctx.event("customer.subscription.deleted", &after, at);
    }
}

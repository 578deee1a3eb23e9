//! The JSON of subscription schedules at 2022-11-15. Every field is present, and null without a value.

use serde_json::{Value, json};

use super::{Phase, Schedule};
use crate::resource::invoice_item::AddedItem;
use crate::resource::json::merged;
use crate::resource::subscription_item::ItemSpec;
use crate::resource::subscription_item::view::quantity;

/// A subscription schedule.
pub(crate) fn schedule(schedule: &Schedule) -> Value {
    let defaults = &schedule.defaults;
    let phases: Vec<Value> = schedule.phases.iter().map(phase).collect();
    let object = json!({
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
            "billing_cycle_anchor": anchor(defaults.resets_anchor),
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
    });
    merged([object, schedule.billing_mode.to_json()])
}

fn anchor(resets_anchor: bool) -> &'static str {
    if resets_anchor {
        "phase_start"
    } else {
        "automatic"
    }
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
        "billing_cycle_anchor": phase.resets_anchor.map(anchor),
        "billing_thresholds": null,
        "collection_method": phase.has_collection_method.then_some("charge_automatically"),
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

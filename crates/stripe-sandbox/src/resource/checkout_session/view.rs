//! The JSON of checkout sessions at 2022-11-15.

use serde_json::{Value, json};

use super::{CheckoutSession, Mode, Status};
use crate::resource::json::merged;

/// The session.
pub(crate) fn to_json(session: &CheckoutSession) -> Value {
    let (mode, intent, purchase) = match &session.mode {
        Mode::Setup { intent } => ("setup", Some(intent), None),
        Mode::Subscription(purchase) => ("subscription", None, Some(purchase)),
    };
    let subtotal = purchase.map(|purchase| purchase.subtotal);
    let open = session.status == Status::Open;
    let payment = match (session.status, purchase) {
        (_, None) => "no_payment_required",
        (Status::Complete, Some(_)) => "paid",
        (_, Some(_)) => "unpaid",
    };
    let first = json!({
        "id": &*session.id,
        "object": "checkout.session",
        "after_expiration": null,
        "allow_promotion_codes": session.promotion_codes,
        "amount_subtotal": subtotal,
        "amount_total": purchase.map(|purchase| purchase.due()),
        "automatic_tax": {
            "enabled": session.automatic_tax,
            "status": session.automatic_tax.then_some(if open { "requires_location_inputs" } else { "complete" }),
        },
        "billing_address_collection": session.billing_address,
        "cancel_url": session.cancel_url,
        "client_reference_id": session.client_reference,
        "consent": null,
        "consent_collection": null,
        "created": session.created,
        "currency": purchase.map(|purchase| purchase.currency.as_str()),
        "custom_fields": [],
        "custom_text": {"shipping_address": null, "submit": null},
        "customer": session.customer.as_deref(),
        "customer_creation": if session.customer.is_some() && open { None } else { Some(if purchase.is_some() { "always" } else { "if_required" }) },
        "customer_details": details(session),
        "customer_email": session.customer_email,
        "expires_at": session.expires_at,
    });
    let second = json!({
        "invoice": session.invoice.as_deref(),
        "invoice_creation": null,
        "livemode": false,
        "locale": session.locale,
        "metadata": session.metadata.to_json(),
        "mode": mode,
        "payment_intent": null,
        "payment_link": null,
        "payment_method_collection": session.collection,
        "payment_method_options": null,
        "payment_method_types": ["card"],
        "payment_status": payment,
        "phone_number_collection": {"enabled": false},
        "recovered_from": null,
        "setup_intent": intent.map(|intent| &**intent),
        "shipping_address_collection": null,
        "shipping_cost": null,
        "shipping_details": null,
        "shipping_options": [],
        "status": session.status.as_str(),
        "submit_type": null,
        "subscription": session.subscription.as_deref(),
        "success_url": session.success_url,
        "tax_id_collection": {"enabled": session.collects_tax_ids},
        "total_details": purchase.map(|purchase| json!({
            "amount_discount": purchase.discount,
            "amount_shipping": 0,
            "amount_tax": 0,
        })),
        "url": open.then_some(&session.url),
    });
    merged([first, second])
}

fn details(session: &CheckoutSession) -> Value {
    let Some([email, name, phone]) = &session.details else {
        return session
            .customer_email
            .as_ref()
            .map_or(Value::Null, |email| contact(Some(email), None, None));
    };
    contact(email.as_deref(), name.as_deref(), phone.as_deref())
}

fn contact(email: Option<&str>, name: Option<&str>, phone: Option<&str>) -> Value {
    json!({
        "address": null,
        "email": email,
        "name": name,
        "phone": phone,
        "tax_exempt": "none",
        "tax_ids": [],
    })
}

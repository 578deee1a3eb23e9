//! The JSON of invoice payments.

use serde_json::{Value, json};

use crate::resource::invoice::{Invoice, Status};
use crate::resource::json::nested;
use crate::store::account::Account;
use crate::store::ids::Id;

/// The payment of an invoice, if anything was due.
pub(crate) fn of_invoice(account: &Account, invoice: &Invoice) -> Option<Value> {
    let intent = account
        .payments
        .intents
        .get(invoice.payment_intent.as_ref()?)?;
    let is_paid = invoice.status == Status::Paid && !invoice.paid_out_of_band;
    let canceled_at = intent.canceled_at;
    let status = match (is_paid, canceled_at) {
        (true, _) => "paid",
        (false, Some(_)) => "canceled",
        (false, None) => "open",
    };
    Some(json!({
        "id": &*id_of(&intent.id),
        "object": "invoice_payment",
        "amount_paid": is_paid.then_some(intent.amount),
        "amount_requested": intent.amount,
        "created": intent.created,
        "currency": intent.currency.as_str(),
        "invoice": &*invoice.id,
        "is_default": true,
        "livemode": false,
        "payment": {"payment_intent": &*intent.id, "type": "payment_intent"},
        "status": status,
        "status_transitions": {
            "canceled_at": canceled_at,
            "paid_at": invoice.paid_at.filter(|_| is_paid),
        },
    }))
}

/// The value of an invoice's `payments` when it is expanded.
pub(crate) fn list_of(account: &Account, invoice: &Invoice) -> Value {
    let payment = of_invoice(account, invoice);
    let url = format!("/v1/invoice_payments?invoice={}", invoice.id);
    nested(&url, payment.iter().count(), payment.into_iter())
}

/// The value of an invoice's `confirmation_secret` when it is expanded.
pub(crate) fn secret_of(account: &Account, invoice: &Invoice) -> Value {
    let intent = invoice.payment_intent.as_ref();
    let intent = intent.and_then(|id| account.payments.intents.get(id));
    intent.map_or(
        Value::Null,
        |intent| json!({"client_secret": intent.secret, "type": "payment_intent"}),
    )
}

/// The id of the invoice payment for a payment intent.
pub(crate) fn id_of(intent: &str) -> Id {
    format!("inpay_{}", intent.trim_start_matches("pi_")).into()
}

/// The invoice of a payment.
pub(crate) fn invoice_of<'a>(account: &'a Account, id: &str) -> Option<&'a Invoice> {
    let intent = format!("pi_{}", id.strip_prefix("inpay_")?);
    let intent = account.payments.intents.get(&intent)?;
    account.billing.invoices.get(intent.invoice.as_ref()?)
}

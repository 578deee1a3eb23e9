//! The JSON of invoices and their lines at 2022-11-15.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde_json::{Value, json};

use super::{Invoice, InvoiceLine, Status, TaxStatus, view};
use crate::error::Result;
use crate::resource::json::{merged, nested};
use crate::resource::price::Price;
use crate::resource::price::view::{amounts, plan_if_recurring};
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::page::Page;

/// The JSON of an invoice. An upcoming invoice has no id.
pub(crate) fn invoice(account: &Account, invoice: &Invoice) -> Value {
    let upcoming = invoice.id.is_empty();
    let url = if upcoming {
        format!("/v1/invoices/upcoming/lines?customer={}", invoice.customer)
    } else {
        format!("/v1/invoices/{}/lines", invoice.id)
    };
    let lines = invoice
        .lines
        .iter()
        .map(|each| line(account, invoice, each));
    let lines = nested(&url, invoice.lines.len(), lines);
    let id = if upcoming {
        json!({})
    } else {
        json!({"id": &*invoice.id})
    };
    merged([
        id,
        customer_fields(account, invoice),
        sums(invoice),
        state(account, invoice, &lines),
    ])
}

fn customer_fields(account: &Account, invoice: &Invoice) -> Value {
    let customer = account.customers.get(&invoice.customer);
    json!({
        "object": "invoice",
        "account_country": "US",
        "account_name": account.profile.business_name.as_deref(),
        "account_tax_ids": null,
        "customer": &*invoice.customer,
        "customer_address": null,
        "customer_email": customer.and_then(|customer| customer.email.as_deref()),
        "customer_name": customer.and_then(|customer| customer.name.as_deref()),
        "customer_phone": customer.and_then(|customer| customer.phone.as_deref()),
        "customer_shipping": null,
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "subscription": invoice.subscription.as_deref(),
        "subscription_details": details(invoice),
        "test_clock": invoice.clock.as_deref(),
        "default_payment_method": invoice.details.default_payment_method.as_deref(),
        "default_source": null,
        "default_tax_rates": [],
        "on_behalf_of": null,
        "application": null,
        "application_fee_amount": null,
        "transfer_data": null,
        "from_invoice": null,
        "latest_revision": null,
        "quote": null,
        "custom_fields": null,
        "description": invoice.details.description,
        "footer": invoice.details.footer,
        "metadata": invoice.details.metadata.to_json(),
        "rendering_options": null,
        "receipt_number": null,
        "shipping_cost": null,
        "shipping_details": null,
        "statement_descriptor": null,
    })
}

/// The fields about the subscription, if there is one.
fn details(invoice: &Invoice) -> Value {
    match invoice.subscription {
        Some(_) => json!({"metadata": invoice.subscription_metadata.to_json()}),
        None => Value::Null,
    }
}

fn sums(invoice: &Invoice) -> Value {
    let discounted = invoice.discounts();
    let discounted = discounted
        .map(|discount| json!({"amount": invoice.total_of_discount(discount), "discount": &*discount.id}));
    let paid = invoice.amount_paid();
    json!({
        "amount_due": invoice.amount_due,
        "amount_paid": paid,
        "amount_remaining": invoice.amount_due - paid,
        "amount_shipping": 0,
        "currency": invoice.currency.as_str(),
        "discount": invoice.discount.as_ref().map(|discount| discount.to_json(invoice.created)),
        "discounts": invoice.discounts().map(|discount| &*discount.id).collect::<Vec<_>>(),
        "ending_balance": invoice.finalized_at.map(|_| invoice.ending_balance),
        "post_payment_credit_notes_amount": invoice.credited.after_payment,
        "pre_payment_credit_notes_amount": invoice.credited.before_payment,
        "starting_balance": invoice.starting_balance,
        "subtotal": invoice.subtotal,
        "subtotal_excluding_tax": invoice.subtotal,
        "tax": (invoice.automatic_tax == Some(TaxStatus::Complete)).then_some(0),
        "total": invoice.total,
        "total_discount_amounts": discounted.collect::<Vec<_>>(),
        "total_excluding_tax": invoice.total,
        "total_tax_amounts": [],
    })
}

/// The last charge for the invoice, successful or not.
fn latest_charge<'a>(account: &'a Account, invoice: &Invoice) -> Option<&'a str> {
    let intent = account
        .payments
        .intents
        .get(invoice.payment_intent.as_ref()?)?;
    intent.latest_charge.as_deref()
}

fn state(account: &Account, invoice: &Invoice, lines: &Value) -> Value {
    let upcoming = invoice.id.is_empty();
    let paid = invoice.status == Status::Paid;
    let created = (!upcoming).then_some(invoice.created);
    let attempt = invoice
        .draft_until
        .or(upcoming.then_some(invoice.created + 3600));
    json!({
        "attempt_count": invoice.attempts.count,
        "attempted": invoice.attempts.any || paid,
        "auto_advance": invoice.advances_automatically(),
        "automatic_tax": {
            "enabled": invoice.automatic_tax.is_some(),
            "status": invoice.automatic_tax.map(TaxStatus::as_str),
        },
        "billing_reason": invoice.reason.as_str(),
        "charge": latest_charge(account, invoice),
        "collection_method": "charge_automatically",
        "created": invoice.created,
        "due_date": null,
        "effective_at": invoice.finalized_at,
        "hosted_invoice_url": invoice.hosted_url,
        "invoice_pdf": null,
        "last_finalization_error": null,
        "lines": lines,
        "livemode": false,
        "next_payment_attempt": attempt,
        "number": invoice.number,
        "paid": paid,
        "paid_out_of_band": invoice.paid_out_of_band,
        "payment_intent": invoice.payment_intent.as_deref(),
        "payment_settings": {
            "default_mandate": null,
            "payment_method_options": null,
            "payment_method_types": null,
        },
        "period_end": invoice.period.1,
        "period_start": invoice.period.0,
        "status": invoice.status.as_str(),
        "status_transitions": {
            "finalized_at": invoice.finalized_at,
            "marked_uncollectible_at": invoice.marked_uncollectible_at,
            "paid_at": invoice.paid_at,
            "voided_at": invoice.voided_at,
        },
        "webhooks_delivered_at": created,
    })
}

/// One line of an invoice.
pub(crate) fn line(account: &Account, invoice: &Invoice, line: &InvoiceLine) -> Value {
    let price = line.price.as_ref();
    let price = price.map(|id| account.price(id));
    let origin = line.invoice_item.as_ref();
    let origin = origin.and_then(|id| account.billing.invoice_items.table.get(id));
    let subscription = match origin {
        Some(origin) => origin.subscription.as_deref(),
        None => invoice.subscription.as_deref(),
    };
    let credited = origin.and_then(|origin| Some(origin.credited.as_ref()?.to_json()));
    let metadata = origin.map_or_else(|| json!({}), |origin| origin.metadata.to_json());
    let discounts: Vec<Value> = invoice
        .discount_of(line)
        .iter()
        .filter(|_| line.line.discountable)
        .map(|discount| json!({"amount": line.discount, "discount": &*discount.id}))
        .collect();
    let mut object = json!({
        "id": &*line.id,
        "object": "line_item",
        "amount": line.line.amount,
        "amount_excluding_tax": line.line.amount,
        "currency": invoice.currency.as_str(),
        "description": (!line.line.description.is_empty()).then_some(&line.line.description),
        "discount_amounts": discounts,
        "discountable": line.line.discountable,
        "discounts": [],
        "livemode": false,
        "metadata": metadata,
        "period": {"end": line.line.period.1, "start": line.line.period.0},
        "plan": price.and_then(plan_if_recurring),
        "price": price.map(Price::to_json),
        "proration": line.line.proration,
        "proration_details": {"credited_items": credited},
        "quantity": whole_quantity(line.line.quantity),
        "subscription": subscription,
        "tax_amounts": [],
        "tax_rates": [],
        "type": if line.invoice_item.is_some() { "invoiceitem" } else { "subscription" },
        "unit_amount_excluding_tax": amounts(Some(line.line.rate)).1,
    });
    let fields = object.as_object_mut().expect("built as an object");
    if !line.line.quantity.is_integer() {
        let exact = line.line.quantity.normalize().to_string();
        fields.insert("quantity_decimal".into(), json!(exact));
    }
    if let Some(id) = &line.invoice_item {
        fields.insert("invoice_item".into(), json!(&**id));
    }
    if let Some(id) = &line.item {
        fields.insert("subscription_item".into(), json!(&**id));
    }
    object
}

/// A quantity as an integer; `None` for a fraction, which only `quantity_decimal` shows.
pub(crate) fn whole_quantity(quantity: Decimal) -> Option<i64> {
    quantity.is_integer().then(|| quantity.to_i64())?
}

/// A page of an invoice's lines, in the invoice's order.
pub(super) fn page_of_lines(
    ctx: &Ctx<'_>,
    page: &Page,
    invoice: &Invoice,
    url: &str,
) -> Result<Value> {
    let rows: Vec<&InvoiceLine> = invoice.lines.iter().collect();
    let rows = page.of_rows(&rows, "line item")?;
    let mut list = rows.to_json(url, |line| view::line(ctx.account, invoice, line));
    if let Some(fields) = list.as_object_mut() {
        fields.insert("total_count".into(), json!(invoice.lines.len()));
    }
    Ok(list)
}

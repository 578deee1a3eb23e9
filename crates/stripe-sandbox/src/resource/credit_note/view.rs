//! The JSON of credit notes at 2022-11-15.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{CreditNote, CreditNoteLine, Payout};
use crate::resource::discount::Discount;
use crate::resource::json::nested;
use crate::resource::price::view::amounts;
use crate::store::account::Account;

pub(super) const URL: &str = "/v1/credit_notes";

/// A credit note.
pub(crate) fn note(account: &Account, note: &CreditNote) -> Value {
    let url = format!("{URL}/{}/lines", note.id);
    let lines = note.lines.iter().map(|each| line(account, note, each));
    let mut lines = nested(&url, note.lines.len(), lines);
    if let Some(list) = lines.as_object_mut() {
        list.remove("total_count");
    }
    let (out_of_band, kind) = match note.payout {
        Payout::BeforePayment => (None, "pre_payment"),
        Payout::AfterPayment { out_of_band, .. } => (out_of_band, "post_payment"),
    };
    json!({
        "id": &*note.id,
        "object": "credit_note",
        "amount": note.total(),
        "amount_shipping": 0,
        "created": note.created,
        "effective_at": note.created,
        "currency": note.currency.as_str(),
        "customer": &*note.customer,
        "customer_balance_transaction": note.balance_transaction.as_deref(),
        "discount_amount": note.total_discount(),
        "discount_amounts": discounts(account, note, &note.lines),
        "invoice": &*note.invoice,
        "lines": lines,
        "livemode": false,
        "memo": note.memo,
        "metadata": note.metadata.to_json(),
        "number": note.number,
        "out_of_band_amount": out_of_band,
        "pdf": format!("https://pay.stripe.com/credit_notes/{}/{}/pdf", account.profile.id, note.id),
        "reason": note.reason,
        "refund": note.refund.as_deref(),
        "shipping_cost": null,
        "status": if note.is_issued() { "issued" } else { "void" },
        "subtotal": note.subtotal,
        "subtotal_excluding_tax": note.subtotal,
        "tax_amounts": [],
        "total": note.total(),
        "total_excluding_tax": note.total(),
        "type": kind,
        "voided_at": note.voided_at,
    })
}

/// The credited part of the invoice's discounts, for some lines.
fn discounts(account: &Account, note: &CreditNote, lines: &[CreditNoteLine]) -> Value {
    let invoice = account.invoice(&note.invoice);
    let has = |line: &CreditNoteLine, discount: &Discount| {
        let mut lines = invoice.lines.iter();
        let of = lines.find(|of| line.of.as_ref() == Some(&of.id));
        let line_discount = of.and_then(|of| invoice.discount_of(of));
        line_discount.is_some_and(|line_discount| line_discount.id == discount.id)
    };
    let each = invoice.discounts().filter_map(|discount| {
        let lines = lines.iter().filter(|line| has(line, discount));
        let amount: i64 = lines.map(|line| line.discount).sum();
        (amount > 0).then(|| json!({"amount": amount, "discount": &*discount.id}))
    });
    each.collect()
}

/// A line of a credit note.
pub(super) fn line(account: &Account, note: &CreditNote, line: &CreditNoteLine) -> Value {
    let mut object = BTreeMap::from([
        ("id", json!(&*line.id)),
        ("object", json!("credit_note_line_item")),
        ("amount", json!(line.amount)),
        ("amount_excluding_tax", json!(line.amount - line.discount)),
        ("description", json!(line.description)),
        ("discount_amount", json!(line.discount)),
        (
            "discount_amounts",
            discounts(account, note, std::slice::from_ref(line)),
        ),
        ("livemode", json!(false)),
        ("quantity", json!(line.quantity)),
        ("tax_amounts", json!([])),
        ("tax_rates", json!([])),
    ]);
    let (unit, unit_decimal) = amounts(line.unit_amount);
    object.insert("unit_amount", json!(unit));
    object.insert("unit_amount_decimal", json!(unit_decimal));
    object.insert("unit_amount_excluding_tax", json!(unit_decimal));
    let kind = match &line.of {
        Some(id) => {
            object.insert("invoice_line_item", json!(&**id));
            "invoice_line_item"
        }
        None => "custom_line_item",
    };
    object.insert("type", json!(kind));
    json!(object)
}

//! Reading the parameters of credit notes, checked against the invoice.

use super::{CreditNote, CreditNoteLine, Payout, lines};
use crate::error::{Error, Result};
use crate::money::format::money;
use crate::params::Params;
use crate::params::metadata::Metadata;
use crate::resource::invoice::{Invoice, Status};
use crate::resource::refund;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::table::Row as _;

const REASONS: &[&str] = &[
    "duplicate",
    "fraudulent",
    "order_change",
    "product_unsatisfactory",
];

/// Reads a credit note. It and its lines have no ids yet.
pub(super) fn read(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<CreditNote> {
    let id = params.required("invoice")?;
    let invoice = ctx.account.billing.invoices.get(id);
    let invoice = invoice.ok_or_else(|| Error::no_such("invoice", id, "invoice"))?;
    let before: Vec<&CreditNote> = of_invoice(ctx, &invoice.id).collect();
    let lines = match params.objects("lines")? {
        Some(given) => lines::read(&given, invoice, &before)?,
        None => Vec::new(),
    };
    let subtotal = subtotal(params, &lines)?;
    let mut note = CreditNote {
        id: Id::default(),
        invoice: invoice.id.clone(),
        customer: invoice.customer.clone(),
        created: ctx.time_of(&invoice.customer),
        currency: invoice.currency,
        number: number(invoice, before.len()),
        lines,
        subtotal,
        payout: Payout::BeforePayment,
        refund: None,
        balance_transaction: None,
        reason: params.one_of("reason", REASONS)?,
        memo: params.nullable("memo")?.value().map(str::to_owned),
        metadata: params.metadata()?.apply(&Metadata::default())?,
        voided_at: None,
    };
    note.payout = payout(ctx, params, invoice, &mut note)?;
    params.unmodelled(&["effective_at", "email_type", "refunds", "shipping_cost"])?;
    check_amount(invoice, &note)?;
    Ok(note)
}

/// The credit notes of an invoice that are not void, oldest first.
fn of_invoice<'a>(ctx: &'a Ctx<'_>, invoice: &'a str) -> impl Iterator<Item = &'a CreditNote> {
    let notes = ctx.account.billing.credit_notes.iter();
    notes.filter(move |note| &*note.invoice == invoice)
}

fn number(invoice: &Invoice, before: usize) -> String {
    let number = invoice.number.as_deref().unwrap_or_default();
    format!("{number}-CN-{:02}", before + 1)
}

/// The sum of the lines, or `amount`. If both are given, they must agree.
fn subtotal(params: &Params<'_>, lines: &[CreditNoteLine]) -> Result<i64> {
    let amount = params.integer_from("amount", 1)?;
    let sum = lines
        .iter()
        .map(|line| line.amount)
        .fold(0, i64::saturating_add);
    let discounted: i64 = lines.iter().map(|line| line.discount).sum();
    match amount {
        None if lines.is_empty() => Err(Error::invalid(
            "You must specify either `amount` or `lines` to create a credit note.",
        )
        .param("amount")),
        Some(amount) if lines.is_empty() => Ok(amount),
        Some(amount) if amount != sum - discounted => Err(Error::invalid(format!(
            "The `amount` ({amount}) must be the total of the `lines` ({}).",
            sum - discounted
        ))
        .param("amount")),
        _ => Ok(sum),
    }
}

/// How the total is returned. For a paid invoice, the request must allocate the full total.
fn payout(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    invoice: &Invoice,
    note: &mut CreditNote,
) -> Result<Payout> {
    const TARGETS: [&str; 4] = [
        "credit_amount",
        "out_of_band_amount",
        "refund_amount",
        "refund",
    ];
    let to_balance = params.integer_from(TARGETS[0], 0)?;
    let out_of_band = params.integer_from(TARGETS[1], 0)?;
    let to_card = params.integer_from(TARGETS[2], 0)?.unwrap_or(0);
    if invoice.status != Status::Paid {
        return match TARGETS.into_iter().find(|target| params.has(target)) {
            Some(target) => Err(Error::invalid(format!(
                "`{target}` can be given for invoices that are paid only: a credit note lowers what is due of this one."
            ))
            .param(target)),
            None => Ok(Payout::BeforePayment),
        };
    }
    let charge = ctx.account.charge_of_invoice(&invoice.id);
    let mut refunded = 0;
    if let Some(id) = params.string(TARGETS[3])? {
        let refund = ctx.account.payments.refunds.get(id);
        let refund =
            refund.filter(|refund| charge.is_some_and(|charge| charge.id == refund.charge));
        let refund = refund.ok_or_else(|| Error::no_such("refund", id, "refund"))?;
        let named = |note: &CreditNote| note.refund.as_ref() == Some(refund.id());
        if of_invoice(ctx, &invoice.id).any(named) {
            return Err(Error::invalid(format!(
                "The refund `{id}` belongs to a credit note already."
            ))
            .param("refund"));
        }
        refunded = refund.amount;
        note.refund = Some(refund.id().clone());
    }
    if to_card > 0 {
        let charge = charge.ok_or_else(|| {
            Error::invalid(
                "This invoice was not paid with a charge, so there is nothing to refund.",
            )
            .param("refund_amount")
        })?;
        refund::routes::check(charge, to_card)?;
    }
    let parts = [to_balance, out_of_band, Some(to_card), Some(refunded)];
    let sum = parts
        .iter()
        .flatten()
        .fold(0_i64, |sum, part| sum.saturating_add(*part));
    let total = note.total();
    if sum != total {
        let formatted = |amount: i64| money(amount.into(), invoice.currency.as_str());
        return Err(Error::invalid(format!(
            "The sum of `credit_amount`, `out_of_band_amount` and `refund_amount` ({}) must equal the total of the credit note ({}).",
            formatted(sum),
            formatted(total)
        )));
    }
    Ok(Payout::AfterPayment {
        to_balance: to_balance.unwrap_or(0),
        out_of_band,
        to_card,
    })
}

/// Checks that the total is not more than the amount due, or than the rest of a paid invoice.
fn check_amount(invoice: &Invoice, note: &CreditNote) -> Result<()> {
    let credited = invoice.credited.before_payment + invoice.credited.after_payment;
    let most = match invoice.status {
        Status::Open | Status::Uncollectible => invoice.amount_due,
        Status::Paid => invoice.total - credited,
        Status::Draft | Status::Void => {
            return Err(Error::invalid(format!(
                "Credit notes can only be created for invoices that are open, paid or uncollectible; this one is {}.",
                invoice.status.as_str()
            )));
        }
    };
    if note.total() > most {
        let formatted = |amount: i64| money(amount.into(), invoice.currency.as_str());
        return Err(Error::invalid(format!(
            "The total of the credit note ({}) cannot be more than what can be credited of the invoice ({}).",
            formatted(note.total()),
            formatted(most.max(0))
        )));
    }
    if note.total() <= 0 {
        return Err(Error::invalid(
            "The total of a credit note must be greater than 0.",
        ));
    }
    Ok(())
}

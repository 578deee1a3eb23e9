//! The lines of a credit note: parts of the invoice's lines, or custom lines.

use rust_decimal::Decimal;

use super::{CreditNote, CreditNoteLine};
use crate::error::{Error, Result};
use crate::money::{round_half_up, times};
use crate::params::Params;
use crate::resource::invoice::{Invoice, InvoiceLine};
use crate::resource::price::MAX_AMOUNT;
use crate::store::ids::Id;

pub(super) fn read(
    given: &[Params<'_>],
    invoice: &Invoice,
    before: &[&CreditNote],
) -> Result<Vec<CreditNoteLine>> {
    let mut lines: Vec<CreditNoteLine> = Vec::with_capacity(given.len());
    for params in given {
        let kind = params.one_of("type", &["custom_line_item", "invoice_line_item"])?;
        let kind = kind.ok_or_else(|| params.missing("type"))?;
        let line = if kind == "custom_line_item" {
            custom_line(params)?
        } else {
            invoice_line(params, invoice, before, &lines)?
        };
        params.unmodelled(&["tax_amounts", "tax_rates"])?;
        lines.push(line);
    }
    Ok(lines)
}

fn custom_line(params: &Params<'_>) -> Result<CreditNoteLine> {
    let description = params.required("description")?.to_owned();
    let quantity = params
        .integer_from("quantity", 1)?
        .ok_or_else(|| params.missing("quantity"))?;
    let whole = params.integer_from("unit_amount", 0)?.map(Decimal::from);
    let unit = match (whole, params.decimal("unit_amount_decimal")?) {
        (Some(_), Some(_)) => {
            return Err(Error::invalid(
                "You may only specify one of these parameters: unit_amount, unit_amount_decimal.",
            )
            .param(params.name("unit_amount")));
        }
        (whole, decimal) => whole
            .or(decimal)
            .ok_or_else(|| params.missing("unit_amount"))?,
    };
    let amount = round_half_up(times(unit, Decimal::from(quantity)));
    if !(0..=MAX_AMOUNT).contains(&amount) {
        return Err(Error::malformed(
            params.name("unit_amount"),
            format!("Invalid integer: the amount of the line must be from 0 to {MAX_AMOUNT}."),
        ));
    }
    Ok(CreditNoteLine {
        id: Id::default(),
        of: None,
        description: Some(description),
        amount,
        discount: 0,
        quantity: Some(quantity),
        unit_amount: Some(unit),
    })
}

/// A part of an invoice line: an amount before discount, or a number of units. It is limited to the part that earlier
/// credit notes and earlier lines of this note have not credited.
fn invoice_line(
    params: &Params<'_>,
    invoice: &Invoice,
    before: &[&CreditNote],
    earlier: &[CreditNoteLine],
) -> Result<CreditNoteLine> {
    let id = params.required("invoice_line_item")?;
    let param = params.name("invoice_line_item");
    let line = invoice.lines.iter().find(|line| &*line.id == id);
    let line = line.ok_or_else(|| Error::no_such("invoice line item", id, param.clone()))?;
    let taken = before
        .iter()
        .filter(|note| note.is_issued())
        .flat_map(|note| &note.lines)
        .chain(earlier)
        .filter(|credited| credited.of.as_ref() == Some(&line.id));
    let taken = taken.fold(Taken::default(), |sum, credited| Taken {
        amount: sum.amount + credited.amount,
        discount: sum.discount + credited.discount,
    });
    let quantity = params.integer_from("quantity", 1)?;
    let amount = match (params.integer_from("amount", 0)?, quantity) {
        (Some(amount), None) => amount,
        (None, Some(quantity)) => of_units(params, line, quantity)?,
        _ => {
            return Err(Error::invalid("You must specify exactly one of `amount` and `quantity` for a line of type `invoice_line_item`.")
                .param(params.name("amount")));
        }
    };
    let left = line.line.amount - taken.amount;
    if amount > left {
        return Err(Error::invalid(format!(
            "The amount to credit ({amount}) is more than what is left of the invoice line item `{id}` ({}).",
            left.max(0)
        ))
        .param(params.name("amount")));
    }
    Ok(CreditNoteLine {
        id: Id::default(),
        of: Some(line.id.clone()),
        description: Some(line.line.description.clone()),
        amount,
        discount: taken.discount_of(line, amount),
        quantity,
        unit_amount: quantity.map(|_| line.line.rate),
    })
}

/// The part of a line that is already credited.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    amount: i64,
    discount: i64,
}

impl Taken {
    /// The share of the line's discount for another `amount`. All shares add up to the line's discount.
    fn discount_of(self, line: &InvoiceLine, amount: i64) -> i64 {
        if line.line.amount <= 0 {
            return 0;
        }
        let so_far = times(
            Decimal::from(line.discount),
            Decimal::from(self.amount + amount),
        );
        round_half_up(so_far / Decimal::from(line.line.amount)) - self.discount
    }
}

fn of_units(params: &Params<'_>, line: &InvoiceLine, quantity: i64) -> Result<i64> {
    if Decimal::from(quantity) > line.line.quantity {
        return Err(Error::invalid(format!(
            "The quantity to credit ({quantity}) is more than the line's ({}).",
            line.line.quantity
        ))
        .param(params.name("quantity")));
    }
    let part = times(Decimal::from(line.line.amount), Decimal::from(quantity));
    Ok(round_half_up(part / line.line.quantity))
}

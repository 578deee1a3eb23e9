//! Invoice items on draft invoices. Requests can add, change and remove them until the invoice is finalized. (Lines
//! that are not on an invoice yet are in [`unbilled_lines`](super::unbilled_lines).)

use super::sums::recompute;
use crate::error::{Error, Result};
use crate::resource::invoice::{Invoice, InvoiceLine, Status};
use crate::resource::invoice_item::InvoiceItem;
use crate::store::account::Account;
use crate::store::ids::Id;

/// Stripe's limit of lines on an invoice.
pub(crate) const MAX_LINES: usize = 250;

/// The line for an invoice item, without an id.
pub(crate) fn line_of(item: &InvoiceItem) -> InvoiceLine {
    InvoiceLine {
        id: Id::default(),
        line: item.line.clone(),
        price: item.price.clone(),
        item: item.item.clone(),
        invoice_item: Some(item.id.clone()),
        discount: 0,
    }
}

/// Checks that an item can be added to an invoice.
pub(crate) fn check_room(invoice: &Invoice, item: &InvoiceItem, param: &str) -> Result<()> {
    let refused = |message: String| Err(Error::invalid(message).param(param));
    if invoice.status != Status::Draft {
        return Err(not_editable().param(param));
    }
    if invoice.customer != item.customer {
        return Err(Error::no_such("invoice", &invoice.id, param));
    }
    if invoice.currency != item.currency {
        return refused(format!(
            "The currency of the invoice item (`{}`) does not match that of the invoice (`{}`).",
            item.currency.as_str(),
            invoice.currency.as_str()
        ));
    }
    if invoice.lines.len() >= MAX_LINES {
        return refused(format!(
            "An invoice can have at most {MAX_LINES} invoice items."
        ));
    }
    Ok(())
}

/// The error for changing an invoice that is final.
pub(crate) fn not_editable() -> Error {
    Error::invalid("This invoice is no longer editable").code("invoice_not_editable")
}

/// Updates an item's line on the draft, or adds it as the first one.
pub(crate) fn put(account: &mut Account, draft: &Id, item: &InvoiceItem) {
    let mut invoice = account.invoice(draft).clone();
    let mut lines = invoice.lines.iter_mut();
    let existing = lines.find(|line| line.invoice_item.as_ref() == Some(&item.id));
    if let Some(existing) = existing {
        *existing = InvoiceLine {
            id: existing.id.clone(),
            ..line_of(item)
        };
    } else {
        let line = InvoiceLine {
            id: account.ids.next("il", 24),
            ..line_of(item)
        };
        invoice.lines.insert(0, line);
    }
    recompute(account, &mut invoice);
    *account.invoice_mut(draft) = invoice;
}

/// Removes an item from the draft.
pub(crate) fn remove(account: &mut Account, draft: &Id, item: &Id) {
    let mut invoice = account.invoice(draft).clone();
    let lines = &mut invoice.lines;
    lines.retain(|line| line.invoice_item.as_ref() != Some(item));
    recompute(account, &mut invoice);
    *account.invoice_mut(draft) = invoice;
}

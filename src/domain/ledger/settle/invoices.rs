//! What a customer's invoices bill.

use crate::billing::{InvoiceLine, InvoiceStatus};
use crate::domain::{Domain, Error, Failure, Result};
use crate::ledger::values::Time;

/// A line of an invoice.
pub(super) struct BilledLine {
    pub(super) line: InvoiceLine,
    pub(super) invoice: InvoiceSummary,
}

/// The invoice of a line.
#[derive(Clone, Copy)]
pub(super) struct InvoiceSummary {
    pub(super) created: Time,
    /// Whether the invoice is a draft, so that the line can still change. A void invoice is not: its usage was billed, and
    /// somebody decided that it is not paid.
    is_draft: bool,
}

/// What some lines bill.
pub(super) struct Billed {
    pub(super) n: i64,
    /// Whether they can no longer change, and are in whole units. Another program may have recorded fractions.
    pub(super) is_final: bool,
    /// Whether one of them is on the period's last invoice.
    pub(super) is_complete: bool,
}

impl Default for Billed {
    fn default() -> Self {
        Self {
            n: 0,
            is_final: true,
            is_complete: false,
        }
    }
}

impl Billed {
    /// Adds a line of an invoice, which may be the last one of the period.
    pub(super) fn add(&mut self, line: &InvoiceLine, invoice: InvoiceSummary, is_last: bool) {
        self.n = self.n.saturating_add(line.quantity.unwrap_or(0));
        self.is_final &= !invoice.is_draft && line.quantity.is_some();
        self.is_complete |= is_last;
    }
}

impl Domain {
    /// The lines of a customer's invoices since a time; `None` if Stripe no longer has the customer.
    pub(super) async fn lines_since(
        &self,
        customer: &str,
        since: Time,
    ) -> Result<Option<Vec<BilledLine>>> {
        let invoices = self
            .billing()
            .customer_invoices_since(customer, since.seconds());
        let invoices = match invoices.await.map_err(|error| Failure::from(error).into()) {
            Err(Error::CustomerVanished { .. }) => return Ok(None),
            invoices => invoices?,
        };
        let lines = invoices.into_iter().flat_map(|invoice| {
            let summary = InvoiceSummary {
                created: Time::from_seconds(invoice.created),
                is_draft: invoice.is(&InvoiceStatus::Draft),
            };
            let lines = invoice.into_lines().into_iter();
            lines.map(move |line| BilledLine {
                line,
                invoice: summary,
            })
        });
        Ok(Some(lines.collect()))
    }
}

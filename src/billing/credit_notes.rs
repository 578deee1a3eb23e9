//! Credit notes: what is taken off an invoice after it was made.

use serde::Deserialize;

use super::object::{Expandable, Metadata, Object, identified};
use super::words::words;
use super::{Billing, Done, Write};
use crate::stripe::{Error, Page};

/// What was taken off an invoice after it was made.
#[derive(Clone, Debug, Deserialize)]
pub struct CreditNote {
    /// `cn_…`.
    pub id: String,
    /// `in_…`.
    #[serde(default)]
    pub invoice: String,
    /// What has become of it.
    #[serde(default)]
    pub status: CreditNoteStatus,
    /// Cents, discounts deducted and taxes included.
    #[serde(default)]
    pub amount: i64,
    /// The refund that pays it out, if one does.
    #[serde(default)]
    pub refund: Option<Expandable<Object>>,
    /// The first ten at least.
    pub lines: Page<CreditNoteLine>,
    /// Free pairs.
    #[serde(default)]
    pub metadata: Metadata,
}

/// What was taken off one line of an invoice.
#[derive(Clone, Debug, Deserialize)]
pub struct CreditNoteLine {
    /// `cnli_…`.
    pub id: String,
    /// Cents, discounts not deducted.
    #[serde(default)]
    pub amount: i64,
    /// `il_…`.
    #[serde(default)]
    pub invoice_line_item: Option<String>,
}

identified!(CreditNote, CreditNoteLine);

words! {
    /// What has become of a credit note.
    CreditNoteStatus {
        /// It counts.
        Issued = "issued",
        /// It does not.
        Void = "void",
    }
}

/// A credit note over parts of an invoice's lines, which pays out nothing.
#[derive(Clone, Debug)]
pub struct NewCreditNote {
    /// `in_…`.
    pub invoice: String,
    /// Each line (`il_…`), with the cents to take off it, discounts not deducted.
    pub lines: Vec<(String, i64)>,
    /// Cents that go to the customer's balance, of an invoice on which nothing is due.
    pub credit_amount: Option<i64>,
}

impl Billing<'_> {
    /// The credit notes of an invoice, newest first, each with its first lines.
    pub async fn credit_notes_of(self, invoice: &str) -> Result<Vec<CreditNote>, Error> {
        self.get(NOTES).param("invoice", invoice).list().await
    }

    /// The credit notes of a customer, newest first, each with its first lines.
    pub async fn customers_credit_notes(self, customer: &str) -> Result<Vec<CreditNote>, Error> {
        self.get(NOTES).param("customer", customer).list().await
    }

    /// Credit notes with all of their lines.
    pub async fn with_lines(self, mut notes: Vec<CreditNote>) -> Result<Vec<CreditNote>, Error> {
        for note in &mut notes {
            if note.lines.has_more {
                let path = ("/v1/credit_notes/*/lines", note.id.as_str());
                note.lines.data = self.get(path).list().await?;
            }
        }
        Ok(notes)
    }

    /// Writes a credit note.
    pub fn create_credit_note(self, new: &NewCreditNote) -> Write<Done> {
        let mut request = self
            .post(NOTES)
            .param("invoice", &new.invoice)
            .param("reason", "order_change");
        for (i, (line, amount)) in new.lines.iter().enumerate() {
            request = request
                .param(format!("lines[{i}][type]"), "invoice_line_item")
                .param(format!("lines[{i}][invoice_line_item]"), line)
                .param(format!("lines[{i}][amount]"), amount);
        }
        Write::new(request.param_some("credit_amount", new.credit_amount))
    }
}

const NOTES: &str = "/v1/credit_notes";

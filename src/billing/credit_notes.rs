//! Credit notes, which reduce an invoice after it was finalized.

use serde::Deserialize;

use super::object::{Metadata, complete, id, identified};
use super::string_enum::string_enum;
use super::{Ack, Billing, Write};
use crate::stripe::{Error, Page};

/// A credit note.
#[derive(Clone, Debug, Deserialize)]
pub struct CreditNote {
    /// `cn_…`.
    pub id: String,
    /// `in_…`.
    #[serde(default)]
    pub invoice: String,
    /// Its status.
    #[serde(default)]
    pub status: CreditNoteStatus,
    /// Cents, after discounts and with taxes.
    #[serde(default)]
    pub amount: i64,
    /// The refund that paid it out, if any: `re_…`.
    #[serde(default, deserialize_with = "id")]
    pub refund: Option<String>,
    /// At least the first ten lines.
    lines: Page<CreditNoteLine>,
    /// Its metadata.
    #[serde(default)]
    pub metadata: Metadata,
}

/// The credit for one line of the invoice.
#[derive(Clone, Debug, Deserialize)]
pub struct CreditNoteLine {
    /// `cnli_…`.
    pub id: String,
    /// Cents, before discounts.
    #[serde(default)]
    pub amount: i64,
    /// The invoice line: `il_…`.
    #[serde(default)]
    pub invoice_line_item: Option<String>,
}

identified!(CreditNote, CreditNoteLine);

string_enum! {
    /// The status of a credit note.
    CreditNoteStatus {
        /// It is in effect.
        Issued = "issued",
        /// It is void.
        Void = "void",
    }
}

/// A credit note to create for parts of an invoice's lines. It refunds nothing.
#[derive(Clone, Debug)]
pub struct NewCreditNote {
    /// `in_…`.
    pub invoice: String,
    /// Each line (`il_…`), with the cents to credit, before discounts.
    pub lines: Vec<(String, i64)>,
    /// Cents that go to the customer's balance, if nothing is due on the invoice.
    pub credit_amount: Option<i64>,
}

impl CreditNote {
    /// Its lines: at least the first ten.
    pub fn lines(&self) -> &[CreditNoteLine] {
        &self.lines.data
    }
}

impl Billing<'_> {
    /// The credit notes of an invoice, newest first, each with its first lines.
    pub async fn credit_notes_of(self, invoice: &str) -> Result<Vec<CreditNote>, Error> {
        self.get(NOTES).param("invoice", invoice).list().await
    }

    /// The credit notes of an invoice, newest first, each with all its lines.
    pub async fn credit_notes_with_all_lines(
        self,
        invoice: &str,
    ) -> Result<Vec<CreditNote>, Error> {
        self.complete_notes(self.credit_notes_of(invoice).await?)
            .await
    }

    /// The credit notes of a customer's invoices for which `is_wanted` holds, newest first, each with all its lines.
    pub async fn credit_notes_of_customer(
        self,
        customer: &str,
        is_wanted: impl Fn(&str) -> bool + Send,
    ) -> Result<Vec<CreditNote>, Error> {
        let notes = self.get(NOTES).param("customer", customer).list();
        let mut notes: Vec<CreditNote> = notes.await?;
        notes.retain(|note| is_wanted(&note.invoice));
        self.complete_notes(notes).await
    }

    async fn complete_notes(self, mut notes: Vec<CreditNote>) -> Result<Vec<CreditNote>, Error> {
        for note in &mut notes {
            let all = self.get(("/v1/credit_notes/*/lines", note.id.as_str()));
            complete(&mut note.lines, all).await?;
        }
        Ok(notes)
    }

    /// Creates a credit note.
    pub fn create_credit_note(self, new: &NewCreditNote) -> Write<Ack> {
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

//! Credit notes, which take something off an invoice. Each is written once.

use std::collections::BTreeMap;

use super::history::History;
use super::reduction::{LinePart, Reduction, credit_note};
use crate::billing::{CreditNoteStatus, Done, Invoice, InvoiceLine, InvoiceStatus, NewCreditNote};
use crate::domain::Domain;
use crate::domain::revision::Revision;
use crate::stripe;

/// The metadata key by which a credit note says what it is for.
const CREDIT: &str = "tier.credit";

/// The metadata key of a draft that was finalized to be reduced. It is not collected until that is done.
const HELD_BACK: &str = "tier.held";

impl Domain {
    /// Takes `credit` off an unpaid invoice, once for each `name`. Returns the part that exceeds the amount due, which
    /// was paid by the customer's balance or by a credit for paid time. None if Stripe refuses.
    pub(in crate::domain::schedule) async fn reduce_invoice(
        &self,
        invoice: &Invoice,
        credit: &Reduction,
        name: &str,
        just_made: bool,
        revision: &Revision,
    ) -> Result<Option<Vec<LinePart>>, stripe::Error> {
        if credit.parts.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let id = invoice.id.as_str();
        let is_draft = invoice.is(&InvoiceStatus::Draft);
        let mut now = invoice.clone();
        if is_draft {
            let hold = self
                .billing()
                .set_auto_advance(id, false)
                .note(HELD_BACK, "1");
            is_accepted(hold.send().await)?;
            let key = revision.fixed(&format!("finalize:{id}"));
            let finalize = self.billing().finalize_invoice(id).key(key);
            is_accepted(finalize.send().await)?;
            now = self.billing().invoice(id).await?;
        }
        let mut rest = None;
        // The invoice may be paid or voided between the read and the write.
        for attempt in 0..2 {
            if now.is(&InvoiceStatus::Void) {
                return Ok(Some(Vec::new()));
            }
            // Another server may have written it since the invoice was read.
            let known = if attempt == 0 && just_made && revision.is_first() {
                None
            } else {
                self.credits_of(id).await?.remove(name)
            };
            if now.is(&InvoiceStatus::Paid) && known.is_none() {
                let parts = credit.parts.clone();
                let paid = self.credit_paid(&now, parts, name, just_made, revision);
                return Ok(Some(paid.await?));
            }
            let due = now.amount_remaining;
            let (taken, beyond) = credit.split(known.unwrap_or(due));
            let is_taken = if known.is_some() {
                true
            } else if credit.is_whole_invoice && due > 0 {
                let key = revision.fixed(&format!("void:{id}"));
                let void = self.billing().void_invoice(id).key(key);
                if is_accepted(void.send().await)? {
                    return Ok(Some(Vec::new()));
                }
                false
            } else {
                let note = credit_note(invoice, &taken);
                taken.is_empty() || self.create_credit_note(&note, name, revision).await?
            };
            if !is_taken {
                now = self.billing().invoice(id).await?;
                continue;
            }
            // What lies beyond was not due when the note was written.
            if !beyond.is_empty() || known.is_none() && net(&taken) == due {
                // Nothing is due any more, so what the customer's balance has paid can go back to it.
                let paid = self.credit_paid(invoice, beyond, name, just_made, revision);
                return Ok(Some(paid.await?));
            }
            rest = Some(beyond);
            break;
        }
        if is_draft {
            // The amount due is collected, whether the reduction succeeded or not.
            self.collect(invoice).await?;
        }
        if rest.is_none() {
            tracing::error!(invoice = invoice.id, "Stripe refuses to reduce an invoice");
        }
        Ok(rest)
    }

    /// Resumes the collection of invoices that are still held back.
    pub(super) async fn resume_collection(
        &self,
        invoices: &[Invoice],
    ) -> Result<(), stripe::Error> {
        let waits = |invoice: &&Invoice| {
            let held = invoice.metadata.get(HELD_BACK);
            held.is_some_and(|held| !held.is_empty())
                && (invoice.is(&InvoiceStatus::Open) || invoice.is(&InvoiceStatus::Draft))
        };
        for invoice in invoices.iter().filter(waits) {
            self.collect(invoice).await?;
        }
        Ok(())
    }

    async fn collect(&self, invoice: &Invoice) -> Result<(), stripe::Error> {
        let go_on = self.billing().set_auto_advance(&invoice.id, true);
        is_accepted(go_on.note(HELD_BACK, "").send().await).map(drop)
    }

    /// Credits parts of a paid invoice to the customer's balance. Returns the parts that Stripe did not accept.
    pub(super) async fn credit_paid(
        &self,
        invoice: &Invoice,
        parts: Vec<LinePart>,
        name: &str,
        just_made: bool,
        revision: &Revision,
    ) -> Result<Vec<LinePart>, stripe::Error> {
        if parts.is_empty() {
            return Ok(parts);
        }
        let note = NewCreditNote {
            credit_amount: Some(net(&parts)),
            ..credit_note(invoice, &parts)
        };
        let name = format!("{name}:paid");
        let may_be_known = !(just_made && revision.is_first());
        let is_known = may_be_known && self.credits_of(&invoice.id).await?.contains_key(&name);
        let is_written = is_known || self.create_credit_note(&note, &name, revision).await?;
        Ok(if is_written { Vec::new() } else { parts })
    }

    /// Creates a credit note. Returns whether Stripe has accepted it.
    async fn create_credit_note(
        &self,
        note: &NewCreditNote,
        name: &str,
        revision: &Revision,
    ) -> Result<bool, stripe::Error> {
        let create = self.billing().create_credit_note(note).note(CREDIT, name);
        is_accepted(create.key(revision.fixed(name)).send().await)
    }

    /// What remains of some lines of an invoice after credit notes and refunds.
    pub(in crate::domain::schedule) async fn remaining_of(
        &self,
        invoice: &Invoice,
        lines: &[InvoiceLine],
    ) -> Result<Vec<LinePart>, stripe::Error> {
        let notes = self.billing().credit_notes_of(&invoice.id).await?;
        let notes = self.billing().with_lines(notes).await?;
        let credited_by_line = History::credited_by_line(&notes);
        let mut remaining_total = invoice.remaining_total(&notes).unwrap_or(i64::MAX);
        let remaining = |line: &InvoiceLine| {
            let taken = credited_by_line.get(&line.id).copied().unwrap_or(0);
            let part = LinePart::of(line, line.amount.saturating_sub(taken))?;
            let part = part.up_to(part.net.min(remaining_total));
            remaining_total -= part.net;
            (part.net > 0).then_some(part)
        };
        Ok(lines.iter().filter_map(remaining).collect())
    }

    /// An invoice's valid credit notes by name, each with its cents after discounts.
    async fn credits_of(&self, invoice: &str) -> Result<BTreeMap<String, i64>, stripe::Error> {
        let notes = self.billing().credit_notes_of(invoice).await?;
        let valid = notes
            .into_iter()
            .filter(|note| note.status != CreditNoteStatus::Void);
        let named = valid.filter_map(|mut note| {
            let name = note.metadata.remove(CREDIT)?;
            Some((name, note.amount))
        });
        Ok(named.collect())
    }
}

/// Whether Stripe accepted the write. A refusal means that the invoice has changed since it was read.
fn is_accepted(outcome: Result<Done, stripe::Error>) -> Result<bool, stripe::Error> {
    match outcome {
        Err(error) if error.is_invalid_request() => {
            tracing::warn!(%error, "Stripe refused a step of reducing an invoice");
            Ok(false)
        }
        done => done.map(|_| true),
    }
}

/// The sum in cents, after discounts.
fn net(parts: &[LinePart]) -> i64 {
    let nets = parts.iter().map(|part| part.net);
    nets.fold(0, i64::saturating_add)
}

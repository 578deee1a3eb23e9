//! Reduces invoices by credit notes. Each credit note is created once.

use std::collections::BTreeMap;

use super::history::History;
use super::reduction::{LinePart, Reduction, credit_note};
use crate::billing::{Ack, CreditNoteStatus, Invoice, InvoiceLine, InvoiceStatus, NewCreditNote};
use crate::domain::Domain;
use crate::domain::revision::Revision;
use crate::stripe;

/// The metadata key of a credit note's name, which identifies what it credits.
const CREDIT: &str = "tier.credit";

/// The metadata key that marks an invoice which Tier has finalized in order to reduce it. It is collected after that.
const HELD_BACK: &str = "tier.held";

/// The outcome of an attempt to reduce an invoice.
enum Reduced {
    /// All of the credit was taken off, and some amount is still due.
    Partly,
    /// Nothing is due any more. Has the parts that could be neither taken off nor credited.
    Wholly(Vec<LinePart>),
    /// Stripe has refused it.
    Refused,
}

impl Domain {
    /// Takes `credit` off an unpaid invoice, once for each `name`. Returns the parts that could be neither taken off
    /// nor credited to the customer's balance. None if Stripe refuses.
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
                .metadata(HELD_BACK, "1");
            is_accepted(hold.send().await)?;
            let key = revision.key_at_any_revision(&format!("finalize:{id}"));
            let finalize = self.billing().finalize_invoice(id).key(key);
            is_accepted(finalize.send().await)?;
            now = self.billing().invoice(id).await?;
        }
        let mut reduced = Reduced::Refused;
        // The invoice may be paid or voided between the read and the write.
        for attempt in 0..2 {
            let is_new = attempt == 0 && just_made && revision.is_first();
            // Boxed, since it is large and rare.
            reduced = Box::pin(self.reduce_once(&now, credit, name, is_new, revision)).await?;
            match reduced {
                Reduced::Refused => now = self.billing().invoice(id).await?,
                Reduced::Partly | Reduced::Wholly(_) => break,
            }
        }
        if let Reduced::Wholly(rest) = reduced {
            return Ok(Some(rest));
        }
        if is_draft {
            // The amount due is collected, whether the reduction succeeded or not.
            self.collect(invoice).await?;
        }
        if matches!(reduced, Reduced::Refused) {
            tracing::error!(invoice = invoice.id, "Stripe refuses to reduce an invoice");
            return Ok(None);
        }
        Ok(Some(Vec::new()))
    }

    /// Takes `credit` off the invoice as it was read. `is_new` means that no request can have done so before.
    async fn reduce_once(
        &self,
        invoice: &Invoice,
        credit: &Reduction,
        name: &str,
        is_new: bool,
        revision: &Revision,
    ) -> Result<Reduced, stripe::Error> {
        let credit_rest = async |parts| {
            let rest = self.credit_paid(invoice, parts, name, is_new, revision);
            Ok(Reduced::Wholly(rest.await?))
        };
        if invoice.is(&InvoiceStatus::Void) {
            return Ok(Reduced::Wholly(Vec::new()));
        }
        let known = if is_new {
            None
        } else {
            self.credits_of(&invoice.id).await?.remove(name)
        };
        if let Some(cents) = known {
            // Another server may have created it after the invoice was read.
            let (_, beyond) = credit.split(cents);
            if beyond.is_empty() {
                return Ok(Reduced::Partly);
            }
            return credit_rest(beyond).await;
        }
        if invoice.is(&InvoiceStatus::Paid) {
            return credit_rest(credit.parts.clone()).await;
        }
        let due = invoice.amount_remaining;
        if credit.is_whole_invoice && due > 0 {
            let key = revision.key_at_any_revision(&format!("void:{}", invoice.id));
            let void = self.billing().void_invoice(&invoice.id).key(key);
            return Ok(if is_accepted(void.send().await)? {
                Reduced::Wholly(Vec::new())
            } else {
                Reduced::Refused
            });
        }
        let (taken, beyond) = credit.split(due);
        let note = credit_note(invoice, &taken);
        if !taken.is_empty() && !self.create_credit_note(&note, name, revision).await? {
            return Ok(Reduced::Refused);
        }
        if net(&taken) < due {
            return Ok(Reduced::Partly);
        }
        // Nothing is due any more, so what the customer's balance has paid can go back to it.
        credit_rest(beyond).await
    }

    /// Resumes the collection of invoices that are still held back.
    pub(super) async fn resume_collection(
        &self,
        invoices: &[Invoice],
    ) -> Result<(), stripe::Error> {
        let is_held_back = |invoice: &&Invoice| {
            let mark = invoice.metadata.get(HELD_BACK);
            mark.is_some_and(|mark| !mark.is_empty())
                && (invoice.is(&InvoiceStatus::Open) || invoice.is(&InvoiceStatus::Draft))
        };
        for invoice in invoices.iter().filter(is_held_back) {
            self.collect(invoice).await?;
        }
        Ok(())
    }

    async fn collect(&self, invoice: &Invoice) -> Result<(), stripe::Error> {
        let resume = self.billing().set_auto_advance(&invoice.id, true);
        is_accepted(resume.metadata(HELD_BACK, "").send().await).map(drop)
    }

    /// Credits parts of a paid invoice to the customer's balance. Returns the parts that Stripe did not accept.
    pub(super) async fn credit_paid(
        &self,
        invoice: &Invoice,
        parts: Vec<LinePart>,
        name: &str,
        is_new: bool,
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
        let exists = !is_new && self.credits_of(&invoice.id).await?.contains_key(&name);
        let is_credited = exists || self.create_credit_note(&note, &name, revision).await?;
        Ok(if is_credited { Vec::new() } else { parts })
    }

    /// Creates a credit note. Returns whether Stripe has accepted it.
    async fn create_credit_note(
        &self,
        note: &NewCreditNote,
        name: &str,
        revision: &Revision,
    ) -> Result<bool, stripe::Error> {
        let create = self
            .billing()
            .create_credit_note(note)
            .metadata(CREDIT, name);
        is_accepted(create.key(revision.key_at_any_revision(name)).send().await)
    }

    /// What remains of some lines of an invoice after credit notes and refunds.
    pub(in crate::domain::schedule) async fn remaining_of(
        &self,
        invoice: &Invoice,
        lines: &[InvoiceLine],
    ) -> Result<Vec<LinePart>, stripe::Error> {
        let notes = self
            .billing()
            .credit_notes_with_all_lines(&invoice.id)
            .await?;
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
fn is_accepted(outcome: Result<Ack, stripe::Error>) -> Result<bool, stripe::Error> {
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

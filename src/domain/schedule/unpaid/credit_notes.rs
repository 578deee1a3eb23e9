//! Credit notes, which take something off an invoice: each is written once.

use std::collections::BTreeSet;

use super::books::Books;
use super::invoice::{Credit, Part, credit_note};
use crate::billing::{Done, Invoice, InvoiceLine, InvoiceStatus, NewCreditNote};
use crate::domain::Domain;
use crate::domain::revision::Revision;
use crate::stripe;

/// The metadata key by which a credit note says what it is for.
const CREDIT: &str = "tier.credit";

/// The metadata key of a draft that is finalized to have something taken off it: it is not collected until that is done.
const HELD: &str = "tier.held";

impl Domain {
    /// Takes a credit off an invoice that nobody has paid, once for each `name`. Answers with what is beyond what is due:
    /// it was paid, by the customer's balance or by a credit for time that was. None: Stripe refuses.
    pub(in crate::domain::schedule) async fn take_off(
        &self,
        invoice: &Invoice,
        credit: &Credit,
        name: &str,
        fresh: bool,
        revision: &Revision,
    ) -> Result<Option<Vec<Part>>, stripe::Error> {
        if credit.parts.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let id = invoice.id.as_str();
        let is_draft = invoice.is(&InvoiceStatus::Draft);
        let mut now = invoice.clone();
        if is_draft {
            let hold = self.billing().set_auto_advance(id, false).note(HELD, "1");
            taken_by_stripe(hold.send().await)?;
            let key = revision.fixed(&format!("finalize:{id}"));
            let finalize = self.billing().finalize_invoice(id).key(key);
            taken_by_stripe(finalize.send().await)?;
            now = self.billing().invoice(id).await?;
        }
        let mut rest = None;
        // It may be paid, or voided, between the look and the write.
        for _ in 0..2 {
            if now.is(&InvoiceStatus::Void) {
                return Ok(Some(Vec::new()));
            }
            if now.is(&InvoiceStatus::Paid) {
                let parts = credit.parts.clone();
                let paid = self.credit_paid(&now, parts, name, fresh, revision);
                return Ok(Some(paid.await?));
            }
            let due = now.amount_remaining;
            let (taken, beyond) = credit.split(due);
            let is_taken = if credit.is_all && due > 0 {
                let key = revision.fixed(&format!("void:{id}"));
                let void = self.billing().void_invoice(id).key(key);
                taken_by_stripe(void.send().await)?
            } else {
                let note = credit_note(invoice, &taken);
                taken.is_empty() || self.write_credit_note(&note, name, fresh, revision).await?
            };
            if !is_taken {
                now = self.billing().invoice(id).await?;
                continue;
            }
            if credit.is_all && due > 0 {
                return Ok(Some(Vec::new()));
            }
            if net(&taken) == due {
                // Nothing is due any more, so what the customer's balance has paid can go back there.
                let paid = self.credit_paid(invoice, beyond, name, fresh, revision);
                return Ok(Some(paid.await?));
            }
            rest = Some(beyond);
            break;
        }
        if is_draft {
            // Whatever became of the credit, what is due is collected.
            self.collect(invoice).await?;
        }
        if rest.is_none() {
            tracing::error!(invoice = invoice.id, "stripe takes nothing off an invoice");
        }
        Ok(rest)
    }

    /// Lets Stripe go on with what was held back and left, if anything was.
    pub(super) async fn collect_held(&self, invoices: &[Invoice]) -> Result<(), stripe::Error> {
        let waits = |invoice: &&Invoice| {
            let held = invoice.metadata.get(HELD);
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
        taken_by_stripe(go_on.note(HELD, "").send().await).map(drop)
    }

    /// Credits to the balance what was paid of an invoice on which nothing is due. Answers with what Stripe did not take.
    pub(super) async fn credit_paid(
        &self,
        invoice: &Invoice,
        parts: Vec<Part>,
        name: &str,
        fresh: bool,
        revision: &Revision,
    ) -> Result<Vec<Part>, stripe::Error> {
        if parts.is_empty() {
            return Ok(parts);
        }
        let note = NewCreditNote {
            credit_amount: Some(net(&parts)),
            ..credit_note(invoice, &parts)
        };
        let name = format!("{name}:paid");
        let written = self.write_credit_note(&note, &name, fresh, revision);
        Ok(if written.await? { Vec::new() } else { parts })
    }

    /// Writes a credit note, unless there is one of that name. Answers with whether there is one then.
    async fn write_credit_note(
        &self,
        note: &NewCreditNote,
        name: &str,
        fresh: bool,
        revision: &Revision,
    ) -> Result<bool, stripe::Error> {
        let is_known =
            !(fresh && revision.is_first()) && self.credits_of(&note.invoice).await?.contains(name);
        if is_known {
            return Ok(true);
        }
        let create = self.billing().create_credit_note(note).note(CREDIT, name);
        taken_by_stripe(create.key(revision.fixed(name)).send().await)
    }

    /// What is left of some lines of an invoice: without what credit notes, or refunds, have given back.
    pub(in crate::domain::schedule) async fn left_of(
        &self,
        invoice: &Invoice,
        lines: &[InvoiceLine],
    ) -> Result<Vec<Part>, stripe::Error> {
        let notes = self.billing().credit_notes_of(&invoice.id).await?;
        let notes = self.billing().with_lines(notes).await?;
        let taken_off = Books::taken_off(&notes);
        let mut kept = invoice.kept(&notes).unwrap_or(i64::MAX);
        let left = |line: &InvoiceLine| {
            let taken = taken_off.get(&line.id).copied().unwrap_or(0);
            let part = Part::of(line, line.amount.saturating_sub(taken))?;
            let part = part.up_to(part.net.min(kept));
            kept -= part.net;
            (part.net > 0).then_some(part)
        };
        Ok(lines.iter().filter_map(left).collect())
    }

    /// What the credit notes of an invoice are for.
    async fn credits_of(&self, invoice: &str) -> Result<BTreeSet<String>, stripe::Error> {
        let notes = self.billing().credit_notes_of(invoice).await?;
        let names = notes.into_iter();
        let names = names.filter_map(|mut note| note.metadata.remove(CREDIT));
        Ok(names.collect())
    }
}

/// Whether Stripe did it. What it refuses is not what was read any more.
fn taken_by_stripe(outcome: Result<Done, stripe::Error>) -> Result<bool, stripe::Error> {
    match outcome {
        Err(error) if error.is_invalid_request() => {
            tracing::warn!(%error, "stripe takes no more off an invoice");
            Ok(false)
        }
        done => done.map(|_| true),
    }
}

/// Cents, discounts deducted.
fn net(parts: &[Part]) -> i64 {
    let nets = parts.iter().map(|part| part.net);
    nets.fold(0, i64::saturating_add)
}

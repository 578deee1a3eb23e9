//! Credit notes, which take something off an invoice: each is written once.

use std::collections::BTreeSet;

use super::books::Books;
use super::invoice::{Credit, Part, credit_note};
use crate::billing::{CreditNote, Invoice, InvoiceLine, Object};
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
        let path = format!("/v1/invoices/{}", invoice.id);
        let is_draft = invoice.is("draft");
        let mut now = invoice.clone();
        if is_draft {
            let hold = self
                .billing()
                .post(path.as_str())
                .param("auto_advance", false);
            let hold = hold.param(format!("metadata[{HELD}]"), "1");
            taken_by_stripe(hold.send::<Object>().await)?;
            let finalize = self.billing().post(format!("{path}/finalize"));
            let finalize = finalize.param("auto_advance", false);
            let key = revision.fixed(&format!("finalize:{}", invoice.id));
            let finalized = finalize.idempotency_key(key).send::<Object>().await;
            taken_by_stripe(finalized)?;
            now = self.billing().get(path.as_str()).send().await?;
        }
        let mut rest = None;
        // It may be paid, or voided, between the look and the write.
        for _ in 0..2 {
            if now.is("void") {
                return Ok(Some(Vec::new()));
            }
            if now.is("paid") {
                let parts = credit.parts.clone();
                let paid = self.credit_paid(&now, parts, name, fresh, revision);
                return Ok(Some(paid.await?));
            }
            let due = now.amount_remaining;
            let (taken, beyond) = credit.split(due);
            let is_taken = if credit.is_all && due > 0 {
                let void = self.billing().post(format!("{path}/void"));
                let key = revision.fixed(&format!("void:{}", invoice.id));
                taken_by_stripe(void.idempotency_key(key).send::<Object>().await)?
            } else {
                let form = credit_note(invoice, &taken);
                taken.is_empty()
                    || self
                        .write_credit_note(invoice, form, name, fresh, revision)
                        .await?
            };
            if !is_taken {
                now = self.billing().get(path.as_str()).send().await?;
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
            held.is_some_and(|held| !held.is_empty()) && (invoice.is("open") || invoice.is("draft"))
        };
        for invoice in invoices.iter().filter(waits) {
            self.collect(invoice).await?;
        }
        Ok(())
    }

    async fn collect(&self, invoice: &Invoice) -> Result<(), stripe::Error> {
        let path = format!("/v1/invoices/{}", invoice.id);
        let go_on = self.billing().post(path).param("auto_advance", true);
        let go_on = go_on.param(format!("metadata[{HELD}]"), "");
        taken_by_stripe(go_on.send::<Object>().await).map(drop)
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
        let mut form = credit_note(invoice, &parts);
        form.push("credit_amount", net(&parts));
        let name = format!("{name}:paid");
        let written = self.write_credit_note(invoice, form, &name, fresh, revision);
        Ok(if written.await? { Vec::new() } else { parts })
    }

    /// Writes a credit note, unless there is one of that name. Answers with whether there is one then.
    async fn write_credit_note(
        &self,
        invoice: &Invoice,
        form: stripe::Form,
        name: &str,
        fresh: bool,
        revision: &Revision,
    ) -> Result<bool, stripe::Error> {
        let is_known =
            !(fresh && revision.is_first()) && self.credits_of(&invoice.id).await?.contains(name);
        if is_known {
            return Ok(true);
        }
        let note = self.billing().post("/v1/credit_notes").form(form);
        let note = note.param(format!("metadata[{CREDIT}]"), name);
        let note = note.idempotency_key(revision.fixed(name));
        taken_by_stripe(note.send::<Object>().await)
    }

    /// What is left of some lines of an invoice: without what credit notes, or refunds, have given back.
    pub(in crate::domain::schedule) async fn left_of(
        &self,
        invoice: &Invoice,
        lines: &[InvoiceLine],
    ) -> Result<Vec<Part>, stripe::Error> {
        let request = self.billing().get("/v1/credit_notes");
        let notes = request.param("invoice", &invoice.id).list().await?;
        let notes = self.with_lines(notes).await?;
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

    /// Credit notes with all of their lines.
    pub(super) async fn with_lines(
        &self,
        mut notes: Vec<CreditNote>,
    ) -> Result<Vec<CreditNote>, stripe::Error> {
        for note in &mut notes {
            if note.lines.has_more {
                let path = format!("/v1/credit_notes/{}/lines", note.id);
                note.lines.data = self.billing().get(path).list().await?;
            }
        }
        Ok(notes)
    }

    /// What the credit notes of an invoice are for.
    async fn credits_of(&self, invoice: &str) -> Result<BTreeSet<String>, stripe::Error> {
        let request = self.billing().get("/v1/credit_notes");
        let notes: Vec<CreditNote> = request.param("invoice", invoice).list().await?;
        let names = notes.into_iter();
        let names = names.filter_map(|mut note| note.metadata.remove(CREDIT));
        Ok(names.collect())
    }
}

/// Whether Stripe did it. What it refuses is not what was read any more.
fn taken_by_stripe(outcome: Result<Object, stripe::Error>) -> Result<bool, stripe::Error> {
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

//! Invoices for time that nobody has paid: a credit never exceeds what was paid.
//!
//! Stripe credits the unused time of a licensed item whether its invoice was paid or not. Where it was not, there is no
//! such credit: the unused part is taken off the invoice, and what was used stays due. Which invoices these are is noted
//! on the subscription before the time is given back.

mod invoice;
mod note;

use std::collections::BTreeSet;

use super::carry::restarts;
use super::charge::CLOCK_SKEW;
use super::found::{Failure, Found};
use crate::domain::plan_change::{Action, Change};
use crate::domain::revision::Revision;
use crate::domain::{Domain, Result};
use crate::stripe;
use crate::stripe::types::{CreditNote, Invoice, InvoiceItem, Metadata, Object, Subscription};

use invoice::credit_note;
use note::{GivenBack, UNPAID};

pub(super) use invoice::{Credit, Part};
pub(super) use note::Unpaid;

/// The metadata key by which a credit note says what it is for.
const CREDIT: &str = "tier.credit";

impl Domain {
    /// The unpaid invoices that charge for time of `subscription` after `now`.
    async fn unpaid(
        &self,
        customer: &str,
        subscription: &Subscription,
        now: i64,
    ) -> Result<Vec<Invoice>> {
        let items = &subscription.items.data;
        if items.iter().all(|item| item.price.is_metered()) {
            return Ok(Vec::new());
        }
        let held = |price: &str| items.iter().any(|item| item.price.id == price);
        let unused = |invoice: &Invoice, goes: &dyn Fn(&str) -> bool| {
            !Credit::unused(invoice, goes, now).parts.is_empty()
        };
        let since = subscription.current_period_start;
        let mut invoices = self.invoices_since(&subscription.id, since).await?;
        invoices.retain(|invoice| invoice.is_unpaid(now) && unused(invoice, &held));
        if let Some(first) = invoices.iter().map(|invoice| invoice.created).min() {
            let prorations = self.prorations(customer, &subscription.id, first).await?;
            let recharged = charged_anew(&prorations);
            let goes = |price: &str| held(price) && !recharged.contains(price);
            invoices.retain(|invoice| unused(invoice, &goes));
        }
        Ok(invoices)
    }

    /// Notes the unpaid invoices that charge for time which the action gives back, in the phase that begins. Where a
    /// period begins, Stripe would credit it at once: then nothing is prorated.
    pub(super) async fn note_unpaid(
        &self,
        customer: &str,
        change: Change<'_>,
        found: &Found,
        action: &mut Action,
    ) -> Result<()> {
        let (Action::Replace(_, plan) | Action::Adopt(_, plan)) = action else {
            return Ok(());
        };
        let (Some(subscription), Some(begins), Some(first)) =
            (&found.current, plan.begins, change.asked.first())
        else {
            return Ok(());
        };
        let stays = |price: &str| {
            let mut items = plan.phases[begins].items.iter();
            items.any(|item| item.price == price)
        };
        let restarts = restarts(subscription, &first.features, first.trial);
        let items = &subscription.items.data;
        if !restarts && items.iter().all(|item| stays(&item.price.id)) {
            return Ok(());
        }
        let unpaid = self.unpaid(customer, subscription, change.now).await?;
        if !unpaid.is_empty() {
            plan.unprorated = restarts;
            let given_back = if restarts {
                GivenBack::All(change.now)
            } else {
                GivenBack::Going(change.now)
            };
            let note = Unpaid::new(given_back, &unpaid).note();
            let metadata = &mut plan.phases[begins].metadata;
            metadata.insert(UNPAID.to_owned(), note);
        }
        Ok(())
    }

    /// Notes the unpaid invoices of a subscription that is about to be ended, and says whether there are any.
    pub(super) async fn note_unpaid_at_end(
        &self,
        customer: &str,
        subscription: &Subscription,
        now: i64,
        revision: &Revision,
    ) -> Result<bool, Failure> {
        let unpaid = self.unpaid(customer, subscription, now).await?;
        if unpaid.is_empty() {
            return Ok(false);
        }
        let note = Unpaid::new(GivenBack::AtEnd, &unpaid).note();
        let path = format!("/v1/subscriptions/{}", subscription.id);
        let request = self.stripe().post(path);
        let request = request.param(format!("metadata[{UNPAID}]"), note);
        let shared = self.shared().await?;
        let key = (shared.number, customer.to_owned());
        shared.memory.settled().invalidate(&key).await;
        let step = format!("ending:{}", subscription.id);
        self.decided::<Object>(revision.write(&step, request))
            .await?;
        Ok(true)
    }

    /// Takes what was given back off the invoices that nobody had paid. What is done is added to `done`.
    pub(super) async fn settle_unpaid(
        &self,
        customer: &str,
        subscription: &Subscription,
        fresh: bool,
        revision: &Revision,
        done: &mut Metadata,
    ) -> Result<(), Failure> {
        let Some(noted) = Unpaid::noted(subscription) else {
            return Ok(());
        };
        let held = |price: &str| {
            let mut items = subscription.items.data.iter();
            items.any(|item| item.price.id == price)
        };
        let (all, at) = match noted.given_back {
            GivenBack::AtEnd => (true, subscription.ended_at.unwrap_or_default()),
            GivenBack::All(at) => (true, at),
            GivenBack::Going(at) => (false, at),
        };
        let mut invoices = Vec::with_capacity(noted.invoices.len());
        for id in &noted.invoices {
            invoices.push(self.whole_invoice(id).await?);
        }
        let first = invoices.iter().map(|invoice| invoice.created).min();
        let since = first.unwrap_or(at);
        let prorations = self.prorations(customer, &subscription.id, since).await?;
        let recharged = charged_anew(&prorations);
        let goes = |price: &str| (all || !held(price)) && !recharged.contains(price);
        let credited = if all {
            BTreeSet::new()
        } else {
            self.drop_credits(prorations, goes, at).await?
        };
        let goes = |price: &str| goes(price) && !credited.contains(price);
        for invoice in &invoices {
            let credit = Credit::unused(invoice, goes, at);
            let name = format!("unpaid:{}:{at}", invoice.id);
            self.take_off(invoice, &credit, &name, fresh, revision)
                .await?;
        }
        done.insert(UNPAID.to_owned(), String::new());
        Ok(())
    }

    /// Takes a credit off an invoice, once for each `name`. What of it was paid, by the customer's balance or since, goes
    /// to the balance.
    pub(super) async fn take_off(
        &self,
        invoice: &Invoice,
        credit: &Credit,
        name: &str,
        fresh: bool,
        revision: &Revision,
    ) -> Result<(), stripe::Error> {
        if credit.parts.is_empty() || invoice.is("void") {
            return Ok(());
        }
        let path = format!("/v1/invoices/{}", invoice.id);
        let is_draft = invoice.is("draft");
        if is_draft {
            let finalize = self.stripe().post(format!("{path}/finalize"));
            let finalize = finalize.param("auto_advance", false);
            let key = revision.fixed(&format!("finalize:{}", invoice.id));
            finalize.idempotency_key(key).send::<Object>().await?;
        }
        let due = if invoice.is("paid") {
            0
        } else {
            invoice.amount_remaining
        };
        if credit.is_all && due > 0 {
            let void = self.stripe().post(format!("{path}/void"));
            let key = revision.fixed(&format!("void:{}", invoice.id));
            void.idempotency_key(key).send::<Object>().await?;
            return Ok(());
        }
        let known = if fresh && revision.is_first() {
            BTreeSet::new()
        } else {
            self.credits_of(&invoice.id).await?
        };
        let rest = credit.net() - due;
        let mut notes = Vec::new();
        if due > 0 {
            notes.push((name.to_owned(), credit_note(invoice, credit, due)));
        }
        if rest > 0 {
            let mut form = stripe::Form::new();
            form.push("invoice", &invoice.id);
            form.push("reason", "order_change");
            form.push("amount", rest);
            form.push("credit_amount", rest);
            notes.push((format!("{name}:paid"), form));
        }
        for (name, form) in notes {
            if known.contains(&name) {
                continue;
            }
            let note = self.stripe().post("/v1/credit_notes").form(form);
            let note = note.param(format!("metadata[{CREDIT}]"), &name);
            let note = note.idempotency_key(revision.fixed(&name));
            match note.send::<Object>().await {
                // The same time was taken off before: the org has come back to a plan, and left it again.
                Err(error) if error.is_invalid_request() => {
                    tracing::warn!(%error, invoice = invoice.id, "nothing more was taken off an unpaid invoice");
                }
                other => drop(other?),
            }
        }
        if is_draft {
            let go_on = self.stripe().post(path).param("auto_advance", true);
            go_on.send::<Object>().await?;
        }
        Ok(())
    }

    /// What the credit notes of an invoice are for.
    async fn credits_of(&self, invoice: &str) -> Result<BTreeSet<String>, stripe::Error> {
        let request = self.stripe().get("/v1/credit_notes");
        let notes: Vec<CreditNote> = request.param("invoice", invoice).list().await?;
        let names = notes.into_iter();
        let names = names.filter_map(|mut note| note.metadata.remove(CREDIT));
        Ok(names.collect())
    }

    async fn whole_invoice(&self, id: &str) -> Result<Invoice, stripe::Error> {
        let request = self.stripe().get(format!("/v1/invoices/{id}"));
        let mut invoice: Invoice = request.expand("payment_intent").send().await?;
        if invoice.lines.has_more {
            let path = format!("/v1/invoices/{id}/lines");
            invoice.lines.data = self.stripe().get(path).list().await?;
        }
        Ok(invoice)
    }

    /// What changes within a period have credited and charged for time of a subscription since a time.
    async fn prorations(
        &self,
        customer: &str,
        subscription: &str,
        since: i64,
    ) -> Result<Vec<InvoiceItem>, stripe::Error> {
        let items = self.stripe().get("/v1/invoiceitems");
        let items = items.param("customer", customer);
        let items = items.param("created[gte]", since - CLOCK_SKEW);
        let mut items: Vec<InvoiceItem> = items.list().await?;
        let own = |item: &InvoiceItem| item.subscription.as_deref() == Some(subscription);
        items.retain(|item| item.proration && own(item));
        Ok(items)
    }

    /// Deletes the credits that a change at a time has made for prices that go: nobody has paid for them. Answers with the
    /// prices whose credit is on an invoice already.
    async fn drop_credits(
        &self,
        prorations: Vec<InvoiceItem>,
        goes: impl Fn(&str) -> bool,
        at: i64,
    ) -> Result<BTreeSet<String>, stripe::Error> {
        let mut credited = BTreeSet::new();
        let made = |item: &InvoiceItem| item.amount < 0 && item.date >= at - CLOCK_SKEW;
        for item in prorations.into_iter().filter(made) {
            let Some(price) = item.price.filter(|price| goes(&price.id)) else {
                continue;
            };
            if item.invoice.is_some() {
                credited.insert(price.id);
                continue;
            }
            let path = format!("/v1/invoiceitems/{}", item.id);
            match self.stripe().delete(path).send::<Object>().await {
                Err(error) if error.is_missing() => {}
                other => drop(other?),
            }
        }
        Ok(credited)
    }
}

/// The prices for which the next invoice charges, because the org has come back to them within the period. Their unused
/// time is credited there, and not taken off an earlier invoice.
fn charged_anew(prorations: &[InvoiceItem]) -> BTreeSet<String> {
    let charges = prorations.iter().filter(|item| item.amount > 0);
    let prices = charges.filter_map(|item| item.price.as_ref());
    prices.map(|price| price.id.clone()).collect()
}

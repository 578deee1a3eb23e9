//! Invoices for time that nobody has paid: a credit never exceeds what was paid.
//!
//! Stripe credits the unused time of a licensed item whether its invoice was paid or not. Where it was not, there is no
//! such credit: the unused part is taken off the invoice, and what was used stays due.

mod invoice;

use super::carry::restarts;
use super::found::{Failure, Found};
use crate::domain::plan_change::{Action, Change};
use crate::domain::revision::Revision;
use crate::domain::{Domain, Result};
use crate::stripe;
use crate::stripe::types::{Invoice, InvoiceItem, Object, Subscription};

use invoice::credit_note;

impl Domain {
    /// The unpaid invoices that charge for time of `subscription` after `now`.
    pub(super) async fn unpaid(
        &self,
        subscription: &Subscription,
        now: i64,
    ) -> Result<Vec<Invoice>> {
        let items = &subscription.items.data;
        if items.iter().all(|item| item.price.is_metered()) {
            return Ok(Vec::new());
        }
        let request = self
            .stripe()
            .get("/v1/invoices")
            .param("subscription", &subscription.id)
            .param("created[gte]", subscription.current_period_start)
            .expand("data.payment_intent");
        let mut invoices: Vec<Invoice> = request.list().await?;
        invoices.retain(|invoice| invoice.is_unpaid(now));
        for invoice in &mut invoices {
            if invoice.lines.has_more {
                let path = format!("/v1/invoices/{}/lines", invoice.id);
                invoice.lines.data = self.stripe().get(path).list().await?;
            }
        }
        let items = items.iter().map(|item| item.price.id.as_str());
        let held: Vec<&str> = items.collect();
        invoices.retain(|invoice| !invoice.unused(&held, now).is_empty());
        Ok(invoices)
    }

    /// Takes what is for time of `prices` after `now` off an unpaid invoice. `key` makes it happen once.
    pub(super) async fn take_off(
        &self,
        invoice: &Invoice,
        prices: &[&str],
        now: i64,
        key: &str,
    ) -> Result<(), stripe::Error> {
        if invoice.unused(prices, now).is_empty() {
            return Ok(());
        }
        let path = format!("/v1/invoices/{}", invoice.id);
        if invoice.is("draft") {
            let finalize = self.stripe().post(format!("{path}/finalize"));
            let finalize = finalize.param("auto_advance", false);
            let finalize = finalize.idempotency_key(format!("{key}:finalize"));
            finalize.send::<Object>().await?;
        }
        if invoice.is_only_unused(prices, now) {
            let void = self.stripe().post(format!("{path}/void"));
            let void = void.idempotency_key(format!("{key}:void"));
            void.send::<Object>().await?;
            return Ok(());
        }
        let note = self.stripe().post("/v1/credit_notes");
        let note = note.form(credit_note(invoice, prices, now));
        let note = note.idempotency_key(format!("{key}:credit"));
        match note.send::<Object>().await {
            // The same time was taken off before: the org has come back to a plan, and left it again.
            Err(error) if error.is_invalid_request() => {
                tracing::warn!(%error, invoice = invoice.id, "nothing more was taken off an unpaid invoice");
            }
            other => drop(other?),
        }
        if invoice.is("draft") {
            let go_on = self.stripe().post(path).param("auto_advance", true);
            go_on.send::<Object>().await?;
        }
        Ok(())
    }

    /// Deletes the credits for time of `prices` that a change has just made and that nobody has paid for.
    pub(super) async fn drop_credits(
        &self,
        customer: &str,
        subscription: &str,
        prices: &[&str],
    ) -> Result<(), stripe::Error> {
        let pending = self.stripe().get("/v1/invoiceitems");
        let pending = pending.param("customer", customer).param("pending", true);
        let pending: Vec<InvoiceItem> = match pending.list().await {
            Err(error) if error.api().is_some_and(|error| error.status == 404) => {
                tracing::error!(target: "audit", %error, customer, "credits for unpaid time stay");
                return Ok(());
            }
            pending => pending?,
        };
        for item in pending {
            let own = item.subscription.as_deref() == Some(subscription);
            let price = item.price.as_ref();
            let sold = price.is_some_and(|price| prices.contains(&price.id.as_str()));
            if own && sold && item.proration && item.amount < 0 {
                let path = format!("/v1/invoiceitems/{}", item.id);
                match self.stripe().delete(path).send::<Object>().await {
                    Err(error) if error.is_missing() => {}
                    other => drop(other?),
                }
            }
        }
        Ok(())
    }

    /// The unpaid invoices that charge for time which the action gives back. Where a period begins, Stripe would credit
    /// it at once: then nothing is prorated.
    pub(super) async fn unpaid_before(
        &self,
        change: Change<'_>,
        found: &Found,
        action: &mut Action,
    ) -> Result<Vec<Invoice>> {
        let (Action::Replace(_, plan) | Action::Adopt(_, plan)) = action else {
            return Ok(Vec::new());
        };
        let (Some(subscription), Some(begins)) = (&found.current, plan.begins) else {
            return Ok(Vec::new());
        };
        let Some(first) = change.asked.first() else {
            return Ok(Vec::new());
        };
        let stays = |price: &str| {
            let mut items = plan.phases[begins].items.iter();
            items.any(|item| item.price == price)
        };
        let restarts = restarts(subscription, &first.features, first.trial);
        let items = &subscription.items.data;
        if !restarts && items.iter().all(|item| stays(&item.price.id)) {
            return Ok(Vec::new());
        }
        let unpaid = self.unpaid(subscription, change.now).await?;
        plan.unprorated = restarts && !unpaid.is_empty();
        Ok(unpaid)
    }

    /// Takes what a change has given back off the invoices that nobody has paid.
    pub(super) async fn settle_unpaid(
        &self,
        customer: &str,
        now: i64,
        found: &Found,
        changed: &Subscription,
        unpaid: &[Invoice],
        revision: &Revision,
    ) -> Result<(), Failure> {
        let (Some(before), false) = (&found.current, unpaid.is_empty()) else {
            return Ok(());
        };
        let restarted = changed.current_period_start != before.current_period_start;
        let stays = |price: &str| changed.items.data.iter().any(|item| item.price.id == price);
        let prices = before.items.data.iter().map(|item| item.price.id.as_str());
        let prices: Vec<&str> = prices.filter(|price| restarted || !stays(price)).collect();
        if !restarted {
            self.drop_credits(customer, &changed.id, &prices).await?;
        }
        for invoice in unpaid {
            let key = revision.key(&format!("unpaid:{}", invoice.id));
            self.take_off(invoice, &prices, now, &key).await?;
        }
        Ok(())
    }
}

//! Settles unused time, in the request that made the change or else in the next one.

use std::collections::BTreeMap;

use super::history::TimeCharge;
use super::unused_time::{PLANNED_END, UNUSED_TIME};
use super::{History, LinePart, Reduction, UnusedTime};
use crate::billing::{Invoice, InvoiceItem, InvoiceStatus, Metadata, Period, Subscription};
use crate::domain::revision::Revision;
use crate::domain::schedule::usage_charge::Adjustment;
use crate::domain::{Domain, Failure};
use crate::stripe;

/// The unused time of one price.
#[derive(Default)]
struct PriceSettlement<'a> {
    /// What remains of its charges.
    charges: Vec<TimeCharge>,
    /// Stripe's pending credits.
    pending: Vec<&'a InvoiceItem>,
    /// Cents that Stripe has credited on invoices.
    credited: i64,
}

impl History {
    /// Whether a charge is on an unpaid invoice.
    pub(super) fn is_unpaid(&self, charge: &TimeCharge, now: i64) -> bool {
        charge
            .invoice
            .is_some_and(|i| self.invoices[i].is_unpaid(now))
    }
}

impl<'a> PriceSettlement<'a> {
    /// Adds one of Stripe's credits. A credit on the same invoice as the charge is right, paid or not.
    fn add_credit(&mut self, history: &History, item: &'a InvoiceItem) {
        let Some(invoice) = &item.invoice else {
            self.pending.push(item);
            return;
        };
        let mut credit = item.amount.saturating_neg();
        for charge in &mut self.charges {
            if charge
                .invoice
                .is_some_and(|i| history.invoices[i].id == *invoice)
            {
                let taken = charge.part.net.min(credit);
                credit -= taken;
                charge.part = charge.part.up_to(charge.part.net - taken);
            }
        }
        self.credited = self.credited.saturating_add(credit);
    }

    /// Whether Stripe has credited exactly what was paid or will still be charged. Rounding may differ by a cent per
    /// charge.
    fn is_right(&self, history: &History, now: i64) -> bool {
        let pending: i64 = self.pending.iter().map(|item| -item.amount).sum();
        let remaining: i64 = self.charges.iter().map(|charge| charge.part.net).sum();
        let tolerance = i64::try_from(self.charges.len()).unwrap_or(i64::MAX);
        let mut charges = self.charges.iter();
        !charges.any(|charge| charge.part.net > 1 && history.is_unpaid(charge, now))
            && (self.credited + pending - remaining).abs() <= tolerance
    }
}

impl Domain {
    /// Settles the unused time noted on a subscription. Adds the key of each settled note to `done`.
    pub(in crate::domain::schedule) async fn settle_noted_time(
        &self,
        customer: &str,
        subscription: &Subscription,
        just_made: bool,
        revision: &Revision,
        done: &mut Metadata,
    ) -> Result<(), Failure> {
        let Some(unused_time) = UnusedTime::noted(subscription) else {
            return Ok(());
        };
        let settled = self
            .settle_unused_time(customer, subscription, unused_time, just_made, revision)
            .await?;
        if !settled {
            // The notes stay, so that the next request tries again. Nothing else depends on them.
            return Ok(());
        }
        let is_over = |key: &str| key == UNUSED_TIME || subscription.ended_at.is_some();
        for key in [UNUSED_TIME, PLANNED_END]
            .into_iter()
            .filter(|key| is_over(key))
        {
            if subscription.metadata.contains_key(key) {
                done.insert(key.to_owned(), String::new());
            }
        }
        Ok(())
    }

    /// Takes unpaid time off its invoice, credits paid time, and charges back what Stripe credited beyond that. Returns
    /// whether Stripe accepted all of it.
    pub(in crate::domain::schedule) async fn settle_unused_time(
        &self,
        customer: &str,
        subscription: &Subscription,
        unused_time: UnusedTime,
        just_made: bool,
        revision: &Revision,
    ) -> Result<bool, Failure> {
        let (cause, at, since) = (unused_time.cause, unused_time.at, unused_time.since);
        let now = self.now().await?;
        let invoices = self.invoices_since(&subscription.id, since).await?;
        let history = self
            .history(customer, &subscription.id, invoices, since)
            .await?;
        let credits = history.credits(&unused_time, subscription);
        let is_removed =
            |charge: &TimeCharge| history.includes(charge, &unused_time, &credits, subscription);
        let is_credit = |item: &InvoiceItem| credits.iter().any(|credit| credit.id == item.id);
        let remaining = history.remaining(at, is_removed, is_credit);
        let mut prices: BTreeMap<&str, PriceSettlement<'_>> = BTreeMap::new();
        for charge in &remaining {
            let price = prices.entry(&charge.price).or_default();
            price.charges.push(charge.clone());
        }
        for item in credits {
            if let Some(price) = item.time_of() {
                let price = prices.entry(price).or_default();
                price.add_credit(&history, item);
            }
        }
        if cause.is_credited() {
            prices.retain(|_, price| !price.is_right(&history, now));
        }
        let mut settlement = Settlement {
            domain: self,
            customer,
            subscription,
            at,
            now,
            just_made,
            revision,
            history: &history,
            owed: BTreeMap::new(),
            is_complete: true,
        };
        settlement.run(&prices).await?;
        let is_complete = settlement.is_complete;
        self.resume_collection(&history.invoices).await?;
        Ok(is_complete)
    }
}

/// The settlement of the time that one change left unused.
struct Settlement<'a> {
    domain: &'a Domain,
    customer: &'a str,
    subscription: &'a Subscription,
    at: i64,
    now: i64,
    just_made: bool,
    revision: &'a Revision,
    history: &'a History,
    /// The cents that are still to be credited, by price. A negative amount is to be charged.
    owed: BTreeMap<&'a str, i64>,
    /// Whether Stripe has accepted everything.
    is_complete: bool,
}

impl<'a> Settlement<'a> {
    async fn run(
        &mut self,
        prices: &'a BTreeMap<&'a str, PriceSettlement<'a>>,
    ) -> Result<(), stripe::Error> {
        let mut by_invoice: BTreeMap<usize, Vec<&TimeCharge>> = BTreeMap::new();
        for (name, price) in prices {
            self.delete_pending_credits(&price.pending).await?;
            let mut owed = -price.credited;
            for charge in price.charges.iter().filter(|charge| charge.part.net > 0) {
                match charge.invoice {
                    Some(i) if self.history.is_unpaid(charge, self.now) => {
                        by_invoice.entry(i).or_default().push(charge);
                    }
                    Some(i)
                        if price.credited == 0
                            && self.history.invoices[i].is(&InvoiceStatus::Paid) =>
                    {
                        by_invoice.entry(i).or_default().push(charge);
                    }
                    _ => owed += charge.part.net,
                }
            }
            self.owed.insert(name, owed);
        }
        for (i, charges) in by_invoice {
            self.settle_invoice(&self.history.invoices[i], &charges)
                .await?;
        }
        for (price, owed) in std::mem::take(&mut self.owed) {
            if owed != 0 {
                let charges = prices.get(price).map_or(&[][..], |price| &price.charges);
                self.credit(price, owed, charges).await?;
            }
        }
        Ok(())
    }

    /// Deletes pending credits that Stripe created.
    async fn delete_pending_credits(&self, credits: &[&InvoiceItem]) -> Result<(), stripe::Error> {
        for item in credits {
            let deleted = self.domain.billing().delete_invoice_item(&item.id);
            match deleted.await {
                Err(error) if error.is_missing() => {}
                deleted => drop(deleted?),
            }
        }
        Ok(())
    }

    async fn settle_invoice(
        &mut self,
        invoice: &Invoice,
        charges: &[&'a TimeCharge],
    ) -> Result<(), stripe::Error> {
        let parts: Vec<LinePart> = charges.iter().map(|charge| charge.part.clone()).collect();
        // The name has the line: several changes in one second may each reduce the invoice.
        let first = charges.first().map_or("", |charge| &charge.part.line);
        let name = format!("unpaid:{}:{}:{first}", invoice.id, self.at);
        let (domain, just_made, revision) = (self.domain, self.just_made, self.revision);
        let rest = if invoice.is(&InvoiceStatus::Paid) {
            domain
                .credit_paid(
                    invoice,
                    parts,
                    &name,
                    just_made && revision.is_first(),
                    revision,
                )
                .await?
        } else {
            let credit = Reduction::new(invoice, parts);
            let rest = domain.reduce_invoice(invoice, &credit, &name, just_made, revision);
            let rest = rest.await?;
            self.is_complete &= rest.is_some();
            rest.unwrap_or_default()
        };
        for part in rest {
            let charge = charges.iter().find(|charge| charge.part.line == part.line);
            if let Some(charge) = charge {
                *self.owed.entry(&charge.price).or_default() += part.net;
            }
        }
        Ok(())
    }

    /// Credits or charges the amount that is owed for the time of a price.
    async fn credit(
        &mut self,
        price: &str,
        owed: i64,
        charges: &[TimeCharge],
    ) -> Result<(), stripe::Error> {
        let currency = charges.first().map(|charge| charge.currency.as_str());
        let currency = currency.unwrap_or(&self.subscription.currency);
        let end = charges.iter().map(|charge| charge.period.end).max();
        let period = Period {
            start: self.at,
            end: end.unwrap_or(self.at).max(self.at),
        };
        let adjustment = Adjustment {
            name: &format!("unpaid:{}:{}:{price}", self.subscription.id, self.at),
            amount: -owed,
            currency,
            description: if owed > 0 {
                "Unused time that was paid".to_owned()
            } else {
                "Unused time that was credited and had not been paid".to_owned()
            },
            since: self.at,
            time: (owed > 0).then_some((price, period)),
            is_discountable: false,
        };
        let (customer, subscription) = (self.customer, self.subscription);
        let added = self
            .domain
            .add_to_next_invoice(
                customer,
                subscription,
                &adjustment,
                self.just_made,
                self.revision,
            )
            .await;
        match added {
            Err(error) if error.is_invalid_request() && !error.is_replayed() => {
                tracing::error!(%error, customer, name = adjustment.name, amount = adjustment.amount, "unused time cannot be settled");
                self.is_complete = false;
                Ok(())
            }
            added => added,
        }
    }
}

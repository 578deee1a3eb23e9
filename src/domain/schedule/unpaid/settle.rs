//! Time that was given back, settled: by whoever made the change, or else by whoever comes next.

use std::collections::BTreeMap;

use super::books::Charge;
use super::note::{ENDS, UNPAID};
use super::{Books, Credit, GivenBack, Part};
use crate::billing::{Invoice, InvoiceItem, InvoiceStatus, Metadata, Period, Subscription};
use crate::domain::revision::Revision;
use crate::domain::schedule::charge::Extra;
use crate::domain::{Domain, Failure};
use crate::stripe;

/// The time of one price that was given back.
#[derive(Default)]
struct Price<'a> {
    /// What was charged for it and is left.
    charges: Vec<Charge>,
    /// Stripe's credits that wait for an invoice.
    waiting: Vec<&'a InvoiceItem>,
    /// Cents that Stripe has credited on invoices.
    credited: i64,
}

impl Books {
    /// Whether a charge is on an invoice that nobody has paid.
    pub(super) fn is_unpaid(&self, charge: &Charge, now: i64) -> bool {
        charge
            .invoice
            .is_some_and(|i| self.invoices[i].is_unpaid(now))
    }
}

impl<'a> Price<'a> {
    /// Adds a credit of Stripe's. On the invoice that charges for the time, it is right whether or not that is paid.
    fn add_credit(&mut self, books: &Books, item: &'a InvoiceItem) {
        let Some(invoice) = &item.invoice else {
            self.waiting.push(item);
            return;
        };
        let mut credit = item.amount.saturating_neg();
        for charge in &mut self.charges {
            if charge
                .invoice
                .is_some_and(|i| books.invoices[i].id == *invoice)
            {
                let taken = charge.part.net.min(credit);
                credit -= taken;
                charge.part = charge.part.up_to(charge.part.net - taken);
            }
        }
        self.credited = self.credited.saturating_add(credit);
    }

    /// Whether what Stripe has credited is what was paid, or is still to be charged. Each charge is rounded.
    fn is_right(&self, books: &Books, now: i64) -> bool {
        let waiting: i64 = self.waiting.iter().map(|item| -item.amount).sum();
        let left: i64 = self.charges.iter().map(|charge| charge.part.net).sum();
        let tolerance = i64::try_from(self.charges.len()).unwrap_or(i64::MAX);
        let mut charges = self.charges.iter();
        !charges.any(|charge| charge.part.net > 1 && books.is_unpaid(charge, now))
            && (self.credited + waiting - left).abs() <= tolerance
    }
}

impl Domain {
    /// Settles what is noted on a subscription. What is done is added to `done`.
    pub(in crate::domain::schedule) async fn settle_unpaid(
        &self,
        customer: &str,
        subscription: &Subscription,
        fresh: bool,
        revision: &Revision,
        done: &mut Metadata,
    ) -> Result<(), Failure> {
        let Some(given_back) = GivenBack::noted(subscription) else {
            return Ok(());
        };
        let settled = self
            .settle_given_back(customer, subscription, given_back, fresh, revision)
            .await?;
        if !settled {
            // The notes stay, so that the next call tries again, and nothing else waits for it.
            return Ok(());
        }
        let is_over = |key: &str| key == UNPAID || subscription.ended_at.is_some();
        for key in [UNPAID, ENDS].into_iter().filter(|key| is_over(key)) {
            if subscription.metadata.contains_key(key) {
                done.insert(key.to_owned(), String::new());
            }
        }
        Ok(())
    }

    /// Takes what nobody paid off its invoice, credits what was paid, and takes back what Stripe credited beyond that.
    /// Says whether Stripe let all of it happen.
    pub(in crate::domain::schedule) async fn settle_given_back(
        &self,
        customer: &str,
        subscription: &Subscription,
        given_back: GivenBack,
        fresh: bool,
        revision: &Revision,
    ) -> Result<bool, Failure> {
        let (how, at, since) = (given_back.how, given_back.at, given_back.since);
        let now = self.now().await?;
        let invoices = self.invoices_since(&subscription.id, since).await?;
        let books = self
            .books(customer, &subscription.id, invoices, since)
            .await?;
        let credits = books.credits(&given_back, subscription);
        let goes = |charge: &Charge| books.includes(charge, &given_back, subscription);
        let is_credit = |item: &InvoiceItem| credits.iter().any(|credit| credit.id == item.id);
        let left = books.left(at, goes, is_credit);
        let mut prices: BTreeMap<&str, Price<'_>> = BTreeMap::new();
        for charge in &left {
            let price = prices.entry(&charge.price).or_default();
            price.charges.push(charge.clone());
        }
        for item in credits {
            if let Some(price) = item.time_of() {
                let price = prices.entry(price).or_default();
                price.add_credit(&books, item);
            }
        }
        if how.is_credited() {
            prices.retain(|_, price| !price.is_right(&books, now));
        }
        let mut settlement = Settlement {
            domain: self,
            customer,
            subscription,
            at,
            now,
            fresh,
            revision,
            books: &books,
            owed: BTreeMap::new(),
            is_complete: true,
        };
        settlement.run(&prices).await?;
        let is_complete = settlement.is_complete;
        self.collect_held(&books.invoices).await?;
        Ok(is_complete)
    }
}

/// A settlement of time that was given back at one moment.
struct Settlement<'a> {
    domain: &'a Domain,
    customer: &'a str,
    subscription: &'a Subscription,
    at: i64,
    now: i64,
    fresh: bool,
    revision: &'a Revision,
    books: &'a Books,
    /// By price, what the customer is still to be credited; negative: to be charged.
    owed: BTreeMap<&'a str, i64>,
    /// Whether Stripe has refused nothing.
    is_complete: bool,
}

impl<'a> Settlement<'a> {
    async fn run(&mut self, prices: &'a BTreeMap<&'a str, Price<'a>>) -> Result<(), stripe::Error> {
        let mut by_invoice: BTreeMap<usize, Vec<&Charge>> = BTreeMap::new();
        for (name, price) in prices {
            self.drop_credits(&price.waiting).await?;
            let mut owed = -price.credited;
            for charge in price.charges.iter().filter(|charge| charge.part.net > 0) {
                match charge.invoice {
                    Some(i) if self.books.is_unpaid(charge, self.now) => {
                        by_invoice.entry(i).or_default().push(charge);
                    }
                    Some(i)
                        if price.credited == 0
                            && self.books.invoices[i].is(&InvoiceStatus::Paid) =>
                    {
                        by_invoice.entry(i).or_default().push(charge);
                    }
                    _ => owed += charge.part.net,
                }
            }
            self.owed.insert(name, owed);
        }
        for (i, charges) in by_invoice {
            self.settle_invoice(&self.books.invoices[i], &charges)
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

    /// Deletes credits of Stripe's that wait for an invoice.
    async fn drop_credits(&self, credits: &[&InvoiceItem]) -> Result<(), stripe::Error> {
        for item in credits {
            let deleted = self.domain.billing().delete_invoice_item(&item.id);
            match deleted.await {
                Err(error) if error.is_missing() => {}
                other => drop(other?),
            }
        }
        Ok(())
    }

    async fn settle_invoice(
        &mut self,
        invoice: &Invoice,
        charges: &[&'a Charge],
    ) -> Result<(), stripe::Error> {
        let parts: Vec<Part> = charges.iter().map(|charge| charge.part.clone()).collect();
        // In one second, more than one change may take something off.
        let first = charges.first().map_or("", |charge| &charge.part.line);
        let name = format!("unpaid:{}:{}:{first}", invoice.id, self.at);
        let (domain, fresh, revision) = (self.domain, self.fresh, self.revision);
        let rest = if invoice.is(&InvoiceStatus::Paid) {
            domain
                .credit_paid(invoice, parts, &name, fresh, revision)
                .await?
        } else {
            let credit = Credit::new(invoice, parts);
            let rest = domain.take_off(invoice, &credit, &name, fresh, revision);
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

    /// Credits, or charges, what the customer is owed for the time of a price.
    async fn credit(
        &mut self,
        price: &str,
        owed: i64,
        charges: &[Charge],
    ) -> Result<(), stripe::Error> {
        let currency = charges.first().map(|charge| charge.currency.as_str());
        let currency = currency.unwrap_or(&self.subscription.currency);
        let end = charges.iter().map(|charge| charge.period.end).max();
        let period = Period {
            start: self.at,
            end: end.unwrap_or(self.at).max(self.at),
        };
        let extra = Extra {
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
            .add_to_next_invoice(customer, subscription, &extra, self.fresh, self.revision)
            .await;
        match added {
            Err(error) if error.is_invalid_request() && !error.is_replayed() => {
                tracing::error!(%error, customer, name = extra.name, amount = extra.amount, "time cannot be settled");
                self.is_complete = false;
                Ok(())
            }
            added => added,
        }
    }
}

//! Invoice items: what waits for a customer's next invoice.

use serde::Deserialize;

use super::object::{Metadata, identified};
use super::{Billing, Done, Period, Price, Write};
use crate::stripe::Error;

/// What waits for a customer's next invoice.
#[derive(Clone, Debug, Deserialize)]
pub struct InvoiceItem {
    /// `ii_…`.
    pub id: String,
    /// Cents.
    #[serde(default)]
    pub amount: i64,
    /// Three lower-case letters.
    #[serde(default)]
    pub currency: String,
    /// What it is for.
    #[serde(default)]
    pub price: Option<Price>,
    /// Whose invoice it waits for.
    #[serde(default)]
    pub subscription: Option<String>,
    /// The subscription item whose time it charges or credits.
    #[serde(default)]
    pub subscription_item: Option<String>,
    /// Whether it corrects an earlier charge.
    #[serde(default)]
    pub proration: bool,
    /// When it was made, Unix seconds.
    #[serde(default)]
    pub date: i64,
    /// The time that it is for.
    #[serde(default)]
    pub period: Period,
    /// The invoice that it is on; none while it waits for one.
    #[serde(default)]
    pub invoice: Option<String>,
    /// Free pairs.
    #[serde(default)]
    pub metadata: Metadata,
}

identified!(InvoiceItem);

/// An amount that a customer's next invoice is to have.
#[derive(Clone, Copy, Debug)]
pub struct NewInvoiceItem<'a> {
    /// `cus_…`.
    pub customer: &'a str,
    /// Whose next invoice it waits for; none: that of any.
    pub subscription: Option<&'a str>,
    /// Cents; negative: a credit.
    pub amount: i64,
    /// Three lower-case letters.
    pub currency: &'a str,
    /// For people.
    pub description: &'a str,
    /// Free pairs.
    pub metadata: &'a Metadata,
    /// The time that it is for, if not the second in which it is made.
    pub period: Option<Period>,
    /// Whether discounts of the invoice apply.
    pub is_discountable: bool,
}

impl Billing<'_> {
    /// What was made for a customer since a time (Unix seconds), newest first, on an invoice or not.
    pub async fn invoice_items_since(
        self,
        customer: &str,
        time: i64,
    ) -> Result<Vec<InvoiceItem>, Error> {
        let request = self.get(ITEMS).param("customer", customer);
        request.param("created[gte]", time).list().await
    }

    /// Adds an amount to a customer's next invoice.
    pub fn create_invoice_item(self, new: &NewInvoiceItem<'_>) -> Write<Done> {
        let request = self
            .post(ITEMS)
            .param("customer", new.customer)
            .param_some("subscription", new.subscription)
            .param("amount", new.amount)
            .param("currency", new.currency)
            .param("description", new.description)
            .metadata(new.metadata)
            .param_some("period[start]", new.period.map(|period| period.start))
            .param_some("period[end]", new.period.map(|period| period.end));
        let plain = (!new.is_discountable).then_some(false);
        Write::new(request.param_some("discountable", plain))
    }

    /// Deletes an item that waits for an invoice.
    pub async fn delete_invoice_item(self, id: &str) -> Result<Done, Error> {
        let path = ("/v1/invoiceitems/*", id);
        self.delete(path).send().await
    }
}

const ITEMS: &str = "/v1/invoiceitems";

//! Invoice items: amounts for a customer's next invoice.

use serde::Deserialize;

use super::object::{Metadata, identified};
use super::{Ack, Billing, Period, Price, Write};
use crate::stripe::Error;

/// An amount on an invoice, or pending for the next one.
#[derive(Clone, Debug, Deserialize)]
pub struct InvoiceItem {
    /// `ii_…`.
    pub id: String,
    /// Cents.
    #[serde(default)]
    pub amount: i64,
    /// The currency: three lower-case letters.
    #[serde(default)]
    pub currency: String,
    /// The price that it is for.
    #[serde(default)]
    pub price: Option<Price>,
    /// The subscription whose invoice it is for.
    #[serde(default)]
    pub subscription: Option<String>,
    /// The subscription item that it charges or credits.
    #[serde(default)]
    pub subscription_item: Option<String>,
    /// Whether it is a proration, which corrects an earlier charge.
    #[serde(default)]
    pub proration: bool,
    /// When it was created, in Unix seconds.
    #[serde(default)]
    pub date: i64,
    /// The period that it charges or credits.
    #[serde(default)]
    pub period: Period,
    /// The invoice that it is on. None while it is pending.
    #[serde(default)]
    pub invoice: Option<String>,
    /// Its metadata.
    #[serde(default)]
    pub metadata: Metadata,
}

identified!(InvoiceItem);

/// An invoice item to create.
#[derive(Clone, Copy, Debug)]
pub struct NewInvoiceItem<'a> {
    /// `cus_…`.
    pub customer: &'a str,
    /// The subscription whose next invoice it goes on. None: the customer's next invoice of any kind.
    pub subscription: Option<&'a str>,
    /// Cents. A negative amount is a credit.
    pub amount: i64,
    /// The currency: three lower-case letters.
    pub currency: &'a str,
    /// The text on the invoice.
    pub description: &'a str,
    /// Its metadata.
    pub metadata: &'a Metadata,
    /// The period that it charges or credits. None: the second in which it is created.
    pub period: Option<Period>,
    /// Whether the invoice's discounts apply to it.
    pub is_discountable: bool,
}

impl Billing<'_> {
    /// A customer's invoice items created since a time (Unix seconds), newest first, pending or invoiced.
    pub async fn invoice_items_since(
        self,
        customer: &str,
        time: i64,
    ) -> Result<Vec<InvoiceItem>, Error> {
        let request = self.get(ITEMS).param("customer", customer);
        request.param("created[gte]", time).list().await
    }

    /// Adds an amount to a customer's next invoice.
    pub fn create_invoice_item(self, new: &NewInvoiceItem<'_>) -> Write<Ack> {
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

    /// Deletes a pending item.
    pub async fn delete_invoice_item(self, id: &str) -> Result<Ack, Error> {
        let path = ("/v1/invoiceitems/*", id);
        self.delete(path).send().await
    }
}

const ITEMS: &str = "/v1/invoiceitems";

//! Previews of invoices.

use super::{Billing, Invoice};
use crate::stripe::{Error, Form};

/// Changed terms of a subscription, for a preview.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTerms {
    /// The changed items.
    pub items: Vec<PreviewedItem>,
    /// The time from which prorations are computed, in Unix seconds. None: without prorations.
    pub prorated_from: Option<i64>,
}

/// A change of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PreviewedItem {
    /// It is added.
    Added {
        /// `price_…`.
        price: String,
        /// None for a metered price.
        quantity: Option<u64>,
    },
    /// It is removed.
    Removed {
        /// `si_…`.
        id: String,
    },
}

impl NewTerms {
    fn form(&self) -> Form {
        let mut form = Form::new();
        for (i, item) in self.items.iter().enumerate() {
            let name = format!("subscription_items[{i}]");
            match item {
                PreviewedItem::Added { price, quantity } => {
                    form.push(format!("{name}[price]"), price);
                    form.push_some(format!("{name}[quantity]"), *quantity);
                }
                PreviewedItem::Removed { id } => {
                    form.push(format!("{name}[id]"), id);
                    form.push(format!("{name}[deleted]"), true);
                }
            }
        }
        let behavior = match self.prorated_from {
            Some(_) => "create_prorations",
            None => "none",
        };
        form.push("subscription_proration_behavior", behavior);
        form.push_some("subscription_proration_date", self.prorated_from);
        form
    }
}

impl Billing<'_> {
    /// A preview of a subscription's next invoice, with `terms` if given. None if there will be no invoice.
    pub async fn next_invoice(
        self,
        subscription: &str,
        terms: Option<&NewTerms>,
    ) -> Result<Option<Invoice>, Error> {
        let request = self.get("/v1/invoices/upcoming");
        let mut request = request.param("subscription", subscription);
        if let Some(terms) = terms {
            request = request.form(terms.form());
        }
        match request.send().await {
            Ok(invoice) => Ok(Some(invoice)),
            Err(error) if error.is_no_upcoming_invoice() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The next invoice of a subscription with all its lines. None if there will be none.
    pub async fn next_invoice_with_lines(
        self,
        subscription: &str,
    ) -> Result<Option<Invoice>, Error> {
        let mut next = self.next_invoice(subscription, None).await?;
        if let Some(invoice) = next.as_mut().filter(|invoice| invoice.lines.has_more) {
            let lines = self.get("/v1/invoices/upcoming/lines");
            let lines = lines.param("subscription", subscription);
            invoice.lines.data = lines.list().await?;
        }
        Ok(next)
    }
}

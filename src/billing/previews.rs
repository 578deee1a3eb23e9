//! Previews of a subscription's next invoice.
//!
//! The call depends on the generation of the subscription's prices: `GET /v1/invoices/upcoming` bills usage records.
//! The API versions with meters have `POST /v1/invoices/create_preview` instead. Its lines have another shape, and
//! Stripe keeps its answer for three days.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde::Deserialize;

use super::invoices::Period;
use super::object::{Expandable, complete, decimal, or_default};
use super::{Billing, Generation, Invoice, InvoiceLine, Price, WITH_METERS};
use crate::stripe::{Error, Form, Identified, Page, Request};

/// A change of a subscription, to preview.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreviewedChange {
    /// The changed items.
    pub items: Vec<PreviewedItem>,
    /// The time from which Stripe computes prorations, in Unix seconds. None: without prorations.
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

/// Usage that the next invoice of a subscription bills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewedUsage {
    /// The item. None: it was removed, and its usage is a pending invoice item.
    pub item: Option<String>,
    /// `price_…`.
    pub price: String,
    /// Units.
    pub quantity: i64,
    /// The period in which it was used.
    period: Period,
}

impl PreviewedUsage {
    /// Whether both are parts of the usage of one item in one period.
    fn is_same_usage(&self, other: &Self) -> bool {
        (&self.item, &self.price, self.period) == (&other.item, &other.price, other.period)
    }
}

/// A preview in the API versions with meters.
#[derive(Deserialize)]
struct Preview {
    /// `upcoming_in_…`.
    id: String,
    /// Cents, after discounts and with taxes.
    total: i64,
    /// At least the first ten lines.
    lines: Page<Line>,
}

/// A preview with all fields of an invoice.
#[derive(Deserialize)]
struct FullPreview {
    #[serde(flatten)]
    invoice: Invoice,
    #[serde(default, deserialize_with = "or_default")]
    total_taxes: Vec<Tax>,
}

#[derive(Deserialize)]
struct Tax {
    amount: i64,
}

/// A line, in the shape of the API versions with meters.
#[derive(Deserialize)]
struct Line {
    #[serde(flatten)]
    common: InvoiceLine,
    #[serde(default, deserialize_with = "or_default")]
    parent: Parent,
    #[serde(default, deserialize_with = "or_default")]
    pricing: Pricing,
    #[serde(default, deserialize_with = "decimal")]
    quantity_decimal: Option<Decimal>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Parent {
    #[serde(deserialize_with = "or_default")]
    subscription_item_details: ItemDetails,
    #[serde(deserialize_with = "or_default")]
    invoice_item_details: ItemDetails,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ItemDetails {
    subscription_item: Option<String>,
    invoice_item: Option<String>,
    proration: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pricing {
    price_details: Option<PriceDetails>,
}

#[derive(Deserialize)]
struct PriceDetails {
    price: Expandable<Price>,
}

impl Identified for Line {
    fn id(&self) -> &str {
        &self.common.id
    }
}

impl Line {
    /// Whether it is a proration, which corrects an earlier charge.
    fn is_proration(&self) -> bool {
        let Parent {
            subscription_item_details: item,
            invoice_item_details: pending,
        } = &self.parent;
        item.proration || pending.proration
    }

    fn quantity(&self) -> Option<i64> {
        let exact = self.quantity_decimal.and_then(|exact| exact.to_i64());
        exact.or(self.common.quantity)
    }

    /// The usage that it bills. A licensed price counts as usage of one unit. None for a proration.
    fn usage(self) -> Option<PreviewedUsage> {
        let is_proration = self.is_proration();
        let quantity = self.quantity().unwrap_or(0);
        let price = self.pricing.price_details.filter(|_| !is_proration)?;
        Some(PreviewedUsage {
            item: self.parent.subscription_item_details.subscription_item,
            price: price.price.id().to_owned(),
            quantity,
            period: self.common.period,
        })
    }
}

impl From<Line> for InvoiceLine {
    fn from(line: Line) -> Self {
        let (proration, quantity) = (line.is_proration(), line.quantity());
        let Parent {
            subscription_item_details: item,
            invoice_item_details: pending,
        } = line.parent;
        let price = line.pricing.price_details;
        let price = price.and_then(|details| details.price.into_object());
        Self {
            subscription_item: item.subscription_item,
            invoice_item: item.invoice_item.or(pending.invoice_item),
            price,
            quantity,
            proration,
            ..line.common
        }
    }
}

impl PreviewedChange {
    /// The parameters, named `{prefix}items{suffix}` and so on.
    fn form(&self, prefix: &str, suffix: &str) -> Form {
        let mut form = Form::new();
        for (i, item) in self.items.iter().enumerate() {
            let name = format!("{prefix}items{suffix}[{i}]");
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
        form.push(format!("{prefix}proration_behavior{suffix}"), behavior);
        form.push_some(
            format!("{prefix}proration_date{suffix}"),
            self.prorated_from,
        );
        form
    }
}

impl Billing<'_> {
    /// The total of a subscription's next invoice in cents, after `change` if given. None if there will be no invoice.
    pub async fn next_total(
        self,
        subscription: &str,
        generation: Generation,
        change: Option<&PreviewedChange>,
    ) -> Result<Option<i64>, Error> {
        Ok(match generation {
            Generation::Classic => {
                let form = change.map(|change| change.form("subscription_", ""));
                let request = self.upcoming(subscription).form(form.unwrap_or_default());
                let next: Option<Invoice> = preview(request).await?;
                next.map(|next| next.total)
            }
            Generation::Meters => {
                let form = change.map(|change| change.form("subscription_details[", "]"));
                let request = self
                    .create_preview(subscription)
                    .form(form.unwrap_or_default());
                let next: Option<Preview> = preview(request).await?;
                next.map(|next| next.total)
            }
        })
    }

    /// The next invoice of a subscription with all its lines. None if there will be none.
    pub async fn next_invoice(
        self,
        subscription: &str,
        generation: Generation,
    ) -> Result<Option<Invoice>, Error> {
        match generation {
            Generation::Classic => {
                let request = self.upcoming(subscription);
                let mut next: Option<Invoice> = preview(request).await?;
                if let Some(invoice) = &mut next {
                    let all = self.get("/v1/invoices/upcoming/lines");
                    let all = all.param("subscription", subscription);
                    complete(&mut invoice.lines, all).await?;
                }
                Ok(next)
            }
            Generation::Meters => {
                let request = self.create_preview(subscription);
                let Some(next): Option<FullPreview> = preview(request).await? else {
                    return Ok(None);
                };
                let mut invoice = next.invoice;
                // Stripe cannot expand the prices of lines in the preview itself: they are nested too deeply.
                let lines = self.lines_of_preview(&invoice.id);
                let lines: Vec<Line> = lines
                    .expand("data.pricing.price_details.price")
                    .list()
                    .await?;
                invoice.lines = Page {
                    data: lines.into_iter().map(InvoiceLine::from).collect(),
                    has_more: false,
                    next_page: None,
                };
                let taxes = next.total_taxes.iter().map(|tax| tax.amount);
                invoice.tax = taxes.reduce(i64::saturating_add);
                invoice.id = String::new();
                Ok(Some(invoice))
            }
        }
    }

    /// The usage that the next invoice of a subscription with meters bills, from the events that Stripe has processed.
    /// One entry for each item and period, though a price with tiers has several lines. Empty if there will be no
    /// invoice.
    pub async fn usage_to_bill(self, subscription: &str) -> Result<Vec<PreviewedUsage>, Error> {
        let request = self.create_preview(subscription);
        let Some(mut next): Option<Preview> = preview(request).await? else {
            return Ok(Vec::new());
        };
        complete(&mut next.lines, self.lines_of_preview(&next.id)).await?;
        let mut all: Vec<PreviewedUsage> = Vec::new();
        for usage in next.lines.data.into_iter().filter_map(Line::usage) {
            match all.iter_mut().find(|known| known.is_same_usage(&usage)) {
                Some(known) => known.quantity = known.quantity.saturating_add(usage.quantity),
                None => all.push(usage),
            }
        }
        Ok(all)
    }

    fn upcoming(self, subscription: &str) -> Request {
        let request = self.get("/v1/invoices/upcoming");
        request.param("subscription", subscription)
    }

    fn create_preview(self, subscription: &str) -> Request {
        let path = "/v1/invoices/create_preview";
        let request = self.client.query(WITH_METERS, path);
        request.param("subscription", subscription)
    }

    fn lines_of_preview(self, id: &str) -> Request {
        self.client.get(WITH_METERS, ("/v1/invoices/*/lines", id))
    }
}

/// Sends a request for a preview. None if there will be no invoice.
async fn preview<T: serde::de::DeserializeOwned>(request: Request) -> Result<Option<T>, Error> {
    match request.send().await {
        Ok(next) => Ok(Some(next)),
        Err(error) if error.is_upcoming_invoice_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

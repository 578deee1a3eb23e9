//! Usage of items whose price has a meter: events, and their totals on the next invoice.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde::Deserialize;

use super::meters::{CUSTOMER_KEY, VALUE_KEY};
use super::object::{Expandable, Object, decimal, or_default};
use super::{Billing, Done, WITH_METERS, Write};
use crate::stripe::{Error, Identified, Page};

/// An event that counts for a customer's items of the price with its meter.
#[derive(Clone, Copy, Debug)]
pub struct MeterEvent<'a> {
    /// The name that the meter listens to.
    pub name: &'a str,
    /// `cus_…`.
    pub customer: &'a str,
    /// Units.
    pub value: i64,
    /// Unix seconds. None: when Stripe receives it.
    pub at: Option<i64>,
    /// Stripe counts one event with this identifier within at least 24 hours.
    pub identifier: &'a str,
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
}

#[derive(Deserialize)]
struct Preview {
    #[serde(default)]
    id: String,
    lines: Page<Line>,
}

/// A line, in the shape of the versions that have meters.
#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    parent: Parent,
    #[serde(default, deserialize_with = "or_default")]
    pricing: Pricing,
    #[serde(default)]
    quantity: Option<i64>,
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
    proration: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pricing {
    price_details: Option<PriceDetails>,
}

#[derive(Deserialize)]
struct PriceDetails {
    price: Expandable<Object>,
}

impl Identified for Line {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Line {
    /// The usage that it bills. Lines of licensed prices are usage of one unit. None for a correction of an earlier
    /// charge.
    fn usage(self) -> Option<PreviewedUsage> {
        let Parent {
            subscription_item_details: item,
            invoice_item_details: pending,
        } = self.parent;
        let corrects = item.proration || pending.proration;
        let price = self.pricing.price_details.filter(|_| !corrects)?;
        let exact = self.quantity_decimal.and_then(|exact| exact.to_i64());
        Some(PreviewedUsage {
            item: item.subscription_item,
            price: price.price.id().to_owned(),
            quantity: exact.or(self.quantity).unwrap_or(0),
        })
    }
}

/// What a meter has counted of a customer in a span of time.
#[derive(Deserialize)]
struct EventSummary {
    #[serde(deserialize_with = "decimal")]
    aggregated_value: Option<Decimal>,
}

impl Billing<'_> {
    /// What a meter has counted of a customer from `start` until before `end`, both the first second of a minute, as far
    /// as Stripe has processed the events.
    pub async fn meter_total(
        self,
        meter: &str,
        customer: &str,
        start: i64,
        end: i64,
    ) -> Result<i64, Error> {
        let path = ("/v1/billing/meters/*/event_summaries", meter);
        let request = self.client.get(WITH_METERS, path);
        let request = request
            .param("customer", customer)
            .param("start_time", start)
            .param("end_time", end);
        let summaries: Page<EventSummary> = request.send().await?;
        let totals = summaries.data.iter();
        let total: Decimal = totals.filter_map(|one| one.aggregated_value).sum();
        Ok(total.to_i64().unwrap_or(i64::MAX))
    }

    /// Reports an event. Stripe processes it later, and may drop it then.
    pub fn report_event(self, event: &MeterEvent<'_>) -> Write<Done> {
        let request = self
            .client
            .post(WITH_METERS, "/v1/billing/meter_events")
            .param("event_name", event.name)
            .param(format!("payload[{CUSTOMER_KEY}]"), event.customer)
            .param(format!("payload[{VALUE_KEY}]"), event.value)
            .param_some("timestamp", event.at)
            .param("identifier", event.identifier);
        Write::new(request)
    }

    /// What the next invoice of a subscription bills, as far as Stripe has processed the events. Empty if there will be
    /// no invoice.
    pub async fn usage_to_bill(self, subscription: &str) -> Result<Vec<PreviewedUsage>, Error> {
        let path = "/v1/invoices/create_preview";
        let request = self.client.query(WITH_METERS, path);
        let request = request.param("subscription", subscription);
        let preview: Preview = match request.send().await {
            Ok(preview) => preview,
            Err(error) if error.is_no_upcoming_invoice() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let lines: Vec<Line> = if preview.lines.has_more {
            let path = ("/v1/invoices/*/lines", preview.id.as_str());
            self.client.get(WITH_METERS, path).list().await?
        } else {
            preview.lines.data
        };
        Ok(lines.into_iter().filter_map(Line::usage).collect())
    }
}

//! Usage of metered items: usage records, and their totals.
//!
//! For prices of the [classic](super::CLASSIC) generation. Prices with a meter have [meter
//! events](super::meter_events).

use serde::Deserialize;

use super::{Billing, InvoiceLine, Write};
use crate::stripe::{Error, Page};

/// Usage of one item in one period.
#[derive(Clone, Debug, Deserialize)]
pub struct UsageRecordSummary {
    /// `sis_…`.
    pub id: String,
    /// The total, aggregated as the price says.
    pub total_usage: i64,
    /// The billing period.
    #[serde(default)]
    pub period: UsagePeriod,
}

/// The period of a summary. An end can be missing.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct UsagePeriod {
    /// Unix seconds.
    pub start: Option<i64>,
    /// Unix seconds.
    pub end: Option<i64>,
}

/// Usage to record on an item.
#[derive(Clone, Copy, Debug)]
pub struct UsageRecord {
    /// Units.
    pub quantity: i64,
    /// Whether it sets the usage or adds to it.
    pub action: UsageAction,
    /// Unix seconds. None: now, by Stripe's clock.
    pub at: Option<i64>,
}

/// A usage record that Stripe has.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct RecordedUsage {
    /// The time of the usage, in Unix seconds.
    pub timestamp: i64,
}

/// What a usage record does to earlier usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageAction {
    /// It adds to it.
    Increment,
    /// It replaces it.
    Set,
}

impl Billing<'_> {
    /// Records usage on an item.
    pub fn record_usage(self, item: &str, record: UsageRecord) -> Write<RecordedUsage> {
        let action = match record.action {
            UsageAction::Increment => "increment",
            UsageAction::Set => "set",
        };
        let path = ("/v1/subscription_items/*/usage_records", item);
        let request = self
            .post(path)
            .param("quantity", record.quantity)
            .param("action", action);
        Write::new(match record.at {
            Some(at) => request.param("timestamp", at),
            // Not a computed second, since a retry must have the same parameters.
            None => request.param("timestamp", "now"),
        })
    }

    /// The usage of an item in each of its last `periods` billing periods, newest first. At most a hundred.
    pub async fn usage_summaries(
        self,
        item: &str,
        periods: u32,
    ) -> Result<Vec<UsageRecordSummary>, Error> {
        let path = ("/v1/subscription_items/*/usage_record_summaries", item);
        let request = self.get(path).param("limit", periods);
        let page: Page<UsageRecordSummary> = request.send().await?;
        Ok(page.data)
    }

    /// The lines of the upcoming invoice of `subscription`, or of the customer's next invoice. Empty if there is
    /// nothing to bill, or if there are more than a page.
    pub async fn upcoming_lines(
        self,
        customer: &str,
        subscription: Option<&str>,
    ) -> Result<Vec<InvoiceLine>, Error> {
        let request = self
            .get("/v1/invoices/upcoming/lines")
            .param("customer", customer)
            .param_some("subscription", subscription)
            .param("limit", 100);
        match request.send::<Page<InvoiceLine>>().await {
            // There are more lines than fit on a page. Stripe fails to return the second page, and some of the lines
            // would make a wrong total.
            Ok(page) if page.has_more => Ok(Vec::new()),
            Ok(page) => Ok(page.data),
            Err(error) if error.is_upcoming_invoice_missing() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

//! Usage of metered items: records of it, and what they add up to.
//!
//! How usage is told to Stripe, and read back, is decided by the price of the item. All prices that there are today count
//! records on the item, by the [classic](super::CLASSIC) API. Calls for prices of another generation, such as meters,
//! belong here too, in their own version.

use serde::Deserialize;

use super::{Billing, Done, InvoiceLine, Write};
use crate::stripe::{Error, Page};

/// Usage of one item in one period.
#[derive(Clone, Debug, Deserialize)]
pub struct UsageRecordSummary {
    /// `sis_…`.
    pub id: String,
    /// Aggregated as the price says.
    pub total_usage: i64,
    /// The billing period.
    #[serde(default)]
    pub period: UsagePeriod,
}

/// The period of a summary.
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
    /// Whether it is set or added to what is there.
    pub action: UsageAction,
    /// Unix seconds; none: now, as Stripe's clock says.
    pub at: Option<i64>,
}

/// What a usage record does to what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageAction {
    /// It is added.
    Increment,
    /// It takes its place.
    Set,
}

impl Billing<'_> {
    /// Records usage on the item of that id.
    pub fn record_usage(self, item: &str, record: UsageRecord) -> Write<Done> {
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
            // Not a computed second: a repetition must have the same parameters.
            None => request.param("timestamp", "now"),
        })
    }

    /// What was recorded on an item in each of its last `periods` periods, at most a hundred, newest first.
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

    /// The lines of the upcoming invoice: of `subscription`, or of the one that the customer is billed for next. None if
    /// there is nothing to bill, or if there are too many.
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
            // More lines than a page has: Stripe fails on the second one, and a part of the lines
            // would be a wrong total.
            Ok(page) if page.has_more => Ok(Vec::new()),
            Ok(page) => Ok(page.data),
            Err(error) if error.is_no_upcoming_invoice() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

//! Usage recorded in Stripe, by Tier or by other programs.

use super::{Domain, Result};
use crate::billing::UsagePeriod;

/// The maximum number of periods to read.
const PERIODS: u32 = 100;

/// Stripe's usage of an item in one period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedUsage {
    /// The start in Unix seconds; `None` if it is open.
    start: Option<i64>,
    /// The end in Unix seconds; `None` if it is open.
    end: Option<i64>,
    /// The total, aggregated according to the price.
    pub total: i64,
}

impl RecordedUsage {
    /// Whether the period contains the Unix second `at`.
    pub fn contains(&self, at: i64) -> bool {
        self.start.is_none_or(|start| start <= at) && self.end.is_none_or(|end| at < end)
    }
}

impl Domain {
    /// Stripe's usage of an item in each of its periods; `None` if the item was removed.
    pub async fn recorded_on_item(&self, item: &str) -> Result<Option<Vec<RecordedUsage>>> {
        let summaries = match self.billing().usage_summaries(item, PERIODS).await {
            Ok(summaries) => summaries,
            Err(error) if error.is_item_gone() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let recorded = summaries.into_iter().map(|summary| {
            let UsagePeriod { start, end } = summary.period;
            let total = summary.total_usage;
            RecordedUsage { start, end, total }
        });
        Ok(Some(recorded.collect()))
    }
}

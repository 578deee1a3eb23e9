//! What Stripe has recorded, whoever told it.

use super::{Domain, Result};
use crate::billing::UsagePeriod;

/// The periods of an item that are read.
const PERIODS: u32 = 100;

/// What Stripe has recorded on an item in one period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Unix seconds; none: from the beginning.
    start: Option<i64>,
    /// Unix seconds; none: until further notice.
    end: Option<i64>,
    /// Aggregated as the price says.
    pub total: i64,
}

impl Recorded {
    /// Whether usage at that Unix second is in it.
    pub fn contains(&self, at: i64) -> bool {
        self.start.is_none_or(|start| start <= at) && self.end.is_none_or(|end| at < end)
    }
}

impl Domain {
    /// What Stripe has recorded on an item, in each of its periods; none if the item is gone.
    pub async fn recorded_on_item(&self, item: &str) -> Result<Option<Vec<Recorded>>> {
        let summaries = match self.billing().usage_summaries(item, PERIODS).await {
            Ok(summaries) => summaries,
            Err(error) if error.is_item_gone() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let recorded = summaries.into_iter().map(|summary| {
            let UsagePeriod { start, end } = summary.period;
            let total = summary.total_usage;
            Recorded { start, end, total }
        });
        Ok(Some(recorded.collect()))
    }
}

//! Usage of metered items: records of it, and what they add up to.

use serde::Deserialize;

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

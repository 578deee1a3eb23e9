//! Usage over time.

use rusqlite::params;

use super::super::super::values::{Feature, HOUR, Org, Time};
use super::super::StoreError;
use super::Reader;

/// The length of the spans in a usage history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// Hours, UTC; days where entries have been compacted.
    Hour,
    /// Days, UTC.
    Day,
    /// Billing periods.
    Period,
}

impl Span {
    /// The length in milliseconds; `None` for a billing period, whose length varies.
    pub const fn millis(self) -> Option<i64> {
        match self {
            Self::Hour => Some(HOUR),
            Self::Day => Some(24 * HOUR),
            Self::Period => None,
        }
    }
}

/// Usage of one feature in one span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The start of the span, not before the period's start.
    pub from: Time,
    /// The end of the span, not after the period's end.
    pub to: Time,
    /// The change of the total in the span.
    pub n: i64,
    /// The period's total at the end of the span.
    pub total: i64,
}

impl Reader {
    /// The usage of a feature from `from` until `to`, oldest first, without empty spans.
    pub fn usage(
        &self,
        org: &Org,
        feature: &Feature,
        span: Span,
        (from, to): (Time, Time),
    ) -> Result<Vec<Usage>, StoreError> {
        let mut statement = self.connection.prepare_cached(USAGE)?;
        let range = params![
            org.as_str(),
            feature.as_str(),
            span.millis().unwrap_or(0),
            from.millis(),
            to.millis()
        ];
        let rows = statement.query_map(range, |row| {
            Ok(Usage {
                from: Time::from_millis(row.get(0)?),
                to: Time::from_millis(row.get(1)?),
                n: row.get(2)?,
                total: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// Changes by span. Spans are clipped to their period, so that each belongs to one period. A level carried from an
/// earlier period counts from the start of its own. The total covers the whole period, including the part before the
/// requested range.
const USAGE: &str = "
WITH mine AS (
    SELECT id, period_start, period_end FROM totals WHERE org = ?1 AND feature = ?2
), changes AS (
    SELECT entries.total, at, ?3 AS length,
           after_n - lag(after_n, 1, 0) OVER (PARTITION BY entries.total ORDER BY entries.id) AS n
    FROM entries WHERE total IN (SELECT id FROM mine)
    UNION ALL
    SELECT total, day, CASE ?3 WHEN 0 THEN 0 ELSE max(?3, 86400000) END, n
    FROM daily_totals WHERE total IN (SELECT id FROM mine)
), clamped AS (
    SELECT period_start, period_end, length, n, max(period_start, min(at, period_end - 1)) AS at
    FROM changes JOIN mine ON mine.id = changes.total
), spans AS (
    SELECT period_start,
           CASE length WHEN 0 THEN period_start
                ELSE max(period_start, at - (at % length + length) % length) END AS start,
           max(CASE length WHEN 0 THEN period_end
                ELSE min(period_end, at - (at % length + length) % length + length) END) AS finish,
           sum(n) AS n
    FROM clamped GROUP BY period_start, start
), running AS (
    SELECT start, finish, n, sum(n) OVER (PARTITION BY period_start ORDER BY start) AS total FROM spans
)
SELECT start, finish, n, total FROM running WHERE finish > ?4 AND start < ?5 ORDER BY start, finish";

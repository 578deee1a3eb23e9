//! Usage over time.

use super::super::super::values::{Feature, HOUR, Org, Time};
use super::super::StoreError;
use super::super::columns::{int, text, time};
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
        let range = [
            text(org.as_str()),
            text(feature.as_str()),
            int(span.millis().unwrap_or(0)),
            time(from),
            time(to),
        ];
        self.rows(USAGE, &range, |row| {
            Ok(Usage {
                from: row.time()?,
                to: row.time()?,
                n: row.int()?,
                total: row.int()?,
            })
        })
    }
}

/// Changes by span. Spans are clipped to their period, so that each belongs to one period. A level carried from an
/// earlier period counts from the start of its own. The total covers the whole period, including the part before the
/// requested range. A length of 0 is that of the period.
const USAGE: &str = "
WITH mine AS (
    SELECT id, period_start, period_end FROM totals WHERE org = $1 AND feature = $2
), changes AS (
    SELECT total, at, $3 AS length,
           after_n - lag(after_n, 1, CAST(0 AS BIGINT)) OVER (PARTITION BY total ORDER BY id) AS n
    FROM entries WHERE total IN (SELECT id FROM mine)
    UNION ALL
    SELECT total, day, CASE WHEN $3 = 0 THEN 0 ELSE 86400000 END, n
    FROM daily_totals WHERE total IN (SELECT id FROM mine)
), clamped AS (
    SELECT period_start, period_end, length, n,
           CASE WHEN at < period_start THEN period_start
                WHEN at >= period_end THEN period_end - 1 ELSE at END AS at
    FROM changes JOIN mine ON mine.id = changes.total
), cut AS (
    SELECT period_start, period_end, n,
           CASE WHEN length = 0 THEN period_start ELSE at - (at % length + length) % length END AS rounded,
           CASE WHEN length = 0 THEN period_end - period_start ELSE length END AS length
    FROM clamped
), clipped AS (
    SELECT period_start, n,
           CASE WHEN rounded < period_start THEN period_start ELSE rounded END AS start,
           CASE WHEN rounded + length > period_end THEN period_end ELSE rounded + length END AS finish
    FROM cut
), spans AS (
    SELECT period_start, start, max(finish) AS finish, CAST(sum(n) AS BIGINT) AS n
    FROM clipped GROUP BY period_start, start
), running AS (
    SELECT start, finish, n,
           CAST(sum(n) OVER (PARTITION BY period_start ORDER BY start) AS BIGINT) AS total
    FROM spans
)
SELECT start, finish, n, total FROM running WHERE finish > $4 AND start < $5 ORDER BY start, finish";

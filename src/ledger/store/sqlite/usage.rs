//! Usage over time.

use rusqlite::params;

use super::super::super::values::{Feature, HOUR, Org, Time};
use super::super::StoreError;
use super::Reader;

/// Usage over time is added up by these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// Hours, UTC. Where entries are no longer kept, they are days.
    Hour,
    /// Days, UTC.
    Day,
    /// Billing periods.
    Period,
}

impl Span {
    /// In milliseconds; `None`: a billing period has no fixed length.
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
    /// When the span begins: not before its period.
    pub from: Time,
    /// When it ends: not after its period.
    pub to: Time,
    /// By how much the total changed in it.
    pub n: i64,
    /// The period's total at its end.
    pub total: i64,
}

impl Reader {
    /// The usage of a feature that happened from `from` until `to`, oldest first. Spans without usage are left out.
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

/// Changes by span. A span is cut off where its period begins and ends, so that each is of one period. A level that came
/// from an earlier period counts from the beginning of its own. The total runs over all of a period, also over what is
/// before the range that was asked for.
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
), placed AS (
    SELECT period_start, period_end, length, n, max(period_start, min(at, period_end - 1)) AS at
    FROM changes JOIN mine ON mine.id = changes.total
), spans AS (
    SELECT period_start,
           CASE length WHEN 0 THEN period_start
                ELSE max(period_start, at - (at % length + length) % length) END AS start,
           max(CASE length WHEN 0 THEN period_end
                ELSE min(period_end, at - (at % length + length) % length + length) END) AS finish,
           sum(n) AS n
    FROM placed GROUP BY period_start, start
), running AS (
    SELECT start, finish, n, sum(n) OVER (PARTITION BY period_start ORDER BY start) AS total FROM spans
)
SELECT start, finish, n, total FROM running WHERE finish > ?4 AND start < ?5 ORDER BY start, finish";

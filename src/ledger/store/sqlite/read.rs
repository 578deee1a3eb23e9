//! Looking at a ledger, while another process may be writing it.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::super::super::state::{Entry, Figure, Total, TotalId};
use super::super::super::values::{Feature, Org, Time};
use super::super::StoreError;
use super::columns::from_row;
use super::{records, rows};

/// The ledger in a file, for those who look at it.
#[derive(Debug)]
pub struct Reader {
    pub(super) connection: Connection,
}

/// Usage over time is added up by these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// Hours, UTC.
    Hour,
    /// Days, UTC. Where entries are no longer kept, hours are days too.
    Day,
    /// Billing periods.
    Period,
}

/// Usage of one feature in one span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// When the span begins.
    pub from: Time,
    /// When it ends.
    pub to: Time,
    /// By how much the total changed in it.
    pub n: i64,
    /// The period's total at its end.
    pub total: i64,
}

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The total that it is about; `None`: the file.
    pub total: Option<TotalId>,
    /// What it is.
    pub what: String,
}

impl Reader {
    /// The account that the ledger belongs to.
    pub fn account(&self) -> Result<String, StoreError> {
        let sql = "SELECT account FROM ledger";
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }

    /// All totals, in the order in which they were opened.
    pub fn totals(&self) -> Result<Vec<Total>, StoreError> {
        let sql = format!("SELECT {}, digest FROM totals ORDER BY id", rows::TOTAL);
        records(&mut self.connection.prepare(&sql)?, [])
    }

    /// Hands every entry to `each`, in the order of acceptance.
    pub fn entries(&self, mut each: impl FnMut(Entry)) -> Result<(), StoreError> {
        let sql = format!("SELECT {}, digest FROM entries ORDER BY id", rows::ENTRY);
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            each(from_row(row)?);
        }
        Ok(())
    }

    /// How many entries there are.
    pub fn count_entries(&self) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM entries";
        let count: i64 = self.connection.query_row(sql, [], |row| row.get(0))?;
        Ok(count.try_into().unwrap_or(0))
    }

    /// Does the arithmetic of every total again, and looks at every page of the file.
    pub fn verify(&self) -> Result<Vec<Problem>, StoreError> {
        let mut problems = Vec::new();
        let mut statement = self.connection.prepare("PRAGMA integrity_check")?;
        let mut faults = statement.query([])?;
        while let Some(row) = faults.next()? {
            let what: String = row.get(0)?;
            if what != "ok" {
                problems.push(Problem { total: None, what });
            }
        }
        let totals = self.totals()?;
        let mut figures = self.compacted()?;
        let aggregates: HashMap<TotalId, _> =
            totals.iter().map(|one| (one.id, one.aggregate)).collect();
        self.entries(|entry| {
            let before = figures.get(&entry.total).copied().unwrap_or_default();
            let aggregate = aggregates.get(&entry.total);
            let after = aggregate
                .and_then(|one| before.after(*one, entry.kind, entry.n, entry.at))
                .filter(|after| after.n == entry.after);
            match after {
                Some(after) => drop(figures.insert(entry.total, after)),
                None => problems.push(Problem {
                    total: Some(entry.total),
                    what: format!("entry {} does not come to {}", entry.id.0, entry.after),
                }),
            }
        })?;
        for total in totals {
            let figure = figures.get(&total.id).copied().unwrap_or_default();
            if figure.n != total.n {
                let what = format!("the total is {}, its entries come to {}", total.n, figure.n);
                let total = Some(total.id);
                problems.push(Problem { total, what });
            }
        }
        Ok(problems)
    }

    /// What the entries came to that are no longer kept.
    fn compacted(&self) -> Result<HashMap<TotalId, Figure>, StoreError> {
        let sql = "SELECT total, sum(n) FROM daily_totals GROUP BY total";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        let mut figures = HashMap::new();
        while let Some(row) = rows.next()? {
            let (total, n): (i64, i64) = (row.get(0)?, row.get(1)?);
            let level_at = None;
            let total = TotalId(total.try_into().unwrap_or(0));
            figures.insert(total, Figure { n, level_at });
        }
        Ok(figures)
    }

    /// The usage of a feature that happened from `from` until `to`, oldest first. Spans without usage are left out.
    pub fn usage(
        &self,
        org: &Org,
        feature: &Feature,
        span: Span,
        (from, to): (Time, Time),
    ) -> Result<Vec<Usage>, StoreError> {
        let length: i64 = match span {
            Span::Hour => 3_600_000,
            Span::Day => 86_400_000,
            Span::Period => 0,
        };
        let mut statement = self.connection.prepare_cached(USAGE)?;
        let range = params![
            org.as_str(),
            feature.as_str(),
            length,
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

/// Changes by span; the total runs over all of a period, also over what is before the range that was asked for.
const USAGE: &str = "
WITH changes AS (
    SELECT entries.total, at, after_n - lag(after_n, 1, 0) OVER (PARTITION BY entries.total ORDER BY entries.id) AS n
    FROM entries WHERE total IN (SELECT id FROM totals WHERE org = ?1 AND feature = ?2)
    UNION ALL
    SELECT total, day, n FROM daily_totals
    WHERE total IN (SELECT id FROM totals WHERE org = ?1 AND feature = ?2)
), spans AS (
    SELECT period_start,
           CASE ?3 WHEN 0 THEN period_start ELSE at - (at % ?3 + ?3) % ?3 END AS start,
           CASE ?3 WHEN 0 THEN max(period_end) ELSE at - (at % ?3 + ?3) % ?3 + ?3 END AS finish,
           sum(changes.n) AS n
    FROM changes JOIN totals ON totals.id = changes.total
    GROUP BY period_start, start
), running AS (
    SELECT start, finish, n, sum(n) OVER (PARTITION BY period_start ORDER BY start) AS total FROM spans
)
SELECT start, finish, n, total FROM running WHERE finish > ?4 AND start < ?5 ORDER BY start, total";

//! Reading a ledger while another process may be writing it.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params_from_iter};

use super::super::super::state::{Entry, Reservation, Total, TotalId};
use super::super::super::values::{Feature, Org, Time};
use super::super::{Snapshot, StoreError, rows};
use super::{from_columns, from_row, records};

/// A reader's handle of a ledger file.
#[derive(Debug)]
pub struct Reader {
    pub(super) connection: Connection,
}

/// A summary of a ledger's contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The account that it belongs to.
    pub account: String,
    /// The number of entries, without those compacted into daily totals.
    pub entries: u64,
    /// The number of totals.
    pub totals: u64,
    /// The number of undelivered totals, without parked ones.
    pub undelivered: u64,
    /// The undelivered total that has waited longest.
    pub oldest_undelivered: Option<Total>,
    /// The number of parked totals.
    pub parked: u64,
    /// The undelivered units of parked totals.
    pub parked_units: i64,
    /// The number of held reservations.
    pub reservations: u64,
}

/// Selects entries. A field that is `None` matches everything.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The org.
    pub org: Option<Org>,
    /// The feature.
    pub feature: Option<Feature>,
    /// Usage that happened at or after this time.
    pub from: Option<Time>,
    /// Usage that happened before this time.
    pub to: Option<Time>,
}

/// A record of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exported {
    /// A total. Totals come first.
    Total(Total),
    /// The compacted entries of one day.
    Day {
        /// The total that they changed.
        total: TotalId,
        /// The day's first instant.
        day: Time,
        /// The change.
        n: i64,
    },
    /// An entry.
    Entry(Entry),
    /// A reservation.
    Reservation(Reservation),
}

impl Reader {
    /// The account that the ledger belongs to.
    pub fn account(&self) -> Result<String, StoreError> {
        let sql = "SELECT account FROM ledger";
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }

    /// The summary of the ledger's contents.
    pub fn status(&self) -> Result<Status, StoreError> {
        let _moment = self.connection.unchecked_transaction()?;
        let account = self.account()?;
        let oldest = format!("{UNDELIVERED} ORDER BY changed LIMIT 1");
        let oldest_undelivered = self.totals_where(&oldest)?.pop();
        let sql = format!(
            "SELECT (SELECT count(*) FROM entries), (SELECT count(*) FROM totals), \
             (SELECT count(*) FROM totals WHERE {UNDELIVERED}), \
             (SELECT count(*) FROM totals WHERE parked_since IS NOT NULL), \
             (SELECT coalesce(sum(n - told), 0) FROM totals WHERE parked_since IS NOT NULL), \
             (SELECT count(*) FROM reservations WHERE state = 'held')"
        );
        let status = self.connection.query_row(&sql, [], |row| {
            let count = |column| -> rusqlite::Result<u64> {
                let count: i64 = row.get(column)?;
                Ok(count.try_into().unwrap_or(0))
            };
            Ok(Status {
                account,
                entries: count(0)?,
                totals: count(1)?,
                undelivered: count(2)?,
                oldest_undelivered,
                parked: count(3)?,
                parked_units: row.get(4)?,
                reservations: count(5)?,
            })
        })?;
        Ok(status)
    }

    /// The snapshot of an org.
    pub fn snapshot(&self, org: &Org) -> Result<Option<Snapshot>, StoreError> {
        let sql = "SELECT read_at, snapshot FROM snapshots WHERE org = ?1";
        let found = self.connection.query_row(sql, [org.as_str()], |row| {
            Ok(Snapshot {
                org: org.clone(),
                read_at: Time::from_millis(row.get(0)?),
                text: row.get(1)?,
            })
        });
        Ok(found.optional()?)
    }

    /// All totals, in the order in which they were opened.
    pub fn totals(&self) -> Result<Vec<Total>, StoreError> {
        self.totals_where("true")
    }

    /// The totals that Stripe refused permanently, longest waiting first.
    pub fn parked(&self) -> Result<Vec<Total>, StoreError> {
        self.totals_where("parked_since IS NOT NULL ORDER BY parked_since, id")
    }

    /// The unsettled totals that are at least partly delivered, by item.
    pub fn told(&self) -> Result<Vec<Total>, StoreError> {
        self.totals_where("settled IS NULL AND set_number > 0 ORDER BY item, period_start")
    }

    /// At most `most` delivered, unsettled totals whose periods ended before `before`, oldest first.
    pub fn unsettled(&self, before: Time, most: usize) -> Result<Vec<Total>, StoreError> {
        let before = before.millis();
        self.totals_where(&format!(
            "settled IS NULL AND parked_since IS NULL AND open_n IS NULL AND n = told AND unsure = 0 \
             AND period_end < {before} ORDER BY period_end, id LIMIT {most}"
        ))
    }

    /// The settled totals whose billed quantity differs from the ledger's.
    pub fn settled_differently(&self) -> Result<Vec<Total>, StoreError> {
        let mut totals = self.totals_where("settled IS NOT NULL ORDER BY id")?;
        totals.retain(|total| {
            total
                .settled
                .is_some_and(|billed| billed != total.billable())
        });
        Ok(totals)
    }

    fn totals_where(&self, condition: &str) -> Result<Vec<Total>, StoreError> {
        let columns = rows::TOTAL;
        let sql = format!("SELECT {columns}, digest FROM totals WHERE {condition}");
        records(&mut self.connection.prepare(&sql)?, [])
    }

    /// The newest entries that match `filter`, at most `most`, newest first, each with its total.
    pub fn entries(&self, filter: &Filter, most: usize) -> Result<Vec<(Entry, Total)>, StoreError> {
        let (conditions, mut values) = filter.conditions();
        values.push(Value::Integer(most.try_into().unwrap_or(i64::MAX)));
        let entry = qualified("entries", rows::ENTRY);
        let total = qualified("totals", rows::TOTAL);
        let sql = format!(
            "SELECT {entry}, {total} FROM entries JOIN totals ON totals.id = entries.total \
             WHERE {conditions} ORDER BY entries.id DESC LIMIT ?"
        );
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let (split, end) = (columns(rows::ENTRY), row.as_ref().column_count());
            found.push((from_columns(row, 0..split)?, from_columns(row, split..end)?));
        }
        Ok(found)
    }

    /// Calls `each` with every record of one consistent snapshot. Stops at its first error.
    pub fn export<E: From<StoreError>>(
        &self,
        mut each: impl FnMut(Exported) -> Result<(), E>,
    ) -> Result<(), E> {
        let _moment = self
            .connection
            .unchecked_transaction()
            .map_err(StoreError::from)?;
        let select = |table: &str, columns: &str| {
            format!("SELECT {columns}, digest FROM {table} ORDER BY id")
        };
        self.each_row(&select("totals", rows::TOTAL), |row| {
            each(Exported::Total(from_row(row)?))
        })?;
        let days = "SELECT total, day, n FROM daily_totals ORDER BY total, day";
        self.each_row(days, |row| each(day(row).map_err(StoreError::from)?))?;
        self.each_row(&select("entries", rows::ENTRY), |row| {
            each(Exported::Entry(from_row(row)?))
        })?;
        self.each_row(&select("reservations", rows::RESERVATION), |row| {
            each(Exported::Reservation(from_row(row)?))
        })
    }

    fn each_row<E: From<StoreError>>(
        &self,
        select: &str,
        mut each: impl FnMut(&Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut statement = self.connection.prepare(select).map_err(StoreError::from)?;
        let mut rows = statement.query([]).map_err(StoreError::from)?;
        while let Some(row) = rows.next().map_err(StoreError::from)? {
            each(row)?;
        }
        Ok(())
    }
}

impl Filter {
    /// The SQL conditions, and their parameters.
    fn conditions(&self) -> (String, Vec<Value>) {
        let text = |text: &str| Value::Text(text.to_owned());
        let time = |time: Time| Value::Integer(time.millis());
        let org = self.org.as_ref().map(|org| text(org.as_str()));
        let feature = self.feature.as_ref().map(|one| text(one.as_str()));
        let conditions = [
            ("org = ?", org),
            ("feature = ?", feature),
            ("at >= ?", self.from.map(time)),
            ("at < ?", self.to.map(time)),
        ];
        let wanted = conditions
            .into_iter()
            .filter_map(|(sql, value)| Some((sql, value?)));
        let (mut sql, values): (Vec<&str>, Vec<Value>) = wanted.unzip();
        sql.push("true");
        (sql.join(" AND "), values)
    }
}

fn day(row: &Row<'_>) -> rusqlite::Result<Exported> {
    let total: i64 = row.get(0)?;
    Ok(Exported::Day {
        total: TotalId(total.try_into().unwrap_or(0)),
        day: Time::from_millis(row.get(1)?),
        n: row.get(2)?,
    })
}

/// The columns of a table and its digest, prefixed with the table's name.
fn qualified(table: &str, columns: &str) -> String {
    let columns = columns.split(',').map(str::trim).chain(["digest"]);
    let columns: Vec<String> = columns.map(|column| format!("{table}.{column}")).collect();
    columns.join(", ")
}

/// The number of the columns, including the digest.
fn columns(columns: &str) -> usize {
    columns.split(',').count() + 1
}

/// The condition for undelivered totals.
const UNDELIVERED: &str = "parked_since IS NULL AND settled IS NULL \
     AND (open_n IS NOT NULL OR unsure <> 0 OR n <> told)";

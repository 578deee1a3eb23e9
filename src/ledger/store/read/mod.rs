//! Reads a ledger while other processes may write it. The queries are the same for every store.

#[cfg(test)]
mod tests;
mod totals;
mod usage;
mod verify;

use std::fmt::Write as _;
use std::ops::ControlFlow;

use rusqlite::types::Value;

pub use usage::{Span, Usage};
pub use verify::Problem;

use super::super::state::{Entry, Reservation, Total, TotalId};
use super::super::values::{Feature, Org, Time};
use super::columns::{BadColumn, Columns, from_values, int, text, time};
use super::{Snapshot, StoreError, rows};

/// A connection that reads a ledger. It must be used on a thread that may block.
#[derive(Debug)]
pub struct Reader(Box<dyn Queries>);

/// How a reader runs its queries.
pub(super) trait Queries: std::fmt::Debug + Send {
    /// Calls `each` with every row, until it breaks. The parameters of `sql` are `$1`, `$2` and so on, numbered in the
    /// order in which they first appear. `each` must not run another query.
    fn query(
        &self,
        sql: &str,
        parameters: &[Value],
        each: &mut dyn FnMut(Vec<Value>) -> ControlFlow<()>,
    ) -> Result<(), StoreError>;

    /// Begins a transaction: until [`end`](Self::end), all queries see the ledger as it is now.
    fn begin(&self, length: Length) -> Result<(), StoreError>;

    /// Ends the transaction that [`begin`](Self::begin) has begun.
    fn end(&self) -> Result<(), StoreError>;

    /// Calls `each` with every fault of the database itself.
    fn check(&self, each: &mut dyn FnMut(String)) -> Result<(), StoreError>;
}

/// How long the queries of a transaction may take together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// A few seconds, since a server waits for them.
    Short,
    /// As long as it takes to read all of the ledger.
    Full,
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
    Total(Box<Total>),
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
    pub(super) fn new(queries: impl Queries + 'static) -> Self {
        Self(Box::new(queries))
    }

    /// The account that the ledger belongs to.
    pub fn account(&self) -> Result<String, StoreError> {
        let mut accounts = self.rows("SELECT account FROM ledger", &[], Columns::text)?;
        accounts.pop().ok_or_else(damaged)
    }

    /// The summary of the ledger's contents.
    pub fn status(&self) -> Result<Status, StoreError> {
        self.in_snapshot(Length::Short, || {
            let account = self.account()?;
            let oldest = format!("{UNDELIVERED} ORDER BY changed LIMIT 1");
            let oldest_undelivered = self.totals_where(&oldest, &[])?.pop();
            let counts = format!(
                "SELECT (SELECT count(*) FROM entries), (SELECT count(*) FROM totals), \
                 (SELECT count(*) FROM totals WHERE {UNDELIVERED}), \
                 (SELECT count(*) FROM totals WHERE parked_since IS NOT NULL), \
                 (SELECT CAST(coalesce(sum(n - told), 0) AS BIGINT) FROM totals \
                  WHERE parked_since IS NOT NULL), \
                 (SELECT count(*) FROM reservations WHERE state = 'held')"
            );
            let mut all = self.rows(&counts, &[], |row| {
                Ok(Status {
                    account: account.clone(),
                    entries: row.number()?,
                    totals: row.number()?,
                    undelivered: row.number()?,
                    oldest_undelivered: oldest_undelivered.clone(),
                    parked: row.number()?,
                    parked_units: row.int()?,
                    reservations: row.number()?,
                })
            })?;
            all.pop().ok_or_else(damaged)
        })
    }

    /// The snapshot of an org.
    pub fn snapshot(&self, org: &Org) -> Result<Option<Snapshot>, StoreError> {
        let sql = "SELECT read_at, snapshot FROM snapshots WHERE org = $1";
        let mut found = self.rows(sql, &[text(org.as_str())], |row| {
            Ok(Snapshot {
                org: org.clone(),
                read_at: row.time()?,
                text: row.text()?,
            })
        })?;
        Ok(found.pop())
    }

    /// Calls `each` with the snapshots of all orgs. Stops at its first error.
    pub fn snapshots<E: From<StoreError>>(
        &self,
        mut each: impl FnMut(Snapshot) -> Result<(), E>,
    ) -> Result<(), E> {
        let sql = "SELECT org, read_at, snapshot FROM snapshots ORDER BY org";
        self.each(sql, &[], |row| {
            let mut columns = Columns::of(row);
            let mut decode = || {
                Ok::<_, BadColumn>(Snapshot {
                    org: columns.text()?.as_str().into(),
                    read_at: columns.time()?,
                    text: columns.text()?,
                })
            };
            each(decode().map_err(|_| damaged())?)
        })
    }

    /// The newest entries that match `filter`, at most `max`, newest first, each with its total.
    pub fn entries(&self, filter: &Filter, max: usize) -> Result<Vec<(Entry, Total)>, StoreError> {
        let (conditions, mut values) = filter.conditions();
        values.push(int(max.try_into().unwrap_or(i64::MAX)));
        let entry = qualified("entries", rows::ENTRY);
        let total = qualified("totals", rows::TOTAL);
        let sql = format!(
            "SELECT {entry}, {total} FROM entries JOIN totals ON totals.id = entries.total \
             WHERE {conditions} ORDER BY entries.id DESC LIMIT ${}",
            values.len()
        );
        let entry_columns = rows::ENTRY.split(',').count() + 1;
        let mut found = Vec::new();
        self.each(&sql, &values, |mut entry| -> Result<(), StoreError> {
            let total = entry.split_off(entry_columns);
            found.push((from_values(entry)?, from_values(total)?));
            Ok(())
        })?;
        Ok(found)
    }

    /// Calls `each` with every record of one consistent snapshot. Stops at its first error.
    pub fn export<E: From<StoreError>>(
        &self,
        mut each: impl FnMut(Exported) -> Result<(), E>,
    ) -> Result<(), E> {
        let select = |table: &str, columns: &str| {
            format!("SELECT {columns}, digest FROM {table} ORDER BY id")
        };
        self.in_snapshot(Length::Full, || {
            self.each(&select("totals", rows::TOTAL), &[], |row| {
                each(Exported::Total(Box::new(from_values(row)?)))
            })?;
            let days = "SELECT total, day, n FROM daily_totals ORDER BY total, day";
            self.each(days, &[], |row| each(day(row)?))?;
            self.each(&select("entries", rows::ENTRY), &[], |row| {
                each(Exported::Entry(from_values(row)?))
            })?;
            self.each(&select("reservations", rows::RESERVATION), &[], |row| {
                each(Exported::Reservation(from_values(row)?))
            })
        })
    }

    /// Runs `read` in one transaction, so that all its queries see the ledger as it is now.
    fn in_snapshot<T, E: From<StoreError>>(
        &self,
        length: Length,
        read: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.0.begin(length)?;
        let result = read();
        let ended = self.0.end();
        let result = result?;
        ended?;
        Ok(result)
    }

    /// Calls `each` with every row. Stops at its first error.
    fn each<E: From<StoreError>>(
        &self,
        sql: &str,
        parameters: &[Value],
        mut each: impl FnMut(Vec<Value>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut outcome = Ok(());
        self.0.query(sql, parameters, &mut |row| {
            outcome = each(row);
            if outcome.is_ok() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        outcome
    }

    /// Decodes rows that have no digest.
    fn rows<T>(
        &self,
        sql: &str,
        parameters: &[Value],
        decode: impl Fn(&mut Columns) -> Result<T, BadColumn>,
    ) -> Result<Vec<T>, StoreError> {
        let mut all = Vec::new();
        self.each(sql, parameters, |row| {
            all.push(decode(&mut Columns::of(row)).map_err(|_| damaged())?);
            Ok::<_, StoreError>(())
        })?;
        Ok(all)
    }
}

impl Filter {
    /// The SQL conditions, and their parameters.
    fn conditions(&self) -> (String, Vec<Value>) {
        let conditions = [
            ("org =", self.org.as_ref().map(|org| text(org.as_str()))),
            (
                "feature =",
                self.feature.as_ref().map(|name| text(name.as_str())),
            ),
            ("at >=", self.from.map(time)),
            ("at <", self.to.map(time)),
        ];
        let mut sql = String::new();
        let mut values = Vec::new();
        for (condition, value) in conditions {
            let Some(value) = value else { continue };
            values.push(value);
            write!(sql, "{condition} ${} AND ", values.len()).expect("text has room");
        }
        (sql + "true", values)
    }
}

fn day(row: Vec<Value>) -> Result<Exported, StoreError> {
    let mut columns = Columns::of(row);
    let mut decode = || {
        Ok::<_, BadColumn>(Exported::Day {
            total: TotalId(columns.number()?),
            day: columns.time()?,
            n: columns.int()?,
        })
    };
    decode().map_err(|_| damaged())
}

/// The columns of a table and its digest, prefixed with the table's name.
fn qualified(table: &str, columns: &str) -> String {
    let columns = columns.split(',').map(str::trim).chain(["digest"]);
    let columns: Vec<String> = columns.map(|column| format!("{table}.{column}")).collect();
    columns.join(", ")
}

fn damaged() -> StoreError {
    StoreError::Damaged("a row is not as it was written".to_owned())
}

/// The condition for undelivered totals.
const UNDELIVERED: &str = "parked_since IS NULL AND settled IS NULL \
     AND (open_n IS NOT NULL OR unsure <> 0 OR n <> told)";

//! A ledger in a SQLite file.
//!
//! WAL with `synchronous=FULL`: a commit is one write and one `fsync`. A lock file beside the database ensures that one
//! process writes. Any number of processes may [read] at the same time.

mod migrate;
mod moving_file;
mod open;
mod queries;
#[cfg(test)]
mod tests;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, Statement, Transaction, params, params_from_iter};

pub use moving_file::{Move, MovingFile};
pub use open::{Unclaimed, read};

use super::super::state::{Batch, Entry, Recalled, Reservation, Stored};
use super::super::values::Time;
use super::columns::{Record, from_values, to_row};
use super::{Names, Snapshot, Store, StoreError, known, rows};

/// A ledger file that is open for writing.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
    /// Detects that the file was deleted or replaced.
    opened: open::OpenedFile,
    /// Held while the ledger is open.
    _lock: open::Lock,
}

impl Store for Sqlite {
    fn load(&mut self) -> Result<Stored, StoreError> {
        let last = |table: &str| -> Result<u64, StoreError> {
            let sql = format!("SELECT coalesce(max(id), 0) FROM {table}");
            let last: i64 = self.connection.query_row(&sql, [], |row| row.get(0))?;
            Ok(last.try_into().unwrap_or(0))
        };
        // The two newest totals of each feature of each org are needed, settled or not.
        let totals = format!(
            "SELECT {columns}, digest FROM (SELECT *, row_number() OVER \
             (PARTITION BY org, feature ORDER BY period_start DESC, id DESC) AS age FROM totals) \
             WHERE settled IS NULL OR age <= 2",
            columns = rows::TOTAL
        );
        let held = format!(
            "SELECT {}, digest FROM reservations WHERE state = 'held'",
            rows::RESERVATION
        );
        Ok(Stored {
            totals: records(&mut self.connection.prepare(&totals)?, [])?,
            reservations: records(&mut self.connection.prepare(&held)?, [])?,
            last_total: last("totals")?,
            last_entry: last("entries")?,
        })
    }

    fn recall(&mut self, names: &Names) -> Result<Recalled, StoreError> {
        let mut recalled = Recalled::default();
        if !names.keys.is_empty() {
            let sql = format!(
                "SELECT {}, digest FROM entries WHERE key = ?1 AND key_org = ?2",
                rows::ENTRY
            );
            let mut statement = self.connection.prepare_cached(&sql)?;
            for (org, key) in &names.keys {
                let found: Vec<Entry> = records(&mut statement, params![key, org.as_str()])?;
                recalled.keys.extend(found.into_iter().filter_map(known));
            }
        }
        if !names.reservations.is_empty() {
            let sql = format!(
                "SELECT {}, digest FROM reservations WHERE id = ?1",
                rows::RESERVATION
            );
            let mut statement = self.connection.prepare_cached(&sql)?;
            for id in &names.reservations {
                let found: Vec<Reservation> = records(&mut statement, [id.as_str()])?;
                recalled.reservations.extend(found);
            }
        }
        Ok(recalled)
    }

    fn append(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        self.opened.check()?;
        let transaction = self.connection.transaction()?;
        let totals = upsert("totals", rows::TOTAL);
        write(&transaction, &totals, batch.totals.iter().copied())?;
        let entries = insert("entries", rows::ENTRY);
        write(&transaction, &entries, batch.entries)?;
        let reservations = upsert("reservations", rows::RESERVATION);
        write(
            &transaction,
            &reservations,
            batch.reservations.iter().copied(),
        )?;
        Ok(transaction.commit()?)
    }

    fn keep(&mut self, snapshots: &[Snapshot]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        {
            let sql = "INSERT INTO snapshots (org, read_at, snapshot) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (org) DO UPDATE SET read_at = excluded.read_at, snapshot = excluded.snapshot";
            let mut statement = transaction.prepare_cached(sql)?;
            for one in snapshots {
                statement.execute(params![one.org.as_str(), one.read_at.millis(), one.text])?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn compact(&mut self, before: Time, max: usize) -> Result<usize, StoreError> {
        let transaction = self.connection.transaction()?;
        let ids: Vec<i64> = {
            let mut statement = transaction.prepare_cached(
                "SELECT id FROM totals WHERE settled IS NOT NULL AND period_end < ?1 \
                 AND EXISTS (SELECT 1 FROM entries WHERE total = totals.id) ORDER BY id LIMIT ?2",
            )?;
            let max = i64::try_from(max).unwrap_or(i64::MAX);
            let ids = statement.query_map(params![before.millis(), max], |row| row.get(0))?;
            ids.collect::<Result<_, _>>()?
        };
        for id in &ids {
            transaction.execute(
                "INSERT INTO daily_totals (total, day, n) SELECT ?1, day, sum(change) FROM \
                 (SELECT at - (at % 86400000 + 86400000) % 86400000 AS day, \
                  after_n - lag(after_n, 1, 0) OVER (ORDER BY id) AS change \
                  FROM entries WHERE total = ?1) GROUP BY day",
                [id],
            )?;
            transaction.execute("DELETE FROM entries WHERE total = ?1", [id])?;
        }
        transaction.execute(
            "DELETE FROM reservations WHERE state <> 'held' AND expires < ?1",
            [before.millis()],
        )?;
        transaction.commit()?;
        Ok(ids.len())
    }
}

/// Decodes a row, after checking the digest in its last column.
fn from_row<R: Record>(row: &Row<'_>) -> Result<R, StoreError> {
    from_values(values(row)?)
}

fn values(row: &Row<'_>) -> rusqlite::Result<Vec<Value>> {
    let columns = 0..row.as_ref().column_count();
    columns.map(|at| row.get(at)).collect()
}

/// Decodes the rows of a query.
fn records<R: Record>(
    statement: &mut Statement<'_>,
    parameters: impl rusqlite::Params,
) -> Result<Vec<R>, StoreError> {
    let mut rows = statement.query(parameters)?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(from_row(row)?);
    }
    Ok(records)
}

fn write<'a, R: Record + 'a>(
    transaction: &Transaction<'_>,
    sql: &str,
    records: impl IntoIterator<Item = &'a R>,
) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached(sql)?;
    for record in records {
        statement.execute(params_from_iter(to_row(record)))?;
    }
    Ok(())
}

fn insert(table: &str, columns: &str) -> String {
    let count = columns.split(',').count() + 1;
    let placeholders = vec!["?"; count].join(", ");
    format!("INSERT INTO {table} ({columns}, digest) VALUES ({placeholders})")
}

fn upsert(table: &str, columns: &str) -> String {
    let names = columns.split(',').map(str::trim).skip(1).chain(["digest"]);
    let changes: Vec<String> = names
        .map(|name| format!("{name} = excluded.{name}"))
        .collect();
    let changes = changes.join(", ");
    let insert = insert(table, columns);
    format!("{insert} ON CONFLICT (id) DO UPDATE SET {changes}")
}

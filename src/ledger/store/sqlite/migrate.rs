//! Migrations of the file, from each version to the next.

use rusqlite::types::Value;
use rusqlite::{Connection, Transaction, params};

use super::super::columns::{digest, is_sound};
use super::StoreError;

/// Each one migrates the version before it to the next. Released migrations are never changed, and never undone.
const MIGRATIONS: [Migration; 6] = [
    Migration::of(include_str!("migrations/0001.sql")),
    Migration::of(include_str!("migrations/0002.sql")),
    Migration::of(include_str!("migrations/0003.sql")),
    Migration {
        sql: include_str!("migrations/0004.sql"),
        digested: &[
            Digested {
                table: "totals",
                before: "id, org, feature, item, aggregate, period_start, period_end, item_start, item_end, n, level_at, \
                    others, adopted, detached, set_timestamp, moved, set_number, open_n, open_timestamp, open_since, told, \
                    unsure, check_summary, changed, sent, parked_reason, parked_since, settled",
                after: "id, org, feature, item, aggregate, period_start, period_end, item_start, item_end, n, level_at, \
                    others, adopted, set_timestamp, moved, set_number, open_n, open_timestamp, open_since, told, unsure, \
                    check_summary, changed, sent, parked_reason, parked_since, settled",
            },
            Digested {
                table: "reservations",
                before: "id, org, feature, n, made, expires, state, committed",
                after: "id, org, feature, n, made, expires, on_test_clock, state, committed",
            },
        ],
    },
    Migration::of(include_str!("migrations/0005.sql")),
    Migration::of(include_str!("migrations/0006.sql")),
];

/// The latest version.
pub(super) const LATEST: usize = MIGRATIONS.len();

struct Migration {
    sql: &'static str,
    /// The tables with digests whose columns it changes.
    digested: &'static [Digested],
}

/// The columns that the digests of a table's rows cover, before and after a migration.
struct Digested {
    table: &'static str,
    before: &'static str,
    after: &'static str,
}

impl Migration {
    const fn of(sql: &'static str) -> Self {
        Self { sql, digested: &[] }
    }

    fn run(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        let sound: Result<Vec<Vec<i64>>, StoreError> = self
            .digested
            .iter()
            .map(|table| table.sound_rows(transaction))
            .collect();
        let sound = sound?;
        transaction.execute_batch(self.sql)?;
        for (table, rows) in self.digested.iter().zip(sound) {
            table.renew(transaction, &rows)?;
        }
        Ok(())
    }
}

impl Digested {
    /// The ids of the undamaged rows. A damaged row keeps its wrong digest, so that the damage is still noticed.
    fn sound_rows(&self, transaction: &Transaction<'_>) -> Result<Vec<i64>, StoreError> {
        let Self { table, before, .. } = self;
        let sql = format!("SELECT rowid, {before}, digest FROM {table}");
        let mut statement = transaction.prepare(&sql)?;
        let last = statement.column_count();
        let mut rows = statement.query([])?;
        let mut sound = Vec::new();
        while let Some(row) = rows.next()? {
            let values: Result<Vec<Value>, _> = (1..last).map(|at| row.get(at)).collect();
            if is_sound(&values?) {
                sound.push(row.get(0)?);
            }
        }
        Ok(sound)
    }

    fn renew(&self, transaction: &Transaction<'_>, rows: &[i64]) -> Result<(), StoreError> {
        let Self { table, after, .. } = self;
        let select = format!("SELECT {after} FROM {table} WHERE rowid = ?1");
        let mut select = transaction.prepare(&select)?;
        let update = format!("UPDATE {table} SET digest = ?2 WHERE rowid = ?1");
        let mut update = transaction.prepare(&update)?;
        let columns = select.column_count();
        for id in rows {
            let values: Vec<Value> =
                select.query_row([id], |row| (0..columns).map(|at| row.get(at)).collect())?;
            update.execute(params![id, digest(&values)])?;
        }
        Ok(())
    }
}

/// The version of a file; 0 for an empty one.
pub(super) fn version(connection: &Connection) -> Result<usize, StoreError> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(version.try_into().unwrap_or(0))
}

/// Migrates the file to the latest version, and marks it as a ledger with the id `application`.
pub(super) fn migrate(connection: &mut Connection, application: i32) -> Result<(), StoreError> {
    migrate_to(LATEST, connection, application)
}

fn migrate_to(
    latest: usize,
    connection: &mut Connection,
    application: i32,
) -> Result<(), StoreError> {
    let found = version(connection)?;
    if found == latest {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for migration in &MIGRATIONS[found..latest] {
        migration.run(&transaction)?;
    }
    transaction.pragma_update(None, "application_id", application)?;
    let version = i64::try_from(latest).unwrap_or(i64::MAX);
    transaction.pragma_update(None, "user_version", version)?;
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::super::{Sqlite, read};
    use super::*;
    use crate::ledger::store::Store as _;

    fn ints<const N: usize>(values: [i64; N]) -> impl Iterator<Item = Value> {
        values.into_iter().map(Value::Integer)
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    /// Writes a row as it was before the migration, with the digest of its values.
    fn insert(connection: &Connection, digested: &Digested, mut values: Vec<Value>) {
        values.push(Value::Integer(digest(&values)));
        let placeholders = vec!["?"; values.len()].join(", ");
        let Digested { table, before, .. } = digested;
        let sql = format!("INSERT INTO {table} ({before}, digest) VALUES ({placeholders})");
        let inserted = connection.execute(&sql, rusqlite::params_from_iter(values));
        inserted.expect("a row");
    }

    fn total(id: i64) -> Vec<Value> {
        let item = text(&format!("si_{id}"));
        let names = [text("org:a"), text("feature:f"), item, text("sum")];
        let times = ints([0, 1_000, 0]).chain([Value::Null]);
        let figures = ints([7])
            .chain([Value::Null])
            .chain(ints([0, 1]))
            .chain([Value::Null, Value::Null]);
        let set = ints([0, 0]).chain([Value::Null, Value::Null, Value::Null]);
        let told = ints([0, 0, 0]).chain(vec![Value::Null; 5]);
        let all = ints([id])
            .chain(names)
            .chain(times)
            .chain(figures)
            .chain(set);
        all.chain(told).collect()
    }

    #[test]
    fn a_migration_keeps_sound_rows_sound_and_damaged_rows_damaged() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tier.db");
        let mut connection = Connection::open(&path).expect("a file");
        migrate_to(3, &mut connection, super::super::open::APPLICATION_ID).expect("migrations");
        let [totals, reservations] = MIGRATIONS[3].digested else {
            panic!("two tables");
        };
        insert(&connection, totals, total(1));
        insert(&connection, totals, total(2));
        let damage = "UPDATE totals SET n = 8 WHERE id = 2";
        connection.execute(damage, []).expect("a row");
        let names = ["rsv_1", "org:a", "feature:f"].map(text);
        let held = ints([5, 0, 900]).chain([text("held"), Value::Null]);
        insert(
            &connection,
            reservations,
            names.into_iter().chain(held).collect(),
        );
        drop(connection);

        let older = read(&path).expect_err("nobody has migrated it");
        assert!(
            matches!(older, StoreError::Older { found: 3, .. }),
            "{older}"
        );
        let mut store = Sqlite::open(&path, "acct_1:test").expect("a ledger");
        let damaged = store.load().expect_err("a damaged row");
        assert!(matches!(damaged, StoreError::Damaged(_)), "{damaged}");
        drop(store);
        let connection = Connection::open(&path).expect("a file");
        connection
            .execute("DELETE FROM totals WHERE id = 2", [])
            .expect("a row");
        drop(connection);
        let mut store = Sqlite::open(&path, "acct_1:test").expect("a ledger");
        let stored = store.load().expect("sound rows");
        assert_eq!((stored.totals.len(), stored.totals[0].n), (1, 7));
        assert_eq!(stored.reservations.len(), 1);
        assert!(!stored.reservations[0].on_test_clock);
    }
}

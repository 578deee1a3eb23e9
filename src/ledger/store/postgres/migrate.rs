//! Migrations of the tables, from each version to the next.

use tokio_postgres::Client;

use super::super::StoreError;
use super::failure::Failure;

/// Each one migrates the version before it to the next. Released migrations are never changed, and never undone.
const MIGRATIONS: [&str; 6] = [
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
];

/// The latest version.
pub(super) const LATEST: usize = MIGRATIONS.len();

/// Lets only one process migrate at a time. The number is arbitrary; no other program may use it in this database.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7449364567142)";

/// The version of the ledger in a database; 0 if there is none.
pub(super) async fn version(client: &Client) -> Result<usize, Failure> {
    // to_regclass may answer from a cache that lacks a table another process has just created.
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class \
         WHERE relname = 'ledger_version' AND pg_catalog.pg_table_is_visible(oid))";
    let found = client.query_typed(sql, &[]).await?;
    let exists = found.first().is_some_and(|row| row.get(0));
    if !exists {
        return Ok(0);
    }
    let found = client
        .query_typed("SELECT version FROM ledger_version", &[])
        .await?;
    let version: i64 = match found.first() {
        Some(row) => row.try_get(0)?,
        None => 0,
    };
    Ok(version.try_into().unwrap_or(0))
}

/// Migrates the ledger to the latest version.
pub(super) async fn migrate(client: &Client) -> Result<(), Failure> {
    if version(client).await? == LATEST {
        return Ok(());
    }
    client.batch_execute(&format!("BEGIN; {LOCK}")).await?;
    let found = version(client).await?;
    if found > LATEST {
        client.batch_execute("ROLLBACK").await?;
        return Err(Failure::Store(StoreError::Newer {
            found,
            known: LATEST,
        }));
    }
    let all = MIGRATIONS[found..].concat();
    let table = "CREATE TABLE IF NOT EXISTS ledger_version (version BIGINT NOT NULL)";
    client
        .batch_execute(&format!(
            "{table}; {all}; DELETE FROM ledger_version; \
             INSERT INTO ledger_version VALUES ({LATEST}); COMMIT"
        ))
        .await?;
    Ok(())
}

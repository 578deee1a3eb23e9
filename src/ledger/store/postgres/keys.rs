//! The API keys that are known to belong to the ledger's account.

use tokio::task::JoinSet;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::super::StoreError;
use super::connect::Database;
use super::failure::Failure;
use super::migrate::migrate;
use super::session::{TIMEOUT, within};
use super::table::Parameter;

/// The account of the ledger in a database, if the API key with this digest is known to belong to it. Creates the
/// tables if there are none.
pub async fn account_of_key(
    database: &Database,
    digest: &str,
) -> Result<Option<String>, StoreError> {
    let mut tasks = JoinSet::new();
    let client = database.connect(&mut tasks).await?;
    let found = within(TIMEOUT, async {
        migrate(&client).await?;
        let sql = "SELECT account FROM ledger, account_keys WHERE digest = $1";
        let digest: [Parameter<'_>; 1] = [(&digest, Type::TEXT)];
        let found = client.query_typed(sql, &digest).await?;
        let account = found.first().map(|row| row.try_get(0));
        Ok::<_, Failure>(account.transpose()?)
    });
    Ok(found.await?)
}

/// Stores that the API key with this digest belongs to the ledger's account.
pub(super) async fn remember_key(client: &Client, digest: &str) -> Result<(), Failure> {
    let sql = "INSERT INTO account_keys (digest) VALUES ($1) ON CONFLICT DO NOTHING";
    let digest: [Parameter<'_>; 1] = [(&digest, Type::TEXT)];
    client.execute_typed(sql, &digest).await?;
    Ok(())
}

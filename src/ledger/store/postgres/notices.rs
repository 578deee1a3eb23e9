//! What processes tell each other.

use std::collections::HashMap;

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::super::super::transactor::Notice;
use super::failure::Failure;
use super::table::Parameter;

/// The notices that a process has read or told, which it may read again.
#[derive(Debug, Default)]
pub(super) struct Seen(HashMap<String, i64>);

impl Seen {
    /// Notes a notice, and when it was told. Returns whether it is new.
    fn is_new(&mut self, id: &str, told_at: i64) -> bool {
        self.0.insert(id.to_owned(), told_at).is_none()
    }

    /// Forgets the notices that were told before `since`.
    pub(super) fn forget_before(&mut self, since: i64) {
        self.0.retain(|_, told_at| *told_at >= since);
    }

    /// The notices told after `since` by other processes that were not read before.
    pub(super) async fn read(
        &mut self,
        client: &Client,
        since: i64,
    ) -> Result<Vec<Notice>, Failure> {
        let sql = "SELECT id, notice, told_at FROM notices WHERE told_at >= $1 ORDER BY told_at";
        let since: [Parameter<'_>; 1] = [(&since, Type::INT8)];
        let mut new = Vec::new();
        for row in client.query_typed(sql, &since).await? {
            let (id, told_at): (String, i64) = (row.try_get(0)?, row.try_get(2)?);
            if self.is_new(&id, told_at) {
                let text = row.try_get(1)?;
                new.push(Notice { id, text });
            }
        }
        Ok(new)
    }

    /// Tells the other processes.
    pub(super) async fn tell(&mut self, client: &Client, notice: &Notice) -> Result<(), Failure> {
        // Whoever has told it before has told all.
        let sql = "INSERT INTO notices (id, notice, told_at) VALUES ($1, $2, ledger_now()) \
             ON CONFLICT (id) DO UPDATE SET id = excluded.id RETURNING told_at";
        let row: [Parameter<'_>; 2] = [(&notice.id, Type::TEXT), (&notice.text, Type::TEXT)];
        let told = client.query_typed(sql, &row).await?;
        if let Some(row) = told.first() {
            self.is_new(&notice.id, row.try_get(0)?);
        }
        Ok(())
    }
}

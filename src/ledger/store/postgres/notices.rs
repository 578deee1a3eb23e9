//! Notices: messages that processes send each other through the database, such as events of Stripe.

use std::collections::HashMap;

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::super::super::transactor::Notice;
use super::failure::Failure;
use super::table::Parameter;

/// The ids of notices that a process has read or sent lately, with their times.
#[derive(Debug, Default)]
pub(super) struct SeenNotices(HashMap<String, i64>);

impl SeenNotices {
    /// Adds a notice that was sent at `told_at`. Returns whether it is new.
    fn is_new(&mut self, id: &str, told_at: i64) -> bool {
        self.0.insert(id.to_owned(), told_at).is_none()
    }

    /// Forgets the notices that were sent before `since`.
    pub(super) fn forget_before(&mut self, since: i64) {
        self.0.retain(|_, told_at| *told_at >= since);
    }

    /// The notices that other processes have sent since `since` and that were not read before.
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

    /// Sends a notice to the other processes.
    pub(super) async fn send(&mut self, client: &Client, notice: &Notice) -> Result<(), Failure> {
        // A notice that another process has sent already keeps its time.
        let sql = "INSERT INTO notices (id, notice, told_at) VALUES ($1, $2, ledger_now()) \
             ON CONFLICT (id) DO UPDATE SET id = excluded.id RETURNING told_at";
        let row: [Parameter<'_>; 2] = [(&notice.id, Type::TEXT), (&notice.text, Type::TEXT)];
        let sent = client.query_typed(sql, &row).await?;
        if let Some(row) = sent.first() {
            self.is_new(&notice.id, row.try_get(0)?);
        }
        Ok(())
    }
}

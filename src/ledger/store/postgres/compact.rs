//! Compaction: replaces old entries by daily totals, and deletes other rows that are no longer needed.

use futures::future::{try_join, try_join5};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::super::super::values::{HOUR, Time};
use super::failure::Failure;
use super::table::Parameter;
use super::transaction::{BEGIN, COMMIT};

/// How long leases, notices and the last transactions of processes are kept after their end, in milliseconds.
const KEPT_FOR: i64 = 24 * HOUR;

/// Skips totals that another process is compacting.
const OLD: &str = "SELECT id FROM totals WHERE settled IS NOT NULL AND period_end < $1 \
     AND EXISTS (SELECT 1 FROM entries WHERE entries.total = totals.id) \
     ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED";
const DAILY: &str = "INSERT INTO daily_totals (total, day, n) \
     SELECT total, day, sum(change)::bigint FROM \
     (SELECT total, at - mod(mod(at, 86400000) + 86400000, 86400000) AS day, \
      after_n - lag(after_n, 1, 0::bigint) OVER (PARTITION BY total ORDER BY id) AS change \
      FROM entries WHERE total = ANY($1)) AS changes GROUP BY total, day";
const ENTRIES: &str = "DELETE FROM entries WHERE total = ANY($1)";
const RESERVATIONS: &str = "DELETE FROM reservations WHERE id IN \
     (SELECT id FROM reservations WHERE state <> 'held' AND expires < $1 \
      ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)";
const PROCESSES: &str = "DELETE FROM writers WHERE writer IN \
     (SELECT writer FROM writers WHERE written_at < ledger_now() - $1 \
      ORDER BY writer FOR UPDATE SKIP LOCKED)";

const NOTICES: &str = "DELETE FROM notices WHERE id IN \
     (SELECT id FROM notices WHERE told_at < ledger_now() - $1 \
      ORDER BY id FOR UPDATE SKIP LOCKED)";

/// Only leases that nobody has taken again since they ended.
const LEASES: &str = "DELETE FROM leases WHERE name IN \
     (SELECT name FROM leases WHERE until < ledger_now() - $1 \
      ORDER BY name FOR UPDATE SKIP LOCKED)";

/// Compacts at most `max` settled totals whose periods ended before `before`. Returns how many it compacted.
pub(super) async fn compact(client: &Client, before: Time, max: usize) -> Result<usize, Failure> {
    let before = before.millis();
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let range: [Parameter<'_>; 2] = [(&before, Type::INT8), (&max, Type::INT8)];
    let begin = client.batch_execute(BEGIN);
    let ((), old) = try_join(begin, client.query_typed(OLD, &range)).await?;
    let ids: Result<Vec<i64>, _> = old.iter().map(|row| row.try_get(0)).collect();
    let ids = ids?;
    let totals: [Parameter<'_>; 1] = [(&ids, Type::INT8_ARRAY)];
    let ended: [Parameter<'_>; 1] = [(&KEPT_FOR, Type::INT8)];
    let days = async {
        let added = client.execute_typed(DAILY, &totals);
        try_join(added, client.execute_typed(ENTRIES, &totals)).await
    };
    try_join5(
        days,
        client.execute_typed(RESERVATIONS, &range),
        client.execute_typed(PROCESSES, &ended),
        async {
            let leases = client.execute_typed(LEASES, &ended);
            try_join(leases, client.execute_typed(NOTICES, &ended)).await
        },
        client.batch_execute(COMMIT),
    )
    .await?;
    Ok(ids.len())
}

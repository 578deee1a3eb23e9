//! Writes a whole ledger into an empty database, in one transaction.

use std::collections::BTreeSet;

use futures::TryStreamExt as _;
use futures::future::try_join;
use rusqlite::types::Value;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::super::super::state::{Entry, Reservation, Total};
use super::super::super::values::{Org, Time};
use super::super::columns::{Record, from_values};
use super::super::read::Exported;
use super::super::{Snapshot, StoreError};
use super::connect::Database;
use super::failure::Failure;
use super::migrate::migrate;
use super::session::write_snapshots;
use super::table::{ENTRIES, Parameter, RESERVATIONS, TOTALS, Table, values};
use super::transaction::{COMMIT, no_row};

/// The maximum number of rows in one statement.
const ROWS: usize = 2_000;

/// Servers that have claimed the database wait for the move, or refuse reports until it ends.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '30s'; \
     SET LOCAL statement_timeout = '10min'; SET LOCAL idle_in_transaction_session_timeout = '10min'; \
     LOCK TABLE ledger, orgs, totals, entries, daily_totals, reservations IN EXCLUSIVE MODE";

/// The number of records of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Totals.
    pub totals: u64,
    /// Entries.
    pub entries: u64,
    /// Daily totals.
    pub days: u64,
    /// Reservations.
    pub reservations: u64,
}

/// A move's transaction in an empty database.
#[derive(Debug)]
pub struct Import {
    runtime: Runtime,
    client: Client,
    counts: Counts,
    waiting: Waiting,
    orgs: BTreeSet<Org>,
    /// The sum of all daily totals.
    days_sum: i128,
    /// The highest id of an entry or total.
    last: u64,
    /// The task that drives the connection while the runtime is used.
    _tasks: JoinSet<()>,
}

/// The records of the next statements.
#[derive(Debug, Default)]
struct Waiting {
    totals: Vec<Total>,
    entries: Vec<Entry>,
    days: Vec<(u64, Time, i64)>,
    reservations: Vec<Reservation>,
}

/// The state of the database that a move writes to.
#[derive(Debug)]
pub enum Destination {
    /// It has no usage.
    Empty(Box<Import>),
    /// The move was committed in an earlier attempt.
    Moved,
}

impl Import {
    /// Creates the tables if there are none, and locks them. `id` identifies the move.
    ///
    /// This must be called, and the import used and dropped, on a thread that may block.
    ///
    /// # Errors
    /// If the database belongs to another account, or has usage that is not from this move.
    pub fn begin(database: &Database, account: &str, id: &str) -> Result<Destination, StoreError> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut tasks = JoinSet::new();
        let client = runtime.block_on(database.connect(&mut tasks))?;
        let has_it = runtime.block_on(begin(&client, account, id))?;
        if has_it {
            return Ok(Destination::Moved);
        }
        Ok(Destination::Empty(Box::new(Self {
            runtime,
            client,
            counts: Counts::default(),
            waiting: Waiting::default(),
            orgs: BTreeSet::new(),
            days_sum: 0,
            last: 0,
            _tasks: tasks,
        })))
    }

    /// Adds a record.
    pub fn add(&mut self, record: Exported) -> Result<(), StoreError> {
        let waiting = &mut self.waiting;
        let is_full = match record {
            Exported::Total(total) => {
                self.orgs.insert(total.org.clone());
                self.last = self.last.max(total.id.0);
                self.counts.totals += 1;
                waiting.totals.push(*total);
                waiting.totals.len() == ROWS
            }
            Exported::Day { total, day, n } => {
                self.days_sum += i128::from(n);
                self.counts.days += 1;
                waiting.days.push((total.0, day, n));
                waiting.days.len() == ROWS
            }
            Exported::Entry(entry) => {
                self.last = self.last.max(entry.id.0);
                self.counts.entries += 1;
                waiting.entries.push(entry);
                waiting.entries.len() == ROWS
            }
            Exported::Reservation(one) => {
                self.orgs.insert(one.org.clone());
                self.counts.reservations += 1;
                waiting.reservations.push(one);
                waiting.reservations.len() == ROWS
            }
        };
        if is_full { self.write() } else { Ok(()) }
    }

    /// Writes the records that wait.
    fn write(&mut self) -> Result<(), StoreError> {
        let waiting = std::mem::take(&mut self.waiting);
        let client = &self.client;
        let written = self.runtime.block_on(async {
            TOTALS.insert(&waiting.totals).execute(client).await?;
            ENTRIES.insert(&waiting.entries).execute(client).await?;
            let reservations = RESERVATIONS.insert(&waiting.reservations);
            reservations.execute(client).await?;
            write_days(client, &waiting.days).await
        });
        Ok(written?)
    }

    /// Reads everything back, and compares it with the added records. Returns their numbers.
    pub fn check(&mut self) -> Result<Counts, StoreError> {
        self.write()?;
        let client = &self.client;
        let (stored, days_sum) = self.runtime.block_on(async {
            let days = "SELECT count(*), coalesce(sum(n), 0)::text FROM daily_totals";
            let found = client.query_typed(days, &[]).await?;
            let found = found.first().ok_or_else(no_row)?;
            let (days, days_sum): (i64, String) = (found.try_get(0)?, found.try_get(1)?);
            let stored = Counts {
                totals: count::<Total>(client, &TOTALS).await?,
                entries: count::<Entry>(client, &ENTRIES).await?,
                days: days.cast_unsigned(),
                reservations: count::<Reservation>(client, &RESERVATIONS).await?,
            };
            Ok::<_, Failure>((stored, days_sum))
        })?;
        let (counts, sum) = (self.counts, self.days_sum);
        if stored != counts || days_sum != sum.to_string() {
            let difference = format!("{stored:?} and {days_sum} in place of {counts:?} and {sum}");
            return Err(StoreError::NotStored(difference));
        }
        Ok(counts)
    }

    /// Writes everything that is not a record: the account, the digests of its API keys, and the snapshots of orgs.
    pub fn add_account(
        &mut self,
        account: &str,
        keys: &[String],
        snapshots: &[Snapshot],
    ) -> Result<(), StoreError> {
        let client = &self.client;
        let written = self.runtime.block_on(async {
            let owner: [Parameter<'_>; 1] = [(&account, Type::TEXT)];
            let sql =
                "INSERT INTO ledger (account) SELECT $1 WHERE NOT EXISTS (SELECT 1 FROM ledger)";
            client.execute_typed(sql, &owner).await?;
            let keys: [Parameter<'_>; 1] = [(&keys, Type::TEXT_ARRAY)];
            let sql = "INSERT INTO account_keys (digest) SELECT unnest($1) ON CONFLICT DO NOTHING";
            client.execute_typed(sql, &keys).await?;
            for chunk in snapshots.chunks(ROWS) {
                write_snapshots(client, chunk).await?;
            }
            Ok::<_, Failure>(())
        });
        Ok(written?)
    }

    /// Commits the move `id`.
    ///
    /// # Errors
    /// [`StoreError::OutcomeUnknown`] if it may have been committed.
    pub fn commit(self, id: &str) -> Result<(), StoreError> {
        let orgs: Vec<&str> = self.orgs.iter().map(Org::as_str).collect();
        let last = i64::try_from(self.last).unwrap_or(i64::MAX);
        let committed = self.runtime.block_on(async {
            let client = &self.client;
            // Entries and totals get their ids from the transaction's number, so the next one must be above all ids.
            let number: [Parameter<'_>; 1] = [(&last, Type::INT8)];
            let sql = "SELECT setval('transactions', greatest((SELECT last_value FROM transactions), \
                 ($1 / 16384 + 1) * 16384))";
            client.query_typed(sql, &number).await?;
            let orgs: [Parameter<'_>; 1] = [(&orgs, Type::TEXT_ARRAY)];
            let sql = "INSERT INTO orgs (org, version, changed_at) \
                 SELECT org, (SELECT nextval('transactions')), ledger_now() FROM unnest($1) AS org \
                 ON CONFLICT (org) DO UPDATE \
                 SET version = excluded.version, changed_at = excluded.changed_at";
            client.execute_typed(sql, &orgs).await?;
            let writer = writer(id);
            let mark: [Parameter<'_>; 1] = [(&writer, Type::TEXT)];
            let sql = "INSERT INTO writers (writer, last_transaction, written_at) \
                 VALUES ($1, 0, ledger_now())";
            // Both are sent together. If the connection breaks now, the commit may have arrived.
            let marked = client.execute_typed(sql, &mark);
            let committed = try_join(marked, client.batch_execute(COMMIT)).await;
            Ok::<_, Failure>(committed.map_err(Failure::from))
        })?;
        match committed {
            Ok(_) => Ok(()),
            Err(Failure::Lost(cause)) => Err(StoreError::OutcomeUnknown(cause.into())),
            Err(failure) => Err(failure.into()),
        }
    }
}

/// Begins the transaction and locks the tables. Returns whether the move was committed already.
async fn begin(client: &Client, account: &str, id: &str) -> Result<bool, Failure> {
    migrate(client).await?;
    // An earlier attempt to move has ended once these locks are held.
    client.batch_execute(BEGIN).await?;
    let writer = writer(id);
    let mark: [Parameter<'_>; 1] = [(&writer, Type::TEXT)];
    let sql = "SELECT 1 FROM writers WHERE writer = $1";
    if !client.query_typed(sql, &mark).await?.is_empty() {
        return Ok(true);
    }
    let owner = client.query_typed("SELECT account FROM ledger", &[]);
    if let Some(owner) = owner.await?.first() {
        let found: String = owner.try_get(0)?;
        if found != account {
            let wanted = account.to_owned();
            return Err(Failure::Store(StoreError::OtherAccount { found, wanted }));
        }
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM totals) OR EXISTS (SELECT 1 FROM entries) \
         OR EXISTS (SELECT 1 FROM daily_totals) OR EXISTS (SELECT 1 FROM reservations)";
    let found = client.query_typed(sql, &[]).await?;
    if found.first().ok_or_else(no_row)?.try_get(0)? {
        return Err(Failure::Store(StoreError::NotEmpty));
    }
    Ok(false)
}

/// The name of a move in the table `writers`, among those of processes.
fn writer(id: &str) -> String {
    format!("move {id}")
}

async fn write_days(client: &Client, days: &[(u64, Time, i64)]) -> Result<(), Failure> {
    if days.is_empty() {
        return Ok(());
    }
    let totals: Vec<i64> = days.iter().map(|(total, ..)| total.cast_signed()).collect();
    let begins: Vec<i64> = days.iter().map(|(_, day, _)| day.millis()).collect();
    let sums: Vec<i64> = days.iter().map(|(.., n)| *n).collect();
    let rows: [Parameter<'_>; 3] = [
        (&totals, Type::INT8_ARRAY),
        (&begins, Type::INT8_ARRAY),
        (&sums, Type::INT8_ARRAY),
    ];
    let sql = "INSERT INTO daily_totals (total, day, n) SELECT * FROM unnest($1, $2, $3)";
    client.execute_typed(sql, &rows).await?;
    Ok(())
}

/// Counts the rows of a table, after checking the digest of each.
async fn count<R: Record>(client: &Client, table: &Table) -> Result<u64, Failure> {
    let sql = format!("SELECT {} FROM {}", table.selected(), table.name());
    let rows = client
        .query_typed_raw(&sql, Vec::<(Option<i64>, Type)>::new())
        .await?;
    let mut rows = std::pin::pin!(rows);
    let mut count = 0;
    while let Some(row) = rows.try_next().await? {
        let row: Vec<Value> = values(&row, 0..row.len())?;
        from_values::<R>(row).map_err(Failure::Store)?;
        count += 1;
    }
    Ok(count)
}

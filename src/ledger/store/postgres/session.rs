//! The writer of one process: runs transactions, repeats failed ones, and reads the changes of other processes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::{try_join, try_join3};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::super::super::state::{Reservation, State, Stored};
use super::super::super::transactor::{Figures, Learned, Notice, Now, Request, Transacted};
use super::super::super::values::{Org, PlanNumber, ReservationId, Time};
use super::super::super::view::all_figures;
use super::super::{Names, Snapshot, StoreError};
use super::connect::{Database, Link};
use super::failure::Failure;
use super::migrate::migrate;
use super::mirror::Mirror;
use super::notices::SeenNotices;
use super::table::Parameter;
use super::transaction::{BEGIN, COMMIT, Done, Sent, Transaction, load, no_row, recall};

/// How long one attempt may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// How often a transaction that conflicts with another one is repeated.
const MAX_CONFLICTS: u32 = 10;
/// How often a transaction is repeated if its connection was lost before the commit.
const MAX_LOSSES: u32 = 2;
/// The maximum time, in milliseconds, from when a transaction notes the time of its changes until its commit, unless
/// that waits for a standby. Each sync reads the changes of this time before the last sync again.
const OVERLAP: i64 = 60_000;
/// How much further back, in milliseconds, a full sync reads notices: the commit of a notice may have waited for a
/// standby.
const FULL_OVERLAP: i64 = 15 * 60_000;
/// The maximum number of orgs to load in one statement.
const ORGS: usize = 1_000;

#[derive(Debug)]
pub(super) struct Session {
    link: Link,
    mirror: Mirror,
    /// The name of this process. Each start makes a new one.
    writer: String,
    /// The time of the database, in milliseconds, until which all changes are known.
    known_until: i64,
    /// When `known_until` was read.
    read_at: Option<Instant>,
    /// When the versions of all orgs were last read, and how often they are.
    full_sync_at: Option<Instant>,
    full_sync_every: Duration,
    /// The transaction whose outcome is unknown.
    sent: Option<Sent>,
    /// The time of the database, and when it was read.
    clock: Option<(Time, Instant)>,
    /// The numbers of plans for the next call of [`Session::learned`].
    plans: Vec<(Org, PlanNumber)>,
    /// The notices for the next call of [`Session::learned`].
    notices: Vec<Notice>,
    seen: SeenNotices,
}

impl Session {
    pub(super) fn new(database: Database) -> Self {
        Self {
            full_sync_every: database.full_sync_every,
            link: Link::new(database),
            mirror: Mirror::default(),
            writer: uuid::Uuid::new_v4().to_string(),
            known_until: i64::MIN,
            read_at: None,
            full_sync_at: None,
            sent: None,
            clock: None,
            plans: Vec::new(),
            notices: Vec::new(),
            seen: SeenNotices::default(),
        }
    }

    /// Creates the tables if there are none, and checks the account.
    pub(super) async fn open(&mut self, account: &str) -> Result<(), StoreError> {
        let client = self.link.client().await?;
        let opened = within(TIMEOUT, claim(client, account)).await;
        self.ended(opened).await
    }

    pub(super) fn learned(&mut self) -> Learned {
        Learned {
            plans: std::mem::take(&mut self.plans),
            notices: std::mem::take(&mut self.notices),
            clock: self.clock.filter(|_| self.link.has_clock()),
        }
    }

    pub(super) async fn remember_key(&mut self, digest: &str) -> Result<(), StoreError> {
        let client = self.link.client().await?;
        let done = within(TIMEOUT, super::keys::remember_key(client, digest)).await;
        self.ended(done).await
    }

    /// Applies requests in one transaction, and repeats it if it was certainly not committed.
    pub(super) async fn transact(
        &mut self,
        requests: &[Request],
    ) -> Result<Transacted, StoreError> {
        let (mut conflicts, mut losses) = (0, 0);
        loop {
            let failure = match self.attempt(requests).await {
                Ok(transacted) => return Ok(transacted),
                Err(failure) => failure,
            };
            if self.sent.is_some() {
                let cause = StoreError::from(failure);
                return Err(StoreError::OutcomeUnknown(cause.into()));
            }
            match failure {
                Failure::Conflict(_) if conflicts < MAX_CONFLICTS => {
                    conflicts += 1;
                    tokio::time::sleep(Duration::from_millis(5) * conflicts).await;
                }
                Failure::Lost(_) if losses < MAX_LOSSES => losses += 1,
                failure => return Err(failure.into()),
            }
        }
    }

    /// The approximate time of the database, without a query. It is only used to choose the orgs that have something
    /// due.
    fn now(&self) -> Option<Time> {
        let (time, since) = self.clock.filter(|_| self.link.has_clock())?;
        let passed = i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX);
        Some(time.plus(passed))
    }

    /// Stops looking for the outcome of the last transaction.
    pub(super) fn give_up(&mut self) {
        self.sent = None;
    }

    async fn attempt(&mut self, requests: &[Request]) -> Result<Transacted, Failure> {
        let concerned = self.mirror.concerned(requests, self.now());
        if concerned.is_empty() && self.sent.is_none() {
            return Ok(Transacted {
                answers: State::load(Stored::default()).apply_all(requests, self.now()),
                figures: Figures::new(),
            });
        }
        let transaction = Transaction {
            has_clock: self.link.has_clock(),
            client: self.link.client().await?,
            mirror: &self.mirror,
            writer: &self.writer,
        };
        let run = transaction.run(requests, concerned, &mut self.sent);
        match within(TIMEOUT, run).await {
            Ok(Done {
                transacted,
                orgs,
                stored,
                plans,
                now,
            }) => {
                self.plans.extend(plans);
                self.mirror.replace(orgs, stored);
                self.clock = Some((now, Instant::now()));
                Ok(transacted)
            }
            Err(failure) => {
                self.link.roll_back(&failure).await;
                Err(failure)
            }
        }
    }

    /// Reads the changes and notices of other processes. Returns the figures of the changed orgs.
    pub(super) async fn sync(&mut self) -> Result<Figures, StoreError> {
        let is_full = self
            .full_sync_at
            .is_none_or(|at| at.elapsed() >= self.full_sync_every);
        let since = if is_full { i64::MIN } else { self.known_until };
        let mut changed = self.changed_since(since).await?;
        let set_back = self.set_back(changed.now);
        if set_back > OVERLAP / 2 {
            self.known_until -= set_back;
            if !is_full {
                changed = self.changed_since(self.known_until).await?;
            }
        }
        let Changed { now, orgs, plans } = changed;
        self.plans.extend(plans);
        let since = now.millis() - OVERLAP;
        // After the start, the process has no cached data yet that a notice could be about.
        if self.known_until > i64::MIN {
            let overlap = if is_full { FULL_OVERLAP } else { 0 };
            let sent_since = self.known_until - overlap;
            let client = self.link.client().await?;
            let read = within(TIMEOUT, self.seen.read(client, sent_since)).await;
            let notices = self.ended(read).await?;
            self.notices.extend(notices);
            self.seen.forget_before(since - OVERLAP - FULL_OVERLAP);
        }
        let read_at = Instant::now();
        let mut figures = Figures::new();
        for orgs in orgs.chunks(ORGS) {
            let names: Vec<&str> = orgs.iter().map(|(org, _)| org.as_str()).collect();
            let client = self.link.client().await?;
            let read = within(TIMEOUT, load(client, &names)).await;
            let stored = self.ended(read).await?;
            // The records may be newer than the version, and are then read again.
            figures.extend(all_figures(&State::load(stored.clone())));
            self.mirror.replace(orgs.to_vec(), stored);
        }
        self.known_until = since;
        self.read_at = Some(read_at);
        if is_full {
            self.full_sync_at = Some(read_at);
        }
        self.clock = Some((now, read_at));
        Ok(figures)
    }

    async fn changed_since(&mut self, since: i64) -> Result<Changed, StoreError> {
        let client = self.link.client().await?;
        let read = within(TIMEOUT, changed(client, &self.mirror, since)).await;
        self.ended(read).await
    }

    /// By how many milliseconds the clock of the database was set back since the last sync, for example by a failover
    /// to a machine whose clock is behind. Changes since then may have times from before the last sync.
    fn set_back(&self, now: Time) -> i64 {
        let Some(read_at) = self.read_at else {
            return 0;
        };
        let passed = i64::try_from(read_at.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.known_until + OVERLAP + passed - now.millis()
    }

    pub(super) async fn reservation(
        &mut self,
        id: &ReservationId,
        now: Now,
    ) -> Result<Option<(Reservation, Time)>, StoreError> {
        let names = Names {
            keys: Vec::new(),
            reservations: vec![id.clone()],
        };
        let has_clock = self.link.has_clock();
        let client = self.link.client().await?;
        let read = within(TIMEOUT, try_join(recall(client, &names), time(client))).await;
        let (mut recalled, time) = self.ended(read).await?;
        let now = now.or(has_clock.then_some(time));
        Ok(recalled.reservations.pop().map(|found| (found, now)))
    }

    pub(super) async fn send_notice(&mut self, notice: &Notice) -> Result<(), StoreError> {
        let client = self.link.client().await?;
        let sent = within(TIMEOUT, self.seen.send(client, notice)).await;
        self.ended(sent).await
    }

    pub(super) async fn keep(&mut self, snapshots: &[Snapshot]) -> Result<(), StoreError> {
        let client = self.link.client().await?;
        let kept = within(TIMEOUT, keep(client, snapshots)).await;
        self.ended(kept).await
    }

    pub(super) async fn compact(&mut self, before: Time, max: usize) -> Result<usize, StoreError> {
        let client = self.link.client().await?;
        let done = within(TIMEOUT, super::compact::compact(client, before, max)).await;
        self.ended(done).await
    }

    async fn ended<T>(&mut self, result: Result<T, Failure>) -> Result<T, StoreError> {
        if let Err(failure) = &result {
            self.link.roll_back(failure).await;
        }
        Ok(result?)
    }
}

/// Checks that the ledger is the account's. A new one belongs to it from now on.
async fn claim(client: &Client, account: &str) -> Result<(), Failure> {
    migrate(client).await?;
    // Of two processes that claim a new ledger, one finds what the other has written.
    let lock = client.batch_execute("BEGIN; LOCK TABLE ledger IN EXCLUSIVE MODE");
    let found = client.query_typed("SELECT account FROM ledger", &[]);
    let ((), found) = try_join(lock, found).await?;
    if let Some(row) = found.first() {
        let found: String = row.try_get(0)?;
        client.batch_execute("COMMIT").await?;
        let wanted = account.to_owned();
        return if found == wanted {
            Ok(())
        } else {
            Err(Failure::Store(StoreError::OtherAccount { found, wanted }))
        };
    }
    let insert = "INSERT INTO ledger (account) VALUES ($1)";
    let owner: [Parameter<'_>; 1] = [(&account, Type::TEXT)];
    let insert = client.execute_typed(insert, &owner);
    try_join(insert, client.batch_execute("COMMIT")).await?;
    Ok(())
}

/// Waits for `work`. If it takes too long, the connection counts as lost.
pub(super) async fn within<T>(
    time_limit: Duration,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let done = tokio::time::timeout(time_limit, work).await;
    done.unwrap_or_else(|late| Err(Failure::Lost(StoreError::Unreachable(late.into()))))
}

/// The time of the database.
async fn time(client: &Client) -> Result<Time, Failure> {
    let now = client.query_typed("SELECT ledger_now()", &[]).await?;
    let now = now.first().ok_or_else(no_row)?;
    Ok(Time::from_millis(now.try_get(0)?))
}

/// Changes by other processes.
struct Changed {
    /// The time of the database.
    now: Time,
    /// The orgs whose copy in the mirror is outdated or missing, with their new versions.
    orgs: Vec<(Org, i64)>,
    plans: Vec<(Org, PlanNumber)>,
}

/// Reads the changes since `since`, in milliseconds of the database's time.
async fn changed(client: &Client, mirror: &Mirror, since: i64) -> Result<Changed, Failure> {
    let since: [Parameter<'_>; 1] = [(&since, Type::INT8)];
    let orgs = "SELECT org, version, plan FROM orgs WHERE changed_at >= $1";
    let rows = async { Ok(client.query_typed(orgs, &since).await?) };
    let (now, rows) = try_join(time(client), rows).await?;
    let (mut orgs, mut plans) = (Vec::new(), Vec::new());
    for row in rows {
        let (org, version) = (Org::from(row.try_get::<_, &str>(0)?), row.try_get(1)?);
        let plan = PlanNumber(row.try_get(2)?);
        if plan != PlanNumber::default() {
            plans.push((org.clone(), plan));
        }
        if !mirror.has(&org, version) {
            orgs.push((org, version));
        }
    }
    Ok(Changed { now, orgs, plans })
}

/// Stores snapshots. A power failure may lose them, which does no harm.
async fn keep(client: &Client, snapshots: &[Snapshot]) -> Result<(), Failure> {
    let begin = format!("{BEGIN}; SET LOCAL synchronous_commit = off");
    let begin = async { Ok(client.batch_execute(&begin).await?) };
    let commit = async { Ok(client.batch_execute(COMMIT).await?) };
    try_join3(begin, write_snapshots(client, snapshots), commit).await?;
    Ok(())
}

/// Writes snapshots within a transaction.
pub(super) async fn write_snapshots(
    client: &Client,
    snapshots: &[Snapshot],
) -> Result<(), Failure> {
    // One snapshot for each org, in the order of the orgs: two rows of one org fail, and so may two processes that lock
    // rows in different orders.
    let newest: BTreeMap<&str, &Snapshot> = snapshots
        .iter()
        .map(|snapshot| (snapshot.org.as_str(), snapshot))
        .collect();
    let orgs: Vec<&str> = newest.keys().copied().collect();
    let times: Vec<i64> = newest
        .values()
        .map(|snapshot| snapshot.read_at.millis())
        .collect();
    let texts: Vec<&str> = newest
        .values()
        .map(|snapshot| snapshot.text.as_str())
        .collect();
    let sql = "INSERT INTO snapshots (org, read_at, snapshot) \
         SELECT * FROM unnest($1, $2, $3) AS new (org, read_at, snapshot) ORDER BY org \
         ON CONFLICT (org) DO UPDATE SET read_at = excluded.read_at, snapshot = excluded.snapshot \
         WHERE snapshots.read_at <= excluded.read_at";
    let rows: [Parameter<'_>; 3] = [
        (&orgs, Type::TEXT_ARRAY),
        (&times, Type::INT8_ARRAY),
        (&texts, Type::TEXT_ARRAY),
    ];
    client.execute_typed(sql, &rows).await?;
    Ok(())
}

//! Leases: locks that only one process may hold at a time, and that end by themselves.
//!
//! A lease is a row with its holder and its end by the clock of the database. Each step is one statement, so it needs
//! no session and no open transaction. The holder extends its lease until it releases it. If the holder has died,
//! hangs or has lost the database, another process can take the lease once it has ended. The holder notices the end by
//! its own clock. It counts the length of the lease from before its request, so it stops before the database gives the
//! lease to another process, however far apart the clocks are.
//!
//! Leases are committed like everything else. A database that fails over and loses commits may lose leases with them.
//! If its clock jumps ahead, leases end too early; if it is set back, those of dead processes last longer. A machine
//! that sleeps, and whose clock does not count the time, believes that it still holds its leases. Therefore, what must
//! not happen twice is checked in a transaction too.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_postgres::Client;
use tokio_postgres::types::Type;
use tokio_util::sync::CancellationToken;

use super::super::super::values::{Org, PlanNumber};
use super::super::StoreError;
use super::connect::{Database, PAUSE};
use super::failure::Failure;
use super::table::Parameter;

/// How long the database may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// The time between two attempts to take a lease that another process holds. It doubles from the first to the second.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const MAX_WAIT: Duration = Duration::from_millis(200);
/// The time between two attempts to extend or to release a lease.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// How often a release is tried. After that, the lease ends by itself.
const RELEASE_ATTEMPTS: u32 = 3;

/// A repeated attempt of the same holder succeeds, since the answer to the first may have been lost.
const TAKE: &str = "INSERT INTO leases (name, holder, until) VALUES ($1, $2, ledger_now() + $3) \
     ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until \
     WHERE leases.until <= ledger_now() OR leases.holder = excluded.holder";
const EXTEND: &str = "UPDATE leases SET until = ledger_now() + $3 WHERE name = $1 AND holder = $2";
const RELEASE: &str = "DELETE FROM leases WHERE name = $1 AND holder = $2";

/// Runs a change only if the process holds the lease, which nobody else can take during the statement.
macro_rules! as_holder {
    ($change:literal) => {
        concat!(
            "WITH holder AS MATERIALIZED (SELECT 1 FROM leases \
             WHERE name = $1 AND holder = $2 AND until > ledger_now() FOR SHARE) ",
            $change
        )
    };
}
const BEGIN_CHANGE: &str = as_holder!(
    "INSERT INTO orgs (org, version, changed_at, plan) SELECT $3, 0, ledger_now(), 1 FROM holder \
     ON CONFLICT (org) DO UPDATE SET plan = orgs.plan + 1 - orgs.plan % 2, \
     changed_at = ledger_now() RETURNING plan"
);
const END_CHANGE: &str = as_holder!(
    "UPDATE orgs SET plan = plan + plan % 2, changed_at = ledger_now() FROM holder \
     WHERE org = $3 RETURNING plan"
);

#[derive(Clone, Copy)]
enum Statement {
    Take,
    Extend,
    Release,
}

/// The leases of a process. Clones share a connection.
#[derive(Clone, Debug)]
pub struct Leases(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    database: Database,
    /// How long a lease lasts that is not extended.
    length: Duration,
    connection: Mutex<Connection>,
}

/// A connection that is opened when it is needed.
#[derive(Debug, Default)]
struct Connection {
    client: Option<Arc<Client>>,
    /// The tasks that drive the connection, and earlier ones until their last statements have ended.
    tasks: JoinSet<()>,
    /// When a connection last failed.
    failed: Option<Instant>,
}

/// A lease that this process holds. It is extended until it is dropped, and then released.
#[derive(Debug)]
pub struct Lease {
    claim: Arc<Claim>,
    /// The task that extends it.
    _extending: JoinSet<()>,
}

/// The row of a lease.
#[derive(Clone, Debug)]
struct Row {
    name: String,
    /// Identifies one attempt to hold it.
    holder: String,
}

/// An attempt to hold a lease.
#[derive(Debug)]
struct Claim {
    leases: Leases,
    row: Row,
    /// Whether the database may have the row.
    is_stored: AtomicBool,
    /// When it ends, if it is not extended.
    until: std::sync::Mutex<Instant>,
    ended: CancellationToken,
}

impl Leases {
    /// The leases in the tables of a ledger. Each lasts for `length` after it was last extended.
    pub fn new(database: Database, length: Duration) -> Self {
        Self(Arc::new(Inner {
            database,
            length,
            connection: Mutex::default(),
        }))
    }

    /// Waits until nobody else, in this process or another one, holds the lease with this name, and takes it.
    pub async fn take(&self, name: &str) -> Result<Lease, StoreError> {
        let claim = Claim::new(self, name);
        let mut wait = FIRST_WAIT;
        while !claim.attempt().await? {
            sleep(wait).await;
            wait = MAX_WAIT.min(wait * 2);
        }
        Ok(Lease::new(claim))
    }

    /// Takes the lease with this name, unless somebody holds it.
    pub async fn try_take(&self, name: &str) -> Result<Option<Lease>, StoreError> {
        let claim = Claim::new(self, name);
        Ok(claim.attempt().await?.then(|| Lease::new(claim)))
    }

    /// Executes a statement about a row. Returns whether the row has changed.
    async fn execute(&self, statement: Statement, row: &Row) -> Result<bool, StoreError> {
        let client = self.client().await?;
        let length = i64::try_from(self.0.length.as_millis()).unwrap_or(i64::MAX);
        let all: [Parameter<'_>; 3] = [
            (&row.name, Type::TEXT),
            (&row.holder, Type::TEXT),
            (&length, Type::INT8),
        ];
        let (sql, parameters) = match statement {
            Statement::Take => (TAKE, &all[..]),
            Statement::Extend => (EXTEND, &all[..]),
            Statement::Release => (RELEASE, &all[..2]),
        };
        self.answer(&client, client.execute_typed(sql, parameters))
            .await
            .map(|changed| changed > 0)
    }

    async fn query(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<tokio_postgres::Row>, StoreError> {
        let client = self.client().await?;
        self.answer(&client, client.query_typed(sql, parameters))
            .await
    }

    /// Waits for the answer to a statement. A connection that gives none is not used again.
    async fn answer<T>(
        &self,
        client: &Arc<Client>,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StoreError> {
        let failure = match timeout(ANSWER_TIMEOUT, answer).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => Failure::from(error),
            Err(late) => Failure::Lost(StoreError::Unreachable(late.into())),
        };
        if matches!(failure, Failure::Lost(_)) {
            let mut connection = self.0.connection.lock().await;
            connection.client.take_if(|open| Arc::ptr_eq(open, client));
        }
        Err(failure.into())
    }

    async fn client(&self) -> Result<Arc<Client>, StoreError> {
        let mut connection = self.0.connection.lock().await;
        let open = connection.client.as_ref();
        if let Some(client) = open.filter(|client| !client.is_closed()) {
            return Ok(client.clone());
        }
        // Other callers may still wait for answers on the last connection, so only ended tasks are removed.
        while connection.tasks.try_join_next().is_some() {}
        if connection.failed.is_some_and(|at| at.elapsed() < PAUSE) {
            let cause = "it could not be reached just now".into();
            return Err(StoreError::Unreachable(cause));
        }
        let connected = self.0.database.connect(&mut connection.tasks).await;
        connection.failed = connected.is_err().then(Instant::now);
        let client = Arc::new(connected?);
        connection.client = Some(client.clone());
        Ok(client)
    }

    async fn release(self, row: Row) {
        for _ in 0..RELEASE_ATTEMPTS {
            match self.execute(Statement::Release, &row).await {
                Ok(_) => return,
                Err(error) => tracing::debug!(%error, row.name, "a lease is not released yet"),
            }
            sleep(RETRY_AFTER).await;
        }
    }
}

impl Claim {
    fn new(leases: &Leases, name: &str) -> Arc<Self> {
        Arc::new(Self {
            leases: leases.clone(),
            row: Row {
                name: name.to_owned(),
                holder: uuid::Uuid::new_v4().to_string(),
            },
            is_stored: AtomicBool::default(),
            until: std::sync::Mutex::new(Instant::now()),
            ended: CancellationToken::new(),
        })
    }

    /// Tries to take the lease. Returns whether the claim holds it now.
    async fn attempt(&self) -> Result<bool, StoreError> {
        let requested = Instant::now();
        // Set before the statement: its answer may be lost, or the caller may stop waiting.
        self.is_stored.store(true, Ordering::Relaxed);
        let is_taken = self.leases.execute(Statement::Take, &self.row).await?;
        self.is_stored.store(is_taken, Ordering::Relaxed);
        self.lasts_from(requested);
        Ok(is_taken)
    }

    /// Extends the lease until that is no longer possible. Then it has ended.
    async fn keep_extending(&self) {
        loop {
            sleep(self.leases.0.length / 3).await;
            match timeout_at(self.until(), self.extend()).await {
                Ok(Some(requested)) => self.lasts_from(requested),
                Ok(None) | Err(_) => break,
            }
        }
        self.ended.cancel();
    }

    /// Extends the lease. Returns when the successful extension was requested; `None` if somebody else has the lease.
    async fn extend(&self) -> Option<Instant> {
        loop {
            let requested = Instant::now();
            match self.leases.execute(Statement::Extend, &self.row).await {
                Ok(is_extended) => return is_extended.then_some(requested),
                Err(error) => {
                    tracing::debug!(%error, self.row.name, "a lease is not extended yet");
                }
            }
            sleep(RETRY_AFTER).await;
        }
    }

    fn until(&self) -> Instant {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lasts_from(&self, requested: Instant) {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = requested + self.leases.0.length;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !*self.is_stored.get_mut() {
            return;
        }
        // Without a runtime, the lease ends by itself.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(self.leases.clone().release(self.row.clone()));
        }
    }
}

impl Lease {
    fn new(claim: Arc<Claim>) -> Self {
        let mut extending = JoinSet::new();
        let held = claim.clone();
        extending.spawn(async move { held.keep_extending().await });
        Self {
            claim,
            _extending: extending,
        }
    }

    /// Whether this process still holds it. If not, another one may.
    pub fn is_held(&self) -> bool {
        !self.claim.ended.is_cancelled() && Instant::now() < self.claim.until()
    }

    /// Makes the number of an org's plan odd: until it is even again, usage of the org is refused.
    pub async fn begin_plan_change(&self, org: &Org) -> Result<PlanNumber, StoreError> {
        self.number_plan(BEGIN_CHANGE, org).await
    }

    /// Makes the number of an org's plan even, whichever process made it odd. From then on, usage whose target was
    /// read before is refused.
    pub async fn end_plan_change(&self, org: &Org) -> Result<PlanNumber, StoreError> {
        self.number_plan(END_CHANGE, org).await
    }

    /// Runs one of the two changes. Both can be repeated.
    async fn number_plan(&self, sql: &str, org: &Org) -> Result<PlanNumber, StoreError> {
        let Claim { leases, row, .. } = &*self.claim;
        let parameters: [Parameter<'_>; 3] = [
            (&row.name, Type::TEXT),
            (&row.holder, Type::TEXT),
            (&org.as_str(), Type::TEXT),
        ];
        let found = leases.query(sql, &parameters).await?;
        let plan = found.first().ok_or(StoreError::LeaseLost)?;
        Ok(PlanNumber(plan.try_get(0).map_err(Failure::from)?))
    }

    /// Waits until it has ended, because it could not be extended.
    pub async fn ended(&self) {
        self.claim.ended.cancelled().await;
    }
}

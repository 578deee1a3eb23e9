//! The connections of a process's readers: a bounded number, which are kept for the next ones.
//!
//! The writer has a connection of its own, since its transactions have one order, and the leases have one. So no reader waits for a
//! write, and no number of readers keeps the others from writing.

use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, Manager, Metrics, Object, PoolError, RecycleError, RecycleResult};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_postgres::Client;

use super::super::StoreError;
use super::super::read::Reader;
use super::connect::Database;
use super::migrate::{LATEST, version};
use super::queries::Connected;
use super::session::within;

/// How long a reader waits while others have all connections.
const WAIT: Duration = Duration::from_secs(5);
/// How long it may take until a reader has one: connections that are kept are tried one after another.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How long the database may take to answer on a connection that was used before.
const ANSWER: Duration = Duration::from_secs(2);
/// The same on a new one.
const FIRST_ANSWER: Duration = Duration::from_secs(10);

/// The connections. Clones share them.
#[derive(Clone, Debug)]
pub struct Pool(managed::Pool<Opener>);

/// What opens them.
#[derive(Debug)]
pub(super) struct Opener(Database);

/// A connection between two transactions.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) client: Client,
    /// What drives it.
    _tasks: JoinSet<()>,
}

/// A connection that goes back to its pool.
pub(super) type Lent = Object<Opener>;

impl Pool {
    /// At most `most` connections, which are made when they are needed.
    pub fn new(database: Database, most: usize) -> Self {
        let pool = managed::Pool::builder(Opener(database))
            .max_size(most)
            .wait_timeout(Some(WAIT))
            .runtime(Runtime::Tokio1);
        Self(pool.build().expect("it has a runtime"))
    }

    /// A reader, once fewer than the most are in use. It must be used and dropped on a thread that may block.
    pub async fn reader(&self) -> Result<Reader, StoreError> {
        let lent = self.lend().await?;
        Ok(Reader::new(Connected::new(lent, Handle::current(), None)))
    }

    pub(super) async fn lend(&self) -> Result<Lent, StoreError> {
        let lent = tokio::time::timeout(LONGEST_WAIT, self.0.get()).await;
        let lent = lent.map_err(|late| StoreError::Unreachable(late.into()))?;
        lent.map_err(|error| match error {
            PoolError::Backend(error) => error,
            PoolError::Timeout(_) => StoreError::ManyReaders,
            other => StoreError::Unreachable(other.to_string().into()),
        })
    }
}

impl Manager for Opener {
    type Type = Line;
    type Error = StoreError;

    async fn create(&self) -> Result<Line, StoreError> {
        let mut tasks = JoinSet::new();
        let client = self.0.connect(&mut tasks).await?;
        check(&client, FIRST_ANSWER).await?;
        Ok(Line {
            client,
            _tasks: tasks,
        })
    }

    /// The database may be gone without having ended the connection.
    async fn recycle(&self, line: &mut Line, _: &Metrics) -> RecycleResult<StoreError> {
        if line.client.is_closed() {
            return Err(RecycleError::message("it was closed"));
        }
        Ok(check(&line.client, ANSWER).await?)
    }
}

/// Checks that the database has a ledger of the version that this program reads.
async fn check(client: &Client, longest: Duration) -> Result<(), StoreError> {
    match within(longest, version(client)).await? {
        LATEST => Ok(()),
        0 => Err(StoreError::NoLedger),
        found if found > LATEST => Err(StoreError::Newer {
            found,
            known: LATEST,
        }),
        found => Err(StoreError::Older {
            found,
            known: LATEST,
        }),
    }
}

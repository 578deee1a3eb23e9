//! The connections of a process's readers: a limited number, which are reused.
//!
//! The writer has its own connection, because its transactions run one after another, and so have the leases. So no
//! reader waits for a write, and no number of readers keeps the writer from writing.

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

/// How long a reader waits for a free connection.
const FREE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it may take in all until a reader has a working connection: unused ones are checked one after another.
const GET_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the database may take to answer on a connection that was used before.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the database may take to answer on a new connection.
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The connections. Clones share them.
#[derive(Clone, Debug)]
pub struct Pool(managed::Pool<Opener>);

/// Opens and checks the connections.
#[derive(Debug)]
pub(super) struct Opener(Database);

/// A connection for readers.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) client: Client,
    /// The task that drives it.
    _tasks: JoinSet<()>,
}

/// A borrowed connection, which goes back to its pool when it is dropped.
pub(super) type Pooled = Object<Opener>;

impl Pool {
    /// A pool of at most `max` connections, which are opened when they are needed.
    pub fn new(database: Database, max: usize) -> Self {
        let pool = managed::Pool::builder(Opener(database))
            .max_size(max)
            .wait_timeout(Some(FREE_TIMEOUT))
            .runtime(Runtime::Tokio1);
        Self(pool.build().expect("it has a runtime"))
    }

    /// A reader, as soon as a connection is free. It must be used and dropped on a thread that may block.
    pub async fn reader(&self) -> Result<Reader, StoreError> {
        let pooled = self.get().await?;
        Ok(Reader::new(Connected::new(pooled, Handle::current(), None)))
    }

    pub(super) async fn get(&self) -> Result<Pooled, StoreError> {
        let pooled = tokio::time::timeout(GET_TIMEOUT, self.0.get()).await;
        let pooled = pooled.map_err(|late| StoreError::Unreachable(late.into()))?;
        pooled.map_err(|error| match error {
            PoolError::Backend(error) => error,
            PoolError::Timeout(_) => StoreError::ManyReaders,
            other => StoreError::Unreachable(other.to_string().into()),
        })
    }
}

impl Manager for Opener {
    type Type = Connection;
    type Error = StoreError;

    async fn create(&self) -> Result<Connection, StoreError> {
        let mut tasks = JoinSet::new();
        let client = self.0.connect(&mut tasks).await?;
        check(&client, FIRST_ANSWER_TIMEOUT).await?;
        Ok(Connection {
            client,
            _tasks: tasks,
        })
    }

    /// Checks a used connection: the database may be gone without having closed it.
    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<StoreError> {
        if connection.client.is_closed() {
            return Err(RecycleError::message("it was closed"));
        }
        Ok(check(&connection.client, ANSWER_TIMEOUT).await?)
    }
}

/// Checks that the database has a ledger of the version that this program reads.
async fn check(client: &Client, time_limit: Duration) -> Result<(), StoreError> {
    match within(time_limit, version(client)).await? {
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

//! Queries of a reader.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::time::Duration;

use futures::TryStreamExt as _;
use rusqlite::types::Value;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinSet;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::super::StoreError;
use super::super::read::{Length, Queries, Reader};
use super::connect::Database;
use super::failure::Failure;
use super::migrate::migrate;
use super::pool::{Pool, Pooled};
use super::table::{Parameter, values};

/// How long a reader waits for an answer of the database, unless it reads all of the ledger.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection for reading.
#[derive(Debug)]
pub(super) struct Connected {
    /// Always `Some` until this is dropped.
    pooled: Option<Pooled>,
    /// The runtime that drives the connection.
    runtime: Handle,
    /// How long the current transaction may take; `None` if there is none.
    begun: Cell<Option<Length>>,
    /// Whether any statement has failed.
    has_failed: Cell<bool>,
    /// The runtime, if only this reader uses it.
    _owned_runtime: Option<Runtime>,
}

/// Opens the ledger in a database for reading, even while other processes write it.
///
/// This must be called, and the reader used and dropped, on a thread that may block.
pub fn read(database: &Database) -> Result<Reader, StoreError> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let pooled = runtime.block_on(Pool::new(database.clone(), 1).get())?;
    let handle = runtime.handle().clone();
    Ok(Reader::new(Connected::new(pooled, handle, Some(runtime))))
}

/// Creates the tables of a ledger, or migrates them to the latest version.
///
/// This must be called on a thread that may block.
pub fn make_tables(database: &Database) -> Result<(), StoreError> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut tasks = JoinSet::new();
    runtime.block_on(async {
        let client = database.connect(&mut tasks).await?;
        Ok(migrate(&client).await?)
    })
}

impl Connected {
    /// A reader that uses a connection driven on `runtime`. `owned` is that runtime if only this reader uses it.
    pub(super) fn new(pooled: Pooled, runtime: Handle, owned: Option<Runtime>) -> Self {
        Self {
            pooled: Some(pooled),
            runtime,
            begun: Cell::default(),
            has_failed: Cell::default(),
            _owned_runtime: owned,
        }
    }

    fn client(&self) -> &Client {
        let pooled = self.pooled.as_ref();
        &pooled.expect("a connection until this is dropped").client
    }

    /// Waits for an answer of the database. Only a transaction that reads all of the ledger has no time limit.
    fn wait<T, E>(&self, answer: impl Future<Output = Result<T, E>>) -> Result<T, StoreError>
    where
        Failure: From<E>,
    {
        let answered = self.runtime.block_on(async {
            match self.begun.get() {
                Some(Length::Full) => Ok(answer.await),
                Some(Length::Short) | None => tokio::time::timeout(TIMEOUT, answer).await,
            }
        });
        let answer = answered
            .map_err(|late| StoreError::Unreachable(late.into()))
            .and_then(|answer| answer.map_err(|error| Failure::from(error).into()));
        self.has_failed
            .set(self.has_failed.get() || answer.is_err());
        answer
    }

    /// Waits for the rows one by one outside of the runtime, so that `each` may block on another database.
    fn select(
        &self,
        sql: &str,
        parameters: &[Value],
        each: &mut dyn FnMut(Vec<Value>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let parameters = parameters.iter().map(parameter);
        let rows = self.wait(self.client().query_typed_raw(sql, parameters))?;
        let mut rows = std::pin::pin!(rows);
        while let Some(row) = self.wait(rows.try_next())? {
            if each(values(&row, 0..row.len())?).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Drop for Connected {
    /// Returns the connection to its pool only if it certainly is in no transaction.
    fn drop(&mut self) {
        let is_reusable = self.begun.get().is_none() && !self.has_failed.get();
        if let Some(pooled) = self.pooled.take().filter(|_| !is_reusable) {
            drop(Pooled::take(pooled));
        }
    }
}

impl Queries for Connected {
    fn query(
        &self,
        sql: &str,
        parameters: &[Value],
        each: &mut dyn FnMut(Vec<Value>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        if self.begun.get().is_some() {
            return self.select(sql, parameters, each);
        }
        // The time-outs are set for a transaction.
        self.begin(Length::Short)?;
        let selected = self.select(sql, parameters, each);
        let ended = self.end();
        selected.and(ended)
    }

    fn begin(&self, length: Length) -> Result<(), StoreError> {
        let (statement, idle) = match length {
            Length::Short => ("9s", "5s"),
            Length::Full => ("0", "5min"),
        };
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
             SET LOCAL statement_timeout = '{statement}'; \
             SET LOCAL idle_in_transaction_session_timeout = '{idle}'"
        );
        self.wait(self.client().batch_execute(&begin))?;
        self.begun.set(Some(length));
        Ok(())
    }

    fn end(&self) -> Result<(), StoreError> {
        let ended = self.wait(self.client().batch_execute("COMMIT"));
        self.begun.set(None);
        ended
    }

    fn check(&self, _: &mut dyn FnMut(String)) -> Result<(), StoreError> {
        // PostgreSQL has its own tools to check its files; they need more rights.
        Ok(())
    }
}

/// A value as a parameter of a query.
fn parameter(value: &Value) -> Parameter<'_> {
    match value {
        Value::Null => (&None::<i64>, Type::INT8),
        Value::Integer(n) => (n, Type::INT8),
        Value::Real(n) => (n, Type::FLOAT8),
        Value::Text(text) => (text, Type::TEXT),
        Value::Blob(bytes) => (bytes, Type::BYTEA),
    }
}

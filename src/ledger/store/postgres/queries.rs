//! The queries of a reader.

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
use super::pool::{Lent, Pool};
use super::table::{Parameter, values};

/// The longest time that a server waits for the database while it reads.
const LONGEST: Duration = Duration::from_secs(10);

/// A connection for reading.
#[derive(Debug)]
pub(super) struct Connected {
    /// It is there until this is dropped.
    lent: Option<Lent>,
    /// Where the connection is driven.
    runtime: Handle,
    /// Whether a transaction has begun, and how long it may take.
    begun: Cell<Option<Length>>,
    /// Whether something has failed.
    has_failed: Cell<bool>,
    /// The runtime, if it is of this reader alone.
    _own: Option<Runtime>,
}

/// Opens the ledger in a database for reading, even while other processes write it.
///
/// This must be called, and the reader used and dropped, on a thread that may block.
pub fn read(database: &Database) -> Result<Reader, StoreError> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let lent = runtime.block_on(Pool::new(database.clone(), 1).lend())?;
    let handle = runtime.handle().clone();
    Ok(Reader::new(Connected::new(lent, handle, Some(runtime))))
}

/// Makes the tables of a ledger, or brings them to the latest version.
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
    /// A reader of a connection that is driven on `runtime`, which is `own` if it is of this reader alone.
    pub(super) fn new(lent: Lent, runtime: Handle, own: Option<Runtime>) -> Self {
        Self {
            lent: Some(lent),
            runtime,
            begun: Cell::default(),
            has_failed: Cell::default(),
            _own: own,
        }
    }

    fn client(&self) -> &Client {
        &self.lent.as_ref().expect("it is there").client
    }

    /// Waits for the database; without a limit only if all of the ledger is read.
    fn wait<T, E>(&self, answer: impl Future<Output = Result<T, E>>) -> Result<T, StoreError>
    where
        Failure: From<E>,
    {
        let answered = self.runtime.block_on(async {
            match self.begun.get() {
                Some(Length::Whole) => Ok(answer.await),
                Some(Length::Short) | None => tokio::time::timeout(LONGEST, answer).await,
            }
        });
        let answer = answered
            .map_err(|late| StoreError::Unreachable(late.into()))
            .and_then(|answer| answer.map_err(|error| Failure::from(error).into()));
        self.has_failed
            .set(self.has_failed.get() || answer.is_err());
        answer
    }

    /// The rows are waited for one by one, so that `each` may wait for another database.
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
    /// Only a connection that certainly is in no transaction goes back to its pool.
    fn drop(&mut self) {
        let is_between = self.begun.get().is_none() && !self.has_failed.get();
        if let Some(lent) = self.lent.take().filter(|_| !is_between) {
            drop(Lent::take(lent));
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
        // Its time-outs need a transaction.
        self.begin(Length::Short)?;
        let selected = self.select(sql, parameters, each);
        let ended = self.end();
        selected.and(ended)
    }

    fn begin(&self, length: Length) -> Result<(), StoreError> {
        let (statement, idle) = match length {
            Length::Short => ("9s", "5s"),
            Length::Whole => ("0", "5min"),
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
        // The server has tools of its own to check its files, which need other rights.
        Ok(())
    }
}

/// A value as a parameter. None of the queries has others than integers, text and bytes.
fn parameter(value: &Value) -> Parameter<'_> {
    match value {
        Value::Null => (&None::<i64>, Type::INT8),
        Value::Integer(n) => (n, Type::INT8),
        Value::Real(n) => (n, Type::FLOAT8),
        Value::Text(text) => (text, Type::TEXT),
        Value::Blob(bytes) => (bytes, Type::BYTEA),
    }
}

//! Ledgers in every kind of store, for the tests.

use rusqlite::Connection;

use super::{ACCOUNT, Answer, DAY, Event, Reader, START, Snapshot, Time};
use crate::ledger::in_memory::InMemory;
#[cfg(feature = "postgres")]
use crate::ledger::store::postgres::{self, testing};
use crate::ledger::store::sqlite::{self, Sqlite};
use crate::ledger::transactor::{Now, Request, Transactor};

/// A ledger in a store, and its simulated time.
pub(super) struct TestLedger {
    ledger: Box<dyn Transactor>,
    store: Store,
    pub(super) now: Time,
}

enum Store {
    File(tempfile::TempDir),
    #[cfg(feature = "postgres")]
    Database(Box<testing::Schema>),
}

/// Runs a test with a file, and with PostgreSQL if `tests/postgres/run` has started it.
pub(super) fn on_each_store(test: impl Fn(TestLedger)) {
    test(TestLedger::file());
    #[cfg(feature = "postgres")]
    if let Some(schema) = testing::schema() {
        test(TestLedger::database(schema));
    }
}

impl TestLedger {
    fn new(ledger: impl Transactor + 'static, store: Store) -> Self {
        Self {
            ledger: Box::new(ledger),
            store,
            now: START.plus(DAY / 2),
        }
    }

    fn file() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Sqlite::open(&folder.path().join("tier.db"), ACCOUNT).expect("a ledger");
        let ledger = InMemory::load(store).expect("a ledger");
        Self::new(ledger, Store::File(folder))
    }

    #[cfg(feature = "postgres")]
    fn database(schema: testing::Schema) -> Self {
        let ledger = postgres::Postgres::open(testing::database(&schema), ACCOUNT);
        Self::new(ledger.expect("a ledger"), Store::Database(Box::new(schema)))
    }

    pub(super) fn reader(&self) -> Reader {
        let reader = match &self.store {
            Store::File(folder) => sqlite::read(&folder.path().join("tier.db")),
            #[cfg(feature = "postgres")]
            Store::Database(schema) => postgres::read(&testing::database(schema)),
        };
        reader.expect("a ledger")
    }

    /// Submits an event that must not be refused.
    pub(super) fn submit(&mut self, event: Event) -> Answer {
        self.submit_all(vec![event]).pop().expect("one answer")
    }

    pub(super) fn submit_all(&mut self, events: Vec<Event>) -> Vec<Answer> {
        let now = Now::TestClock(self.now);
        let transacted = self.ledger.transact(&[Request { events, now }]);
        let mut answers = transacted.expect("a store").answers;
        let answers = answers.pop().expect("one request").into_iter();
        answers.map(|one| one.expect("no refusal")).collect()
    }

    pub(super) fn keep(&mut self, snapshot: &Snapshot) {
        let kept = self.ledger.keep(std::slice::from_ref(snapshot));
        kept.expect("a store");
    }

    pub(super) fn compact(&mut self, before: Time) -> usize {
        self.ledger.compact(before, 10).expect("a store")
    }

    /// Executes a statement on the tables directly.
    pub(super) fn execute(&self, sql: &str) {
        match &self.store {
            Store::File(folder) => {
                let raw = Connection::open(folder.path().join("tier.db")).expect("a file");
                raw.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}"))
                    .expect("a statement");
            }
            #[cfg(feature = "postgres")]
            Store::Database(schema) => schema.execute(sql),
        }
    }
}

//! Two processes that share a ledger, for the tests that run with every store.

pub(in crate::ledger) use ::testing::postgres::Schema;
use rusqlite::types::Value;

use super::super::super::state::{Entry, Event, Reservation, Total};
use super::super::super::transactor::{Answers, Request, Transactor as _};
use super::super::StoreError;
use super::super::columns::{Record, to_row};
use super::table::{ENTRIES, RESERVATIONS, TOTALS, Table, records};
use super::{Database, Postgres};

/// The account of the tests.
const ACCOUNT: &str = "acct_1:test";

/// A new schema in the server that `tests/postgres/run` has started; `None` in other test runs.
pub(in crate::ledger) fn schema() -> Option<Schema> {
    #[expect(clippy::disallowed_methods, reason = "a setting of tests alone")]
    let server = std::env::var("TIER_TEST_POSTGRES").ok()?;
    Some(Schema::create(&server))
}

/// The schema as a ledger's database.
pub(in crate::ledger) fn database(schema: &Schema) -> Database {
    Database::parse(schema.url()).expect("a URL")
}

/// Two processes with a ledger that they take turns to use.
pub(in crate::ledger) struct TwoProcesses {
    schema: Schema,
    processes: [Option<Postgres>; 2],
    turn: usize,
}

impl TwoProcesses {
    /// In a new [schema].
    pub(in crate::ledger) fn start() -> Option<Self> {
        let schema = schema()?;
        // Creates the tables, which the tests then change.
        let first = Postgres::open(database(&schema), ACCOUNT).expect("a ledger");
        Some(Self {
            schema,
            processes: [Some(first), None],
            turn: 0,
        })
    }

    /// Lets the next process apply the request.
    pub(in crate::ledger) fn submit(&mut self, request: Request) -> Result<Answers, StoreError> {
        self.turn += 1;
        let database = database(&self.schema);
        let process = self.processes[self.turn % 2]
            .get_or_insert_with(|| Postgres::open(database, ACCOUNT).expect("a ledger"));
        // Sometimes the process syncs with the other one first; otherwise it finds the changes under the locks.
        let concerns_all = matches!(request.events[0], Event::Seal(_) | Event::Expire);
        if concerns_all || self.turn.is_multiple_of(3) {
            process.sync().expect("a server");
        }
        let mut transacted = process.transact(&[request])?;
        Ok(transacted.answers.pop().expect("one request"))
    }

    /// Both processes crash.
    pub(in crate::ledger) fn crash(&mut self) {
        self.processes = [None, None];
    }

    /// Sets whether the next commits fail.
    pub(in crate::ledger) fn set_failing(&mut self, fails: bool) {
        self.schema.execute(if fails {
            "ALTER TABLE writers ADD CONSTRAINT fails CHECK (written_at < 0) NOT VALID"
        } else {
            "ALTER TABLE writers DROP CONSTRAINT IF EXISTS fails"
        });
    }

    /// Deletes all entries, and the level of their total.
    pub(in crate::ledger) fn forget_entries(&self, total: &Total) {
        let Some(Value::Integer(digest)) = to_row(total).pop() else {
            panic!("a digest");
        };
        self.schema.execute(&format!(
            "DELETE FROM entries; UPDATE totals SET level_at = NULL, digest = {digest}; \
             UPDATE orgs SET version = nextval('transactions'), changed_at = ledger_now()"
        ));
    }

    pub(in crate::ledger) fn totals(&self) -> Vec<Total> {
        self.all(&TOTALS)
    }

    pub(in crate::ledger) fn reservations(&self) -> Vec<Reservation> {
        self.all(&RESERVATIONS)
    }

    pub(in crate::ledger) fn entries(&self) -> Vec<Entry> {
        self.all(&ENTRIES)
    }

    fn all<R: Record>(&self, table: &Table) -> Vec<R> {
        let sql = format!(
            "SELECT {} FROM {} ORDER BY id",
            table.selected(),
            table.name()
        );
        records(&self.schema.query(&sql, &[])).expect("rows as they were written")
    }
}

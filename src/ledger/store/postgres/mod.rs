//! A ledger in PostgreSQL, which any number of processes share.
//!
//! # How it is shared
//!
//! The rules are those of the state machine, as with one process. A batch of events is one transaction:
//!
//! 1. The rows of the orgs that the events concern are locked in `orgs`, in the order of their names.
//! 2. Their records are read, unless the process has a copy of the stored version.
//! 3. The events are applied to a state of these records alone.
//! 4. The changed records, the version of their orgs and the number of the transaction are written, and committed.
//!
//! # Invariants
//!
//! - Records of an org are changed only under its lock, so the changes of an org have one order, whoever makes them.
//! - The number of a transaction is taken under its locks. The versions of an org, and the numbers of its totals and
//!   entries, ascend in the order of its changes.
//! - A process that lost its connection during a commit repeats the transaction with the same locks. It gets them once
//!   the first attempt has ended, and then finds in `writers` whether that was committed. So nothing is applied twice.
//! - A set is handed out in the transaction that stores it. Another process hands it out again only when it has been
//!   unanswered for longer than a request may take, and with the same key; nothing newer is handed out before. So the
//!   time of the last hand-out is the lease of a total's delivery, and correctness does not depend on it.
//! - A process changes an org's plan only while it holds the org's lease and has made the number of the plan odd. A
//!   transaction refuses usage whose target was read at another number, or at an odd one. So no process bills usage by
//!   a plan that another one has changed. A process that has lost the lease cannot change the number.
//! - Events have the time of the database under the locks, or the time of a test clock. The clocks of the processes
//!   decide nothing.
//! - A process's copy of the records (`Mirror`) decides nothing either: every decision is made under locks. The copy
//!   answers reads of usage, and shows which orgs a transaction of all orgs concerns.
//! - Nothing depends on a session: all settings end with the transaction, and statements have no names. A
//!   pooler in transaction mode, such as pgbouncer, can be in between.
//! - A transaction takes at most ten seconds. The server ends one whose process hangs after five. `Mirror` is behind
//!   by at most the time between two calls of [`sync`](Transactor::sync), which reads the orgs that were changed since
//!   the last one, and sixty seconds before it.
//!
//! # Limitations
//!
//! The answers to requests with an idempotency key, except reports of usage, are known only to the process that gave
//! them. A migration of orgs can run in two processes: each org is moved once, and each process shows its own
//! progress.

mod compact;
mod connect;
mod failure;
mod import;
mod keys;
mod lease;
mod migrate;
mod mirror;
mod notices;
mod pool;
mod queries;
mod session;
mod table;
#[cfg(test)]
pub(in crate::ledger) mod testing;
mod tls;
mod transaction;

use tokio::runtime::{Builder, Runtime};

use super::super::state::Reservation;
use super::super::transactor::{Figures, Learned, Notice, Now, Request, Transacted, Transactor};
use super::super::values::{ReservationId, Time};
use super::{Snapshot, StoreError};
use session::Session;

pub use connect::Database;
pub use import::{Counts, Destination, Import};
pub use keys::account_of_key;
pub use lease::{Lease, Leases};
pub use pool::Pool;
pub use queries::{make_tables, read};

/// The connection of a process's writer to the ledger.
#[derive(Debug)]
pub struct Postgres {
    /// Runs only on the writer's thread.
    runtime: Runtime,
    session: Session,
}

impl Postgres {
    /// Opens the ledger of `account`. Creates the tables if there are none.
    ///
    /// This must be called, and the result used and dropped, on a thread that may block, such as the writer's.
    pub fn open(database: Database, account: &str) -> Result<Self, StoreError> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut session = Session::new(database);
        runtime.block_on(session.open(account))?;
        Ok(Self { runtime, session })
    }

    /// Stores that the API key with this digest belongs to the ledger's account.
    pub fn remember_key(&mut self, digest: &str) -> Result<(), StoreError> {
        self.runtime.block_on(self.session.remember_key(digest))
    }
}

impl Transactor for Postgres {
    fn figures(&mut self) -> Result<Figures, StoreError> {
        self.sync()
    }

    fn transact(&mut self, requests: &[Request]) -> Result<Transacted, StoreError> {
        self.runtime.block_on(self.session.transact(requests))
    }

    fn give_up(&mut self) {
        self.session.give_up();
    }

    fn reservation(
        &mut self,
        id: &ReservationId,
        now: Now,
    ) -> Result<Option<(Reservation, Time)>, StoreError> {
        self.runtime.block_on(self.session.reservation(id, now))
    }

    fn sync(&mut self) -> Result<Figures, StoreError> {
        self.runtime.block_on(self.session.sync())
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn learned(&mut self) -> Learned {
        self.session.learned()
    }

    fn send_notice(&mut self, notice: &Notice) -> Result<(), StoreError> {
        self.runtime.block_on(self.session.send_notice(notice))
    }

    fn keep(&mut self, snapshots: &[Snapshot]) -> Result<(), StoreError> {
        self.runtime.block_on(self.session.keep(snapshots))
    }

    fn compact(&mut self, before: Time, max: usize) -> Result<usize, StoreError> {
        self.runtime.block_on(self.session.compact(before, max))
    }
}

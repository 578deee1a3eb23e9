//! The ledger: recorded usage, and its delivery to Stripe.
//!
//! An append-only record of usage is the source of truth, and Stripe receives the totals. The ledger treats orgs,
//! features, items and periods as opaque texts and times. It does not decide who may use a feature, and it does not
//! call Stripe.
//!
//! # Parts
//!
//! | part | contents |
//! |---|---|
//! | [`state`] | the rules: a pure state machine, `(state, event, time) → (state, answer, what to store)` |
//! | [`transactor`] | the [`Transactor`] interface: how events are applied and stored; `in_memory` implements it for one process |
//! | [`store`] | durable storage: [`sqlite`](store::sqlite) for one process, behind the [`Store`] interface, and PostgreSQL for many processes, with the feature `postgres` |
//! | [`Location`] | where a ledger is, and how it is opened there |
//! | `moving` | how a file's ledger is moved to a database, with the feature `postgres` |
//! | [`Replicas`] | exclusive access to an org among the processes that share a ledger |
//! | [`Ledger`], [`Writer`] | the thread that writes to the store, many reports in a commit |
//! | [`values`] | the basic types |
//!
//! # How to use it
//!
//! [`Ledger::start`] opens a store. Everything that changes the ledger is an [`Event`](state::Event) given to
//! [`Ledger::submit`], which answers once it is on disk. [`Ledger::used`] reads from memory. The caller provides the
//! time, the ids of reservations, and with each report a [`Target`](values::Target), taken from the org's subscription.
//!
//! A **report** is `Event::Report`. A thousand of them in one `submit` are one commit. **Reservations** are `Reserve`,
//! `Commit` and `Release`. A background task submits `Expire` about once a second.
//!
//! A **sender** submits `Seal` about once a second and handles the answer:
//!
//! 1. Each [`Set`](state::Set) is a usage record to send: `action=set`, with its quantity, timestamp and key unchanged,
//!    and with a time-out below 20 seconds. The sender submits the [`Outcome`](state::Outcome) as `Answered`. A set
//!    whose outcome is lost, or whose sender has died, is handed out again.
//!    Each [`MeterEvent`](state::MeterEvent) is an event to send to a meter in the same way. A total's events are a
//!    minute apart.
//! 2. Each [`ReadSummary`](state::ReadSummary) is a summary to read. The sender submits the value as `Summary`. The
//!    caller may also submit a `Summary` that was not requested, with the number that the total's delivery had before
//!    the read began.
//! 3. Each [`Move`](state::Move) asks for the current target of a feature: for usage that is too late for its period,
//!    or for a level that its meter loses when the period ends. The sender submits `TooLate` or `Continue`.
//!
//! A **plan change** of an org takes four steps. Hold the org's reports. Submit `Seal` with the org until it hands out
//! nothing: Stripe then has all usage. Change the plan. Let the reports continue. The next report of a feature opens a
//! total for the feature's new item, which takes over the level of the previous item. A change that moves levels in
//! Stripe itself submits `TakeOver`.
//!
//! Once the invoice of a period is known, `Settle` compares it with the total. A [`Reader`](store::read::Reader) of
//! the same file lists the totals that are not settled and those that are parked. [`Ledger::compact`] replaces old
//! entries by daily totals.
//!
//! # Limitations
//!
//! Items with billing thresholds accept increments only, so they must not be targets unless their price has a meter.

mod in_memory;
mod location;
#[cfg(feature = "postgres")]
pub mod moving;
mod replicas;
pub mod state;
pub mod store;
pub mod transactor;
pub mod values;
mod view;
mod writer;

#[cfg(test)]
mod tests;

pub use location::{Location, Readers, Unclaimed};
pub use replicas::{HeldOrg, PlanChange, Replicas};
pub use store::{Snapshot, Store, StoreError};
pub use transactor::{Answers, Notice, Now, Transactor};
pub use writer::{Ledger, Unavailable, Writer};

//! The ledger: usage that is kept, and what Stripe has been told of it.
//!
//! An append-only record of usage is the source of truth, and Stripe is told the result. The ledger knows orgs, features,
//! items and periods as texts and times; who may use what, and how Stripe is called, is the affair of others.
//!
//! # Parts
//!
//! | part | what it is |
//! |---|---|
//! | [`state`] | the rules: a pure state machine, `(state, event, time) → (state, answer, what to store)` |
//! | [`store`] | where it is kept: the [`Store`] interface, and [`sqlite`](store::sqlite) |
//! | [`Ledger`], [`Writer`] | one thread that stores what everybody reports, many reports in a commit |
//! | [`values`] | the words |
//!
//! # How to use it
//!
//! [`Ledger::start`] opens a store. Everything that changes the ledger is an [`Event`](state::Event) given to
//! [`Ledger::submit`], which answers once it is on disk. [`Ledger::used`] reads from memory. The caller brings the time, the
//! ids of reservations, and with each report a [`Target`](values::Target): what it knows of the org's subscription.
//!
//! A **report** is `Event::Report`; a thousand of them in one `submit` are one commit. **Reservations** are `Reserve`,
//! `Commit` and `Release`; somebody submits `Expire` every second or so.
//!
//! A **sender** submits `Seal` every second or so, and does what it is handed:
//!
//! 1. Each [`Set`](state::Set) is a usage record to send: `action=set`, with its quantity, timestamp and key as they are, and
//!    with a time-out below 20 seconds. The [`Outcome`](state::Outcome) is submitted as `Answered`. A set whose outcome is
//!    lost, or whose sender has died, is handed out again by itself.
//! 2. Each [`ReadSummary`](state::ReadSummary) is a summary to read, which is submitted as `Summary`. A `Summary` that
//!    nobody asked for is welcome too, with the number that the total's delivery had before the reading began.
//!
//! A **plan change** of an org: hold its reports; `Seal` with the org, again until it hands out nothing, which tells Stripe all
//! that was used; make the change; let the reports go. The next report of a feature opens a total of the item that it has then,
//! which takes over the level of the one before. Who moves levels by himself submits `Detach` before the change, and after it
//! `Attach` with each feature's target, which can be repeated, also after a restart.
//!
//! Once the invoice of a period is known, `Settle` compares; a [`Reader`](store::sqlite::Reader) of the same file lists the
//! totals that are not settled, and those that are parked. [`Ledger::compact`] keeps old entries as daily totals.
//!
//! # What is not here yet
//!
//! There is nothing for meters but `sealed_batches`, an empty table. Items with billing thresholds, which take increments only, must not be targets.

pub mod state;
pub mod store;
pub mod values;
mod view;
mod writer;

#[cfg(test)]
mod tests;

pub use store::{Snapshot, Store, StoreError};
pub use writer::{Answers, Ledger, Unavailable, Writer};

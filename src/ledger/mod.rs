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
//! | [`values`] | the words |
//!
//! # What is not here yet
//!
//! The thread that writes, and who calls it.

pub mod state;
pub mod store;
pub mod values;

pub use store::{Store, StoreError};

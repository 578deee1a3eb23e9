//! Helpers for the tests of several crates.

pub mod answers;
pub mod observed;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod receiver;
pub mod time;

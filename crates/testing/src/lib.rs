//! Helpers for the tests of several crates.

pub mod answers;
pub mod observed;
pub mod receiver;
pub mod time;

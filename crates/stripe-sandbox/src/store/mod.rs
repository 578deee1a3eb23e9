//! Where things are kept: [ids], [tables](table) and [pages](page) of them, an [account] of all tables, the
//! [accounts], and what a handler [works with](context).

pub(crate) mod account;
pub(crate) mod accounts;
pub(crate) mod context;
pub(crate) mod idempotency;
pub(crate) mod ids;
pub(crate) mod page;
pub(crate) mod table;
pub(crate) mod timelines;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic in a handler is a bug that its caller sees; the others go on.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

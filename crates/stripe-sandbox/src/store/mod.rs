//! Storage: [ids], [tables](table) and [pages](page) of them, an [account] with its tables, all [accounts], and the
//! [context] of handlers.

pub(crate) mod account;
pub(crate) mod accounts;
pub(crate) mod context;
pub(crate) mod due_queue;
pub(crate) mod idempotency;
pub(crate) mod ids;
pub(crate) mod page;
pub(crate) mod table;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic in a handler fails only its own call.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

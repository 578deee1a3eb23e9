//! Where things are kept.

pub(crate) mod context;
pub(crate) mod idempotency;
pub(crate) mod ids;
pub(crate) mod page;
pub(crate) mod state;
pub(crate) mod table;

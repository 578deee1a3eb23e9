//! Invoice payments: the payment intents of invoices, which later versions show as objects of their own. An invoice of
//! the sandbox has at most one. They have no state: their id is made of the intent's.

pub(crate) mod routes;
pub(crate) mod view;

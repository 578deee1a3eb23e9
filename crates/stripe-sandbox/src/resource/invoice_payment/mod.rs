//! Invoice payments: later versions show the payment intent of an invoice as an object of its own. An invoice of the
//! sandbox has at most one. They are not stored: their id is derived from the intent's.

pub(crate) mod routes;
pub(crate) mod view;

//! The billing half of an account: subscriptions, schedules, usage, invoices and checkout sessions.

use serde_json::Value;

use super::context::Ctx;
use super::ids::Id;
use super::routes::Route;
use super::state::Account;

/// The tables and indexes of the billing half.
#[derive(Debug, Default)]
pub(crate) struct Billing {}

/// The billing half's endpoints.
pub(crate) const ROUTES: &[Route] = &[];

/// Renders an object of the billing half by its id, for `expand[]`.
pub(crate) fn render(_account: &Account, _now: i64, _id: &str) -> Option<Value> {
    None
}

/// Renders what an object shows only when it is expanded, such as a customer's `subscriptions`.
pub(crate) fn include(
    _account: &Account,
    _now: i64,
    _object: &Value,
    _field: &str,
) -> Option<Value> {
    None
}

/// A customer is being deleted: its subscriptions are canceled at once, without an invoice.
pub(crate) fn customer_deleted(_ctx: &mut Ctx<'_>, _customer: &Id) {}

/// A test clock and its customers are going away with everything that is theirs, without a trace.
pub(crate) fn customer_erased(_account: &mut Account, _customer: &Id) {}

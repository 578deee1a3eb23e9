//! Payments: [intents](intent), the [charges](charge) that they make, [refunds](refund) of these, and what they do to the
//! [balance].
//!
//! An intent is confirmed with a payment method, and then waits for the customer's authentication, or is charged; see
//! [`process`]. Those of invoices are made and confirmed by the billing half, which is told when one is confirmed here.

use serde_json::Value;

use super::balance_transaction;
use super::charge::{self, Charge};
use super::payment_intent::{self, Intent};
use super::refund::{self, Refund};
use super::routes::Route;
use crate::store::ids::Id;
use crate::store::state::Account;
use crate::store::table::{Row, Table};

/// An account's payments.
#[derive(Debug, Default)]
pub(crate) struct Payments {
    pub(crate) intents: Table<Intent>,
    pub(crate) charges: Table<Charge>,
    pub(crate) refunds: Table<Refund>,
}

/// The endpoints.
pub(crate) const ROUTES: &[&[Route]] = &[
    payment_intent::routes::ROUTES,
    charge::ROUTES,
    refund::ROUTES,
    balance_transaction::ROUTES,
];

/// Renders a payment's object by its id, for `expand[]`.
pub(crate) fn render(account: &Account, now: i64, id: &str) -> Option<Value> {
    let payments = &account.payments;
    match id.split('_').next()? {
        "pi" => payments.intents.get(id).map(Intent::to_json),
        "ch" => Some(payments.charges.get(id)?.to_json(account)),
        "txn" => balance_transaction::render(account, now, id),
        "re" => payments.refunds.get(id).map(Refund::to_json),
        _ => None,
    }
}

/// Renders what an object shows only when it is expanded: a charge's `refunds`.
pub(crate) fn include(account: &Account, object: &Value, field: &str) -> Option<Value> {
    match (object["object"].as_str()?, field) {
        ("charge", "refunds") => {
            let charge = account.payments.charges.get(object["id"].as_str()?)?;
            Some(refund::of_charge(account, charge))
        }
        _ => None,
    }
}

/// A customer goes away without a trace, and its payments with it.
pub(crate) fn customer_erased(account: &mut Account, customer: &Id) {
    let payments = &mut account.payments;
    let refunds = forget(&mut payments.charges, |charge| {
        charge.customer.as_ref() == Some(customer)
    });
    forget(&mut payments.intents, |intent| {
        intent.customer.as_ref() == Some(customer)
    });
    forget(&mut payments.refunds, |refund| {
        refunds.contains(&refund.charge)
    });
}

/// Removes rows, and says their ids.
fn forget<T: Row>(table: &mut Table<T>, goes: impl Fn(&T) -> bool) -> Vec<Id> {
    let gone: Vec<Id> = table
        .iter()
        .filter(|row| goes(row))
        .map(|row| row.id().clone())
        .collect();
    for id in &gone {
        table.remove(id);
    }
    gone
}

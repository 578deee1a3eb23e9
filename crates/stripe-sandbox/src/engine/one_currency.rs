//! One currency per customer. Stripe allows another one only if nothing is left in the previous one: no subscription or
//! schedule, no amount discount, no balance and no unpaid invoice.

use crate::error::{Error, Result};
use crate::money::currency::Currency;
use crate::resource::coupon::Off;
use crate::resource::customer::Customer;
use crate::store::account::Account;
use crate::store::ids::Id;

/// Checks that the customer may be billed in `currency`. `except` is a schedule that is being replaced.
///
/// # Errors
/// Stripe's, if the customer is bound to another currency.
pub(crate) fn check(
    account: &Account,
    customer: &Customer,
    currency: Currency,
    except: Option<&Id>,
) -> Result<()> {
    let billing = &account.billing;
    let subscriptions = customer.subscriptions.iter();
    let subscriptions = subscriptions
        .filter_map(|position| billing.subscriptions.at(*position))
        .filter(|subscription| !subscription.status.is_ended())
        .map(|subscription| subscription.currency);
    let schedules = customer.schedules.iter();
    let schedules = schedules
        .filter_map(|position| billing.schedules.at(*position))
        .filter(|schedule| schedule.status.is_live() && Some(&schedule.id) != except)
        .filter_map(|schedule| schedule.phases.first())
        .map(|phase| phase.currency);
    let discount = customer
        .discount()
        .and_then(|discount| match discount.coupon.off {
            Off::Amount(_, currency) => Some(currency),
            Off::Percent(_) => None,
        });
    let owed = customer
        .currency
        .filter(|bound| *bound != currency && has_open_amounts(account, customer));
    let bound = subscriptions.chain(schedules).chain(discount).chain(owed);
    match bound.into_iter().find(|bound| *bound != currency) {
        Some(bound) => Err(Error::invalid(format!(
            "You cannot combine currencies on a single customer. This customer has had a subscription, coupon, or invoice item with currency {}",
            bound.as_str()
        ))),
        None => Ok(()),
    }
}

/// Whether the customer has a balance or an unpaid invoice.
fn has_open_amounts(account: &Account, customer: &Customer) -> bool {
    customer.balance != 0 || account.has_unpaid_invoices(customer)
}

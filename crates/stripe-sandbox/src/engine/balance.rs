//! A customer's balance. Each change is recorded with its cause.

use crate::money::currency;
use crate::params::metadata::Metadata;
use crate::resource::customer_balance::{Cause, CustomerBalanceTransaction};
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// Adds an amount to a customer's balance and records the cause. Returns the transaction's id, if the amount is not 0.
pub(crate) fn change(
    ctx: &mut Ctx<'_>,
    customer: &Id,
    amount: i64,
    cause: Cause,
    at: i64,
) -> Option<Id> {
    let row = ctx.account.customers.get_mut(customer)?;
    row.balance = row.balance.saturating_add(amount);
    record(ctx, customer, amount, cause, at)
}

/// Records a change that the customer's balance already includes. Returns the transaction's id, if the amount is not 0.
pub(crate) fn record(
    ctx: &mut Ctx<'_>,
    customer: &Id,
    amount: i64,
    cause: Cause,
    at: i64,
) -> Option<Id> {
    let row = ctx.account.customers.get(customer)?;
    if amount == 0 {
        return None;
    }
    let (ending_balance, currency) = (row.balance, row.currency);
    let id = ctx.account.ids.next("cbtxn", 24);
    ctx.account
        .customer_balance_transactions
        .insert(CustomerBalanceTransaction {
            id: id.clone(),
            customer: customer.clone(),
            created: at,
            amount,
            ending_balance,
            currency: currency.unwrap_or_else(currency::usd),
            cause,
            description: None,
            metadata: Metadata::default(),
        });
    Some(id)
}

/// Deletes the transactions of a customer that is being erased.
pub(crate) fn customer_erased(account: &mut Account, customer: &Id) {
    let all = account.customer_balance_transactions.iter();
    let removed = all.filter(|transaction| transaction.customer == *customer);
    let removed: Vec<Id> = removed.map(|transaction| transaction.id.clone()).collect();
    for id in removed {
        account.customer_balance_transactions.remove(&id);
    }
}

//! A customer's balance: every change of it is kept with its cause.

use crate::money::currency;
use crate::params::metadata::Metadata;
use crate::resource::customer_balance::{Cause, Transaction};
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// Adds an amount to a customer's balance, and keeps why. Answers with the transaction's id, if that is a change.
pub(crate) fn change(
    ctx: &mut Ctx<'_>,
    customer: &Id,
    amount: i64,
    cause: Cause,
    at: i64,
) -> Option<Id> {
    let holder = ctx.account.customers.get_mut(customer)?;
    holder.balance = holder.balance.saturating_add(amount);
    note(ctx, customer, amount, cause, at)
}

/// Keeps why a customer's balance, which is as it is now, has changed by an amount.
pub(crate) fn note(
    ctx: &mut Ctx<'_>,
    customer: &Id,
    amount: i64,
    cause: Cause,
    at: i64,
) -> Option<Id> {
    let holder = ctx.account.customers.get(customer)?;
    if amount == 0 {
        return None;
    }
    let (ending_balance, currency) = (holder.balance, holder.currency);
    let id = ctx.account.ids.next("cbtxn", 24);
    ctx.account.balance_transactions.insert(Transaction {
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

/// A customer goes away without a trace, and its transactions with it.
pub(crate) fn customer_erased(account: &mut Account, customer: &Id) {
    let all = account.balance_transactions.iter();
    let gone = all.filter(|one| one.customer == *customer);
    let gone: Vec<Id> = gone.map(|one| one.id.clone()).collect();
    for id in gone {
        account.balance_transactions.remove(&id);
    }
}

//! `/v1/customers/:id/balance_transactions`

use serde_json::Value;

use super::{Cause, OBJECT, Transaction, WHAT};
use crate::engine::balance::change;
use crate::engine::one_currency;
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::metadata::Metadata;
use crate::resource::customer;
use crate::resource::price::MAX_AMOUNT;
use crate::resource::route::{Route, route};
use crate::store::context::Ctx;
use crate::store::page::Page;

const ALL: &str = "/v1/customers/:id/balance_transactions";

const ONE: &str = "/v1/customers/:id/balance_transactions/:id";

pub(crate) const ROUTES: &[Route] = &[
    route("POST", ALL, create, OBJECT),
    route("GET", ALL, list, "list:customer_balance_transaction"),
    route("GET", ONE, retrieve, OBJECT),
    route("POST", ONE, update, OBJECT),
];

/// `POST /v1/customers/:id/balance_transactions`
fn create(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let holder = customer::input::find(ctx, &ctx.arg(0))?;
    let amount = params.integer("amount")?;
    let amount = amount.ok_or_else(|| params.missing("amount"))?;
    if holder.balance.saturating_add(amount).abs() > MAX_AMOUNT {
        return Err(Error::malformed(
            "amount",
            "Invalid integer: the balance would be too large.",
        ));
    }
    let currency = params.currency("currency")?;
    let currency = currency.ok_or_else(|| params.missing("currency"))?;
    one_currency::check(ctx.account, holder, currency, None)?;
    let description = params.nullable("description")?.value().map(str::to_owned);
    let metadata = params.metadata()?.apply(&Metadata::default())?;
    if amount == 0 {
        return Err(Error::invalid("The `amount` must not be 0.").param("amount"));
    }
    params.finish()?;
    let (id, at) = (holder.id.clone(), ctx.time_of(&holder.id));
    let before = holder.to_json(at);
    if let Some(holder) = ctx.account.customers.get_mut(&id) {
        holder.currency = Some(currency);
    }
    let made = change(ctx, &id, amount, Cause::Adjustment, at).expect("a change");
    if let Some(row) = ctx.account.balance_transactions.get_mut(&made) {
        row.description = description;
        row.metadata = metadata;
    }
    let after = customer::input::find(ctx, &id)?.to_json(at);
    ctx.update_event("customer.updated", &before, &after, at);
    Ok(one(ctx, &made)?.to_json())
}

/// `GET /v1/customers/:id/balance_transactions`
fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    params.finish()?;
    let id = customer::input::find(ctx, &ctx.arg(0))?.id.clone();
    let cut = page.of_table(&ctx.account.balance_transactions, WHAT, |one| {
        one.customer == id
    })?;
    let url = format!("/v1/customers/{id}/balance_transactions");
    Ok(cut.to_json(&url, Transaction::to_json))
}

/// `GET /v1/customers/:id/balance_transactions/:id`
fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    Ok(of_customer(ctx)?.to_json())
}

/// `POST /v1/customers/:id/balance_transactions/:id`: what it says, which is no money.
fn update(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let mut changed = of_customer(ctx)?.clone();
    params
        .nullable("description")?
        .map(str::to_owned)
        .apply(&mut changed.description);
    changed.metadata = params.metadata()?.apply(&changed.metadata)?;
    params.finish()?;
    if let Some(row) = ctx.account.balance_transactions.get_mut(&changed.id) {
        row.clone_from(&changed);
    }
    Ok(changed.to_json())
}

fn one<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a Transaction> {
    let found = ctx.account.balance_transactions.get(id);
    found.ok_or_else(|| Error::not_found(WHAT, id))
}

/// The transaction that the URL names, of the customer that it names.
fn of_customer<'a>(ctx: &'a Ctx<'_>) -> Result<&'a Transaction> {
    let holder = customer::input::find(ctx, &ctx.arg(0))?;
    let id = ctx.arg(1);
    let found = one(ctx, &id)?;
    if found.customer != holder.id {
        return Err(Error::not_found(WHAT, &id));
    }
    Ok(found)
}

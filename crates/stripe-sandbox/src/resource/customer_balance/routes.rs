//! `/v1/customers/:id/balance_transactions`

use serde_json::Value;

use super::{Cause, CustomerBalanceTransaction, NAME, OBJECT};
use crate::engine::{balance, one_currency};
use crate::error::{Error, Result};
use crate::money::currency::Currency;
use crate::params::Params;
use crate::params::metadata::Metadata;
use crate::resource::customer;
use crate::resource::price::MAX_AMOUNT;
use crate::resource::route::Route;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;

const ALL: &str = "/v1/customers/:id/balance_transactions";

const ONE: &str = "/v1/customers/:id/balance_transactions/:id";

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new("POST", ALL, OBJECT, read_create, create),
        Route::new(
            "GET",
            ALL,
            "list:customer_balance_transaction",
            read_list,
            list,
        ),
        Route::without_params("GET", ONE, OBJECT, retrieve),
        Route::new("POST", ONE, OBJECT, read_update, update),
    ]
}

/// The parameters of a new transaction.
struct NewTransaction {
    customer: Id,
    amount: i64,
    currency: Currency,
    description: Option<String>,
    metadata: Metadata,
}

fn read_create(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<NewTransaction> {
    let customer = customer::input::find(ctx, &ctx.arg(0))?;
    let amount = params.integer("amount")?;
    let amount = amount.ok_or_else(|| params.missing("amount"))?;
    if customer.balance.saturating_add(amount).abs() > MAX_AMOUNT {
        return Err(Error::malformed(
            "amount",
            "Invalid integer: the balance would be too large.",
        ));
    }
    let currency = params.currency("currency")?;
    let currency = currency.ok_or_else(|| params.missing("currency"))?;
    one_currency::check(ctx.account, customer, currency, None)?;
    let description = params.nullable("description")?.value().map(str::to_owned);
    let metadata = params.metadata()?.apply(&Metadata::default())?;
    if amount == 0 {
        return Err(Error::invalid("The `amount` must not be 0.").param("amount"));
    }
    Ok(NewTransaction {
        customer: customer.id.clone(),
        amount,
        currency,
        description,
        metadata,
    })
}

/// `POST /v1/customers/:id/balance_transactions`
fn create(ctx: &mut Ctx<'_>, new: NewTransaction) -> Result<Value> {
    let id = new.customer;
    let at = ctx.time_of(&id);
    let before = customer::input::find(ctx, &id)?.to_json(at);
    if let Some(customer) = ctx.account.customers.get_mut(&id) {
        customer.currency = Some(new.currency);
    }
    let transaction =
        balance::change(ctx, &id, new.amount, Cause::Adjustment, at).expect("a change");
    if let Some(row) = ctx
        .account
        .customer_balance_transactions
        .get_mut(&transaction)
    {
        row.description = new.description;
        row.metadata = new.metadata;
    }
    let after = customer::input::find(ctx, &id)?.to_json(at);
    ctx.update_event("customer.updated", &before, &after, at);
    Ok(find(ctx, &transaction)?.to_json())
}

fn read_list(_: &Ctx<'_>, params: &Params<'_>) -> Result<Page> {
    Page::read(params)
}

/// `GET /v1/customers/:id/balance_transactions`
fn list(ctx: &mut Ctx<'_>, page: Page) -> Result<Value> {
    let id = customer::input::find(ctx, &ctx.arg(0))?.id.clone();
    let rows = page.of_table(
        &ctx.account.customer_balance_transactions,
        NAME,
        |transaction| transaction.customer == id,
    )?;
    let url = format!("/v1/customers/{id}/balance_transactions");
    Ok(rows.to_json(&url, CustomerBalanceTransaction::to_json))
}

/// `GET /v1/customers/:id/balance_transactions/:id`
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    Ok(of_customer(ctx)?.to_json())
}

fn read_update(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<CustomerBalanceTransaction> {
    let mut changed = of_customer(ctx)?.clone();
    params
        .nullable("description")?
        .map(str::to_owned)
        .apply(&mut changed.description);
    changed.metadata = params.metadata()?.apply(&changed.metadata)?;
    Ok(changed)
}

/// `POST /v1/customers/:id/balance_transactions/:id`: updates its texts, not its amount.
fn update(ctx: &mut Ctx<'_>, changed: CustomerBalanceTransaction) -> Result<Value> {
    if let Some(row) = ctx
        .account
        .customer_balance_transactions
        .get_mut(&changed.id)
    {
        row.clone_from(&changed);
    }
    Ok(changed.to_json())
}

fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a CustomerBalanceTransaction> {
    let found = ctx.account.customer_balance_transactions.get(id);
    found.ok_or_else(|| Error::not_found(NAME, id))
}

/// The transaction in the URL, which must belong to the customer in the URL.
fn of_customer<'a>(ctx: &'a Ctx<'_>) -> Result<&'a CustomerBalanceTransaction> {
    let customer = customer::input::find(ctx, &ctx.arg(0))?;
    let id = ctx.arg(1);
    let found = find(ctx, &id)?;
    if found.customer != customer.id {
        return Err(Error::not_found(NAME, &id));
    }
    Ok(found)
}

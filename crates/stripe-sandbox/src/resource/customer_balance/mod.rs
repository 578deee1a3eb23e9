//! `/v1/customers/:id/balance_transactions`: each change of a customer's balance, and why it was made.

use serde_json::{Value, json};

use super::customer;
use super::price::MAX_AMOUNT;
use super::routes::{Route, route};
use crate::engine::one_currency;
use crate::error::{Error, Result};
use crate::money::currency::{self, Currency};
use crate::params::Params;
use crate::params::metadata::Metadata;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;
use crate::store::state::Account;
use crate::store::table::Row;

const ALL: &str = "/v1/customers/:id/balance_transactions";
const ONE: &str = "/v1/customers/:id/balance_transactions/:id";
const OBJECT: &str = "customer_balance_transaction";
const WHAT: &str = "customer balance transaction";

pub(crate) const ROUTES: &[Route] = &[
    route("POST", ALL, create, OBJECT),
    route("GET", ALL, list, "list:customer_balance_transaction"),
    route("GET", ONE, retrieve, OBJECT),
    route("POST", ONE, update, OBJECT),
];

/// Why a balance changes.
#[derive(Clone, Debug)]
pub(crate) enum Cause {
    /// A request says so.
    Adjustment,
    /// The customer was made with it.
    Initial,
    /// An invoice takes a part of it, or adds what it credits or cannot charge.
    AppliedToInvoice(Id),
    /// An invoice of less than can be charged is added.
    InvoiceTooSmall(Id),
    /// What an invoice had taken goes back.
    UnappliedFromInvoice(Id),
    CreditNote {
        invoice: Id,
        note: Id,
    },
}

impl Cause {
    /// Stripe's `type`.
    fn as_str(&self) -> &'static str {
        match self {
            Self::Adjustment => "adjustment",
            Self::Initial => "initial",
            Self::AppliedToInvoice(_) => "applied_to_invoice",
            Self::InvoiceTooSmall(_) => "invoice_too_small",
            Self::UnappliedFromInvoice(_) => "unapplied_from_invoice",
            Self::CreditNote { .. } => "credit_note",
        }
    }

    fn invoice(&self) -> Option<&Id> {
        match self {
            Self::Adjustment | Self::Initial => None,
            Self::AppliedToInvoice(id)
            | Self::InvoiceTooSmall(id)
            | Self::UnappliedFromInvoice(id)
            | Self::CreditNote { invoice: id, .. } => Some(id),
        }
    }

    fn credit_note(&self) -> Option<&Id> {
        match self {
            Self::CreditNote { note, .. } => Some(note),
            _ => None,
        }
    }
}

/// See the module's text.
#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    id: Id,
    customer: Id,
    created: i64,
    /// In cents; negative is a credit.
    amount: i64,
    ending_balance: i64,
    currency: Currency,
    cause: Cause,
    description: Option<String>,
    metadata: Metadata,
}

impl Row for Transaction {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Transaction {
    fn to_json(&self) -> Value {
        json!({
            "id": &*self.id,
            "object": OBJECT,
            "amount": self.amount,
            "created": self.created,
            "credit_note": self.cause.credit_note().map(|id| &**id),
            "currency": self.currency.as_str(),
            "customer": &*self.customer,
            "description": self.description,
            "ending_balance": self.ending_balance,
            "invoice": self.cause.invoice().map(|id| &**id),
            "livemode": false,
            "metadata": self.metadata.to_json(),
            "type": self.cause.as_str(),
        })
    }
}

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

/// Renders a transaction by its id, for `expand[]`.
pub(crate) fn render(account: &Account, id: &str) -> Option<Value> {
    Some(account.balance_transactions.get(id)?.to_json())
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

/// `POST /v1/customers/:id/balance_transactions`
fn create(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let holder = customer::find(ctx, &ctx.arg(0))?;
    let amount = params.integer("amount")?;
    let amount = amount.ok_or_else(|| params.missing("amount"))?;
    if holder.balance.saturating_add(amount).abs() > MAX_AMOUNT {
        return Err(Error::malformed(
            "amount",
            "Invalid integer: the balance would be too large.",
        ));
    }
    let currency = currency::read(params, "currency")?;
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
    let after = customer::find(ctx, &id)?.to_json(at);
    ctx.update_event("customer.updated", &before, &after, at);
    Ok(one(ctx, &made)?.to_json())
}

/// `GET /v1/customers/:id/balance_transactions`
fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    params.finish()?;
    let id = customer::find(ctx, &ctx.arg(0))?.id.clone();
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
    let holder = customer::find(ctx, &ctx.arg(0))?;
    let id = ctx.arg(1);
    let found = one(ctx, &id)?;
    if found.customer != holder.id {
        return Err(Error::not_found(WHAT, &id));
    }
    Ok(found)
}

//! `/v1/refunds` and `/v1/charges/:id/refunds`.

use serde_json::Value;

use super::{NAME, Refund};
use crate::engine::payment::refund_charge;
use crate::error::{Error, Result};
use crate::money::charge_amount;
use crate::money::format::money;
use crate::params::Params;
use crate::params::filter::Created;
use crate::params::metadata::Metadata;
use crate::resource::charge::{self, Charge};
use crate::resource::route::Route;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;

const URL: &str = "/v1/refunds";

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new("POST", URL, "refund", read_create, create),
        Route::new("GET", URL, "list:refund", read_list, list),
        Route::without_params("GET", "/v1/refunds/:id", "refund", retrieve),
        Route::new("POST", "/v1/refunds/:id", "refund", read_update, update),
        Route::new(
            "GET",
            "/v1/charges/:id/refunds",
            "list:refund",
            read_list_of_charge,
            list_of_charge,
        ),
    ]
}

/// The parameters of a new refund.
struct NewRefund {
    charge: Id,
    amount: i64,
    reason: Option<&'static str>,
    metadata: Metadata,
}

fn read_create(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<NewRefund> {
    let charge = charge_param(ctx, params)?;
    let left = charge.refundable();
    let new = NewRefund {
        charge: charge.id.clone(),
        amount: params.integer_from("amount", 1)?.unwrap_or(left),
        reason: params.one_of(
            "reason",
            &["duplicate", "fraudulent", "requested_by_customer"],
        )?,
        metadata: params.metadata()?.apply(&Metadata::default())?,
    };
    params.unmodelled(&[
        "currency",
        "customer",
        "instructions_email",
        "origin",
        "refund_application_fee",
        "reverse_transfer",
    ])?;
    check(charge, new.amount)?;
    Ok(new)
}

/// `POST /v1/refunds`: refunds a charge, or an intent's latest charge.
fn create(ctx: &mut Ctx<'_>, new: NewRefund) -> Result<Value> {
    let at = time_of(ctx, &new.charge);
    let refund = refund_charge(ctx, &new.charge, new.amount, new.reason, new.metadata, at);
    Ok(find(ctx, &refund)?.to_json())
}

/// The time of a charge's customer.
fn time_of(ctx: &Ctx<'_>, charge: &str) -> i64 {
    let charge = ctx.account.payments.charges.get(charge);
    let customer = charge.and_then(|charge| charge.customer.as_ref());
    customer.map_or(ctx.now, |customer| ctx.time_of(customer))
}

/// Checks that a refund is not more than the rest of the charge.
pub(crate) fn check(charge: &Charge, amount: i64) -> Result<()> {
    let formatted = |amount: i64| money(amount.into(), charge.currency.as_str());
    let left = charge.refundable();
    if charge.failure.is_some() || charge.is_uncaptured {
        return Err(Error::invalid(format!(
            "This charge ({}) has not been captured, so there is nothing to refund.",
            charge.id
        ))
        .param("charge"));
    }
    if left == 0 {
        return Err(
            Error::invalid(format!("Charge {} has already been refunded.", charge.id))
                .code("charge_already_refunded"),
        );
    }
    if amount != left {
        charge_amount::check_step(amount, charge.currency, "amount")?;
    }
    if amount > left {
        let (what, of) = if charge.refunded == 0 {
            ("charge amount", charge.amount)
        } else {
            ("unrefunded amount on charge", left)
        };
        return Err(Error::invalid(format!(
            "Refund amount ({}) is greater than {what} ({})",
            formatted(amount),
            formatted(of)
        ))
        .param("amount"));
    }
    Ok(())
}

fn charge_param<'a>(ctx: &'a Ctx<'_>, params: &Params<'_>) -> Result<&'a Charge> {
    let payments = &ctx.account.payments;
    match (params.string("charge")?, params.string("payment_intent")?) {
        (Some(id), None) => {
            let found = payments.charges.get(id);
            found.ok_or_else(|| Error::no_such(charge::NAME, id, "charge"))
        }
        (None, Some(id)) => {
            let intent = payments.intents.get(id);
            let intent = intent.ok_or_else(|| {
                Error::no_such(crate::resource::payment_intent::NAME, id, "payment_intent")
            })?;
            let latest = intent.latest_charge.as_ref();
            let latest = latest.and_then(|id| payments.charges.get(id));
            latest.ok_or_else(|| {
                Error::invalid(format!(
                    "This PaymentIntent ({id}) does not have a successful charge to refund."
                ))
                .param("payment_intent")
            })
        }
        _ => Err(Error::invalid(
            "One of the following params should be provided for this request: payment_intent or charge.",
        )),
    }
}

/// `GET /v1/refunds/:id`
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    Ok(find(ctx, &ctx.arg(0))?.to_json())
}

fn read_update(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Refund> {
    let mut refund = find(ctx, &ctx.arg(0))?.clone();
    refund.metadata = params.metadata()?.apply(&refund.metadata)?;
    Ok(refund)
}

/// `POST /v1/refunds/:id`: updates its metadata.
fn update(ctx: &mut Ctx<'_>, refund: Refund) -> Result<Value> {
    let before = find(ctx, &refund.id)?.to_json();
    let after = refund.to_json();
    if let Some(row) = ctx.account.payments.refunds.get_mut(&refund.id) {
        row.clone_from(&refund);
    }
    if after != before {
        let at = time_of(ctx, &refund.charge);
        ctx.update_event("charge.refund.updated", &before, &after, at);
    }
    Ok(after)
}

/// The filter of a list.
struct Filter {
    page: Page,
    created: Created,
    charge: Option<String>,
    intent: Option<String>,
}

fn read_list(_: &Ctx<'_>, params: &Params<'_>) -> Result<Filter> {
    Ok(Filter {
        page: Page::read(params)?,
        created: Created::read(params)?,
        charge: params.string("charge")?.map(str::to_owned),
        intent: params.string("payment_intent")?.map(str::to_owned),
    })
}

/// `GET /v1/refunds`
fn list(ctx: &mut Ctx<'_>, filter: Filter) -> Result<Value> {
    let (charge, intent) = (filter.charge.as_deref(), filter.intent.as_deref());
    let refunds = &ctx.account.payments.refunds;
    let rows = filter.page.of_table(refunds, NAME, |refund| {
        filter.created.accepts(refund.created)
            && charge.is_none_or(|id| &*refund.charge == id)
            && intent.is_none_or(|id| &*refund.intent == id)
    })?;
    Ok(rows.to_json(URL, Refund::to_json))
}

fn read_list_of_charge(_: &Ctx<'_>, params: &Params<'_>) -> Result<Page> {
    Page::read(params)
}

/// `GET /v1/charges/:id/refunds`
fn list_of_charge(ctx: &mut Ctx<'_>, page: Page) -> Result<Value> {
    let id = ctx.arg(0);
    if !ctx.account.payments.charges.contains(&id) {
        return Err(Error::not_found(charge::NAME, &id));
    }
    let rows = page.of_table(&ctx.account.payments.refunds, NAME, |refund| {
        *refund.charge == *id
    })?;
    Ok(rows.to_json(&format!("/v1/charges/{id}/refunds"), Refund::to_json))
}

fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a Refund> {
    let refund = ctx.account.payments.refunds.get(id);
    refund.ok_or_else(|| Error::not_found(NAME, id))
}

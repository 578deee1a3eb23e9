//! `/v1/refunds`, and a charge's.

use serde_json::Value;

use super::{Refund, WHAT};
use crate::engine::payment::give_back;
use crate::error::{Error, Result};
use crate::money::charge_amount;
use crate::money::format::money;
use crate::params::Params;
use crate::params::filter::Created;
use crate::params::metadata::Metadata;
use crate::resource::charge::{self, Charge};
use crate::resource::route::{Route, route};
use crate::store::context::Ctx;
use crate::store::page::Page;

const URL: &str = "/v1/refunds";

pub(crate) const ROUTES: &[Route] = &[
    route("POST", URL, create, "refund"),
    route("GET", URL, list, "list:refund"),
    route("GET", "/v1/refunds/:id", retrieve, "refund"),
    route("POST", "/v1/refunds/:id", update, "refund"),
    route(
        "GET",
        "/v1/charges/:id/refunds",
        list_of_charge,
        "list:refund",
    ),
];

/// `POST /v1/refunds`: of a charge, or of an intent's latest one.
fn create(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let charge = charge_given(ctx, params)?;
    let left = charge.refundable();
    let amount = params.integer_from("amount", 1)?.unwrap_or(left);
    let reason = params.one_of(
        "reason",
        &["duplicate", "fraudulent", "requested_by_customer"],
    )?;
    let metadata = params.metadata()?.apply(&Metadata::default())?;
    params.unmodelled(&[
        "currency",
        "customer",
        "instructions_email",
        "origin",
        "refund_application_fee",
        "reverse_transfer",
    ])?;
    check(charge, amount)?;
    params.finish()?;
    let (id, customer) = (charge.id.clone(), charge.customer.clone());
    let at = customer.map_or(ctx.now, |customer| ctx.time_of(&customer));
    let refund = give_back(ctx, &id, amount, reason, metadata, at);
    Ok(find(ctx, &refund)?.to_json())
}

/// No more can be given back than is left of the charge.
pub(crate) fn check(charge: &Charge, amount: i64) -> Result<()> {
    let shown = |amount: i64| money(amount.into(), charge.currency.as_str());
    let left = charge.refundable();
    if charge.failure.is_some() || charge.uncaptured {
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
            shown(amount),
            shown(of)
        ))
        .param("amount"));
    }
    Ok(())
}

fn charge_given<'a>(ctx: &'a Ctx<'_>, params: &Params<'_>) -> Result<&'a Charge> {
    let payments = &ctx.account.payments;
    match (params.string("charge")?, params.string("payment_intent")?) {
        (Some(id), None) => {
            let found = payments.charges.get(id);
            found.ok_or_else(|| Error::no_such(charge::WHAT, id, "charge"))
        }
        (None, Some(id)) => {
            let intent = payments.intents.get(id);
            let intent = intent.ok_or_else(|| {
                Error::no_such(crate::resource::payment_intent::WHAT, id, "payment_intent")
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
fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    Ok(find(ctx, &ctx.arg(0))?.to_json())
}

/// `POST /v1/refunds/:id`: its metadata.
fn update(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let mut refund = find(ctx, &ctx.arg(0))?.clone();
    let before = refund.to_json();
    refund.metadata = params.metadata()?.apply(&refund.metadata)?;
    params.finish()?;
    let after = refund.to_json();
    if let Some(row) = ctx.account.payments.refunds.get_mut(&refund.id) {
        row.clone_from(&refund);
    }
    if after != before {
        ctx.update_event("charge.refund.updated", &before, &after, ctx.now);
    }
    Ok(after)
}

/// `GET /v1/refunds`
fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    let created = Created::read(params)?;
    let charge = params.string("charge")?;
    let intent = params.string("payment_intent")?;
    params.finish()?;
    let cut = page.of_table(&ctx.account.payments.refunds, WHAT, |refund| {
        created.accepts(refund.created)
            && charge.is_none_or(|id| &*refund.charge == id)
            && intent.is_none_or(|id| &*refund.intent == id)
    })?;
    Ok(cut.to_json(URL, Refund::to_json))
}

/// `GET /v1/charges/:id/refunds`
fn list_of_charge(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    params.finish()?;
    let id = ctx.arg(0);
    if !ctx.account.payments.charges.contains(&id) {
        return Err(Error::not_found(charge::WHAT, &id));
    }
    let cut = page.of_table(&ctx.account.payments.refunds, WHAT, |refund| {
        *refund.charge == *id
    })?;
    Ok(cut.to_json(&format!("/v1/charges/{id}/refunds"), Refund::to_json))
}

fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a Refund> {
    let refund = ctx.account.payments.refunds.get(id);
    refund.ok_or_else(|| Error::not_found(WHAT, id))
}

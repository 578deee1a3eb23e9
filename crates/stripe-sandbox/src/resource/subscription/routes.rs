//! `/v1/subscriptions`

use serde_json::Value;

use super::input::{self, find};
use super::update_input::{self, check_begun};
use super::{
    COLLECTION_METHODS, Status, Subscription, WHAT, events, payment_input, shared_input, view,
};
use crate::engine::change::Cancellation;
use crate::engine::renewal::{self, Anchor};
use crate::engine::{collection, new_subscription, subscription_update};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::filter::Created;
use crate::resource::customer;
use crate::resource::route::{Route, route};
use crate::store::context::Ctx;
use crate::store::page::Page;

const URL: &str = "/v1/subscriptions";

const STATUSES: &[&str] = &[
    "active",
    "all",
    "canceled",
    "ended",
    "incomplete",
    "incomplete_expired",
    "past_due",
    "paused",
    "trialing",
    "unpaid",
];

pub(crate) const ROUTES: &[Route] = &[
    route("POST", "/v1/subscriptions", create, "subscription"),
    route("GET", "/v1/subscriptions", list, "list:subscription"),
    route("GET", "/v1/subscriptions/:id", retrieve, "subscription"),
    route("POST", "/v1/subscriptions/:id", update, "subscription"),
    route("DELETE", "/v1/subscriptions/:id", cancel, "subscription"),
    route(
        "POST",
        "/v1/subscriptions/:id/resume",
        resume,
        "subscription",
    ),
];

/// `POST /v1/subscriptions`
pub(crate) fn create(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    ctx.read_presence(params)?;
    let (new, now) = input::read_new(ctx, params)?;
    params.finish()?;
    let id = new_subscription::create(ctx, new, now);
    let subscription = ctx.account.billing.subscriptions.get(&id);
    Ok(view::subscription(
        ctx.account,
        subscription.expect("just created"),
    ))
}

/// `GET /v1/subscriptions/:id`
pub(crate) fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    Ok(view::subscription(
        ctx.account,
        ctx.account.subscription(find(ctx)?),
    ))
}

/// `GET /v1/subscriptions`: those on a test clock only if the clock or the customer is named, and those that
/// have ended only if a status is.
pub(crate) fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    let holder = match params.string("customer")? {
        Some(id) => Some(customer::input::named(ctx, id, "customer")?),
        None => None,
    };
    let clock = params.string("test_clock")?;
    let status = params.one_of("status", STATUSES)?;
    let price = params.string("price")?;
    let created = Created::read(params)?;
    let starts = Created::read_from(params, "current_period_start")?;
    let ends = Created::read_from(params, "current_period_end")?;
    let collection = params.one_of("collection_method", COLLECTION_METHODS)?;
    params.unmodelled(&["automatic_tax", "plan"])?;
    params.finish()?;
    let keep = |one: &Subscription| {
        collection != Some("send_invoice")
            && (holder.is_some() || one.clock.as_deref() == clock)
            && clock.is_none_or(|clock| one.clock.as_deref() == Some(clock))
            && in_status(one.status, status)
            && price.is_none_or(|price| one.items.iter().any(|item| &*item.price == price))
            && created.accepts(one.created)
            && starts.accepts(one.period.0)
            && ends.accepts(one.period.1)
    };
    let table = &ctx.account.billing.subscriptions;
    let cut = match holder {
        Some(holder) => page.of_positions(table, &holder.subscriptions, WHAT, keep)?,
        None => page.of_table(table, WHAT, keep)?,
    };
    Ok(cut.to_json(URL, |one| view::subscription(ctx.account, one)))
}

fn in_status(status: Status, asked: Option<&str>) -> bool {
    match asked {
        None => !status.ended(),
        Some("all") => true,
        Some("ended") => status.ended(),
        Some(word) => status.as_str() == word,
    }
}

/// `POST /v1/subscriptions/:id`
pub(crate) fn update(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    ctx.read_presence(params)?;
    let position = find(ctx)?;
    let subscription = ctx.account.subscription(position);
    let now = ctx.time_of(&subscription.customer);
    if subscription.status.ended() {
        return update_ended(ctx, position, params, now);
    }
    check_begun(subscription, params)?;
    let update = update_input::read(ctx, params, subscription, now)?;
    params.finish()?;
    payment_input::check_change(ctx, position, &update, now)?;
    subscription_update::carry_out(ctx, position, update, now);
    Ok(view::subscription(
        ctx.account,
        ctx.account.subscription(position),
    ))
}

/// What has ended is still described.
fn update_ended(ctx: &mut Ctx<'_>, position: u32, params: &Params<'_>, now: i64) -> Result<Value> {
    let subscription = ctx.account.subscription(position);
    let metadata = params.metadata()?.apply(&subscription.metadata)?;
    if params.finish().is_err() {
        return Err(Error::invalid(
            "A canceled subscription can only update its cancellation_details and metadata.",
        ));
    }
    let before = view::subscription(ctx.account, subscription);
    ctx.account.subscription_mut(position).metadata = metadata;
    events::changed(ctx, position, &before, now);
    Ok(view::subscription(
        ctx.account,
        ctx.account.subscription(position),
    ))
}

/// `POST /v1/subscriptions/:id/resume`: of one that is paused. A period begins now, and is charged.
pub(crate) fn resume(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    ctx.read_presence(params)?;
    params.one_of_modelled("billing_cycle_anchor", &["now"], &["unchanged"])?;
    shared_input::prorate(params)?;
    params.unmodelled(&["proration_date"])?;
    let position = find(ctx)?;
    let subscription = ctx.account.subscription(position);
    if subscription.status != Status::Paused {
        return Err(Error::invalid(format!(
            "Only paused subscriptions can be resumed; this one is {}.",
            subscription.status.as_str()
        )));
    }
    let own = subscription.default_payment_method.as_ref();
    if collection::payment_method(ctx.account, own, &subscription.customer).is_none() {
        return Err(collection::nothing_to_pay_with());
    }
    params.finish()?;
    let now = ctx.time_of(&subscription.customer);
    let before = view::subscription(ctx.account, subscription);
    ctx.account.subscription_mut(position).status = Status::Active;
    renewal::restart(ctx, position, now, Anchor::Now, None);
    events::changed(ctx, position, &before, now);
    let after = view::subscription(ctx.account, ctx.account.subscription(position));
    ctx.event("customer.subscription.resumed", &after, now);
    Ok(after)
}

/// `DELETE /v1/subscriptions/:id`: at once.
pub(crate) fn cancel(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let how = Cancellation {
        invoice_now: params.boolean("invoice_now")?.unwrap_or(false),
        prorate: params.boolean("prorate")?.unwrap_or(false),
    };
    params.unmodelled(&["cancellation_details"])?;
    let position = find(ctx)?;
    let subscription = ctx.account.subscription(position);
    if subscription.status.ended() {
        return Err(Error::not_found(WHAT, &subscription.id));
    }
    params.finish()?;
    let now = ctx.time_of(&subscription.customer);
    let before = view::subscription(ctx.account, subscription);
    crate::engine::change::cancel(ctx, position, how, now);
    ctx.account.subscription_mut(position).cancellation_reason = Some("cancellation_requested");
    ctx.account.subscription_mut(position).canceled_at = Some(now);
    events::changed(ctx, position, &before, now);
    Ok(view::subscription(
        ctx.account,
        ctx.account.subscription(position),
    ))
}

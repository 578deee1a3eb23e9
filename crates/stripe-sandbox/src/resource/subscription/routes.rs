//! `/v1/subscriptions`

use serde_json::Value;

use super::{Status, Subscription, input, payment_input, shared_input, update_input, view};
use crate::engine::change::Cancellation;
use crate::engine::renewal::{self, Anchor};
use crate::engine::{collection, new_subscription, subscription_update};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::filter::Created;
use crate::resource::customer::{self, Customer};
use crate::resource::test_clock::MAX_SUBSCRIPTIONS;
use crate::store::context::Ctx;
use crate::store::page::Page;
use crate::store::state::Account;

const URL: &str = "/v1/subscriptions";
pub(crate) const WHAT: &str = "subscription";
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

/// Stripe's ways to be paid; nothing in the sandbox is paid in the second one.
pub(crate) const COLLECTION_METHODS: &[&str] = &["charge_automatically", "send_invoice"];

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

/// Whether a customer may have one more: on a test clock, there are only so many.
pub(crate) fn check_room(account: &Account, holder: &Customer) -> Result<()> {
    let positions = holder.subscriptions.iter();
    let held = positions.filter(|position| !account.subscription(**position).status.ended());
    if holder.test_clock.is_some() && held.count() >= MAX_SUBSCRIPTIONS {
        return Err(Error::invalid(format!(
            "A customer on a test clock can have at most {MAX_SUBSCRIPTIONS} subscriptions."
        ))
        .param("customer"));
    }
    Ok(())
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
        Some(id) => Some(customer::named(ctx, id, "customer")?),
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

/// What a customer shows when `subscriptions` is expanded.
pub(crate) fn of_customer(account: &Account, id: &str) -> Value {
    let positions = account
        .customers
        .get(id)
        .map(|customer| &customer.subscriptions);
    let mut live: Vec<&Subscription> = positions
        .into_iter()
        .flatten()
        .map(|position| account.subscription(*position))
        .filter(|one| !one.status.ended())
        .collect();
    live.reverse();
    let url = format!("/v1/customers/{id}/subscriptions");
    let shown = live.iter().map(|one| view::subscription(account, one));
    view::nested(&url, live.len(), shown)
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

/// Whether more than the metadata of a subscription can be changed.
pub(crate) fn check_live(subscription: &Subscription) -> Result<()> {
    if subscription.status.ended() {
        return Err(Error::invalid(
            "A canceled subscription can only update its cancellation_details and metadata.",
        ));
    }
    Ok(())
}

/// What may be changed of a subscription whose first invoice waits for its payment. Stripe's documentation of the status
/// names the metadata and the source; the others say how that invoice is to be paid, or change nothing.
const BEFORE_PAYMENT: &[&str] = &[
    "metadata",
    "default_source",
    "default_payment_method",
    "payment_settings",
    "expand",
];

/// Whether a subscription has begun, so that what it sells may be changed, where a request would change that.
pub(crate) fn check_begun(subscription: &Subscription, params: &Params<'_>) -> Result<()> {
    let changes = |key: &&str| !BEFORE_PAYMENT.contains(key);
    match params.keys().iter().find(|key| changes(key)) {
        Some(key) => may_change(subscription).map_err(|error| error.param((*key).to_owned())),
        None => Ok(()),
    }
}

/// Whether a subscription has begun, so that what it sells may be changed.
pub(crate) fn may_change(subscription: &Subscription) -> Result<()> {
    if subscription.status != Status::Incomplete {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "The subscription `{}` is incomplete: until its first invoice is paid, only its `metadata` and `default_source` can be updated.",
        subscription.id
    )))
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
    view::changed(ctx, position, &before, now);
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
    view::changed(ctx, position, &before, now);
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
    view::changed(ctx, position, &before, now);
    Ok(view::subscription(
        ctx.account,
        ctx.account.subscription(position),
    ))
}

/// The subscription that the URL names.
pub(crate) fn find(ctx: &Ctx<'_>) -> Result<u32> {
    let id = ctx.arg(0);
    let position = ctx.account.billing.subscriptions.position(&id);
    position.ok_or_else(|| Error::not_found(WHAT, &id))
}

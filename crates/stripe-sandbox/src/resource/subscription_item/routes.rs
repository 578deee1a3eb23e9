//! `/v1/subscription_items`

use serde_json::{Value, json};

use super::changes_input::{self, One};
use super::view::{self, of_id};
use super::{Item, WHAT, usage};
use crate::engine::subscription_update;
use crate::error::{Error, Result};
use crate::params::Params;
use crate::resource::route::{Route, route};
use crate::resource::subscription::{self, Subscription};
use crate::store::context::Ctx;
use crate::store::page::Page;

pub(crate) const ROUTES: &[Route] = &[
    route(
        "GET",
        "/v1/subscription_items",
        list,
        "list:subscription_item",
    ),
    route(
        "POST",
        "/v1/subscription_items",
        create,
        "subscription_item",
    ),
    route(
        "GET",
        "/v1/subscription_items/:id",
        retrieve,
        "subscription_item",
    ),
    route(
        "POST",
        "/v1/subscription_items/:id",
        update,
        "subscription_item",
    ),
    route(
        "DELETE",
        "/v1/subscription_items/:id",
        delete,
        "subscription_item",
    ),
    route(
        "POST",
        "/v1/subscription_items/:id/usage_records",
        usage::report,
        "usage_record",
    ),
    route(
        "GET",
        "/v1/subscription_items/:id/usage_record_summaries",
        usage::summaries,
        "list:usage_record_summary",
    ),
];

/// `GET /v1/subscription_items?subscription=`
pub(crate) fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    let id = params.required("subscription")?;
    let subscription = ctx.account.billing.subscriptions.get(id);
    let subscription =
        subscription.ok_or_else(|| Error::no_such("subscription", id, "subscription"))?;
    params.finish()?;
    let rows: Vec<&Item> = subscription.items.iter().collect();
    let cut = page.of_rows(&rows, WHAT)?;
    let url = format!("/v1/subscription_items?subscription={}", subscription.id);
    Ok(cut.to_json(&url, |item| view::item(ctx.account, subscription, item)))
}

/// `GET /v1/subscription_items/:id`
pub(crate) fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    let (subscription, item) = find(ctx)?;
    Ok(view::item(ctx.account, subscription, item))
}

/// `POST /v1/subscription_items`: another item for a subscription.
pub(crate) fn create(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let id = params.required("subscription")?;
    let position = ctx.account.billing.subscriptions.position(id);
    let position = position.ok_or_else(|| Error::no_such("subscription", id, "subscription"))?;
    change(ctx, params, position, One::Add)?;
    let subscription = ctx.account.subscription(position);
    let item = subscription.items.last().expect("just added");
    Ok(view::item(ctx.account, subscription, item))
}

/// `POST /v1/subscription_items/:id`
pub(crate) fn update(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let (position, index) = locate(ctx)?;
    change(ctx, params, position, One::Change(index))?;
    let subscription = ctx.account.subscription(position);
    let item = &subscription.items[index];
    Ok(view::item(ctx.account, subscription, item))
}

/// `DELETE /v1/subscription_items/:id`
pub(crate) fn delete(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let (position, index) = locate(ctx)?;
    let id = ctx.account.subscription(position).items[index].id.clone();
    change(ctx, params, position, One::Remove(index))?;
    Ok(json!({"id": &*id, "object": "subscription_item", "deleted": true}))
}

/// Changes one item as an update of its subscription would.
fn change(ctx: &mut Ctx<'_>, params: &Params<'_>, position: u32, one: One) -> Result<()> {
    ctx.read_presence(params)?;
    let subscription = ctx.account.subscription(position);
    subscription::update_input::check_live(subscription)?;
    match one {
        One::Change(_) => subscription::update_input::check_begun(subscription, params)?,
        One::Add | One::Remove(_) => subscription::update_input::may_change(subscription)?,
    }
    let now = ctx.time_of(&subscription.customer);
    let specs = changes_input::read_one(ctx, params, subscription, one)?;
    let update = subscription::update_input::read_for_item(ctx, params, subscription, specs)?;
    params.finish()?;
    subscription::payment_input::check_change(ctx, position, &update, now)?;
    subscription_update::carry_out(ctx, position, update, now);
    Ok(())
}

pub(crate) fn find<'a>(ctx: &'a Ctx<'_>) -> Result<(&'a Subscription, &'a Item)> {
    let (position, index) = locate(ctx)?;
    let subscription = ctx.account.subscription(position);
    Ok((subscription, &subscription.items[index]))
}

/// The position of the subscription, and that of the item in it.
fn locate(ctx: &Ctx<'_>) -> Result<(u32, usize)> {
    let id = ctx.arg(0);
    of_id(ctx.account, &id).ok_or_else(|| Error::not_found(WHAT, &id))
}

//! `/v1/subscription_items`

use serde_json::{Value, json};

use super::changes_input::{ItemChange, read_one};
use super::view::{self, find, locate};
use super::{Item, NAME, usage};
use crate::engine::subscription_update::{self, Update};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::resource::payment_method::card::Presence;
use crate::resource::payment_method::input::presence;
use crate::resource::route::Route;
use crate::resource::subscription::payment_input::check_change;
use crate::resource::subscription::update_input::{
    check_allowed_if_incomplete, check_begun, check_live, read_for_item,
};
use crate::store::context::Ctx;
use crate::store::page::Page;
use crate::version::ApiVersion;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            "GET",
            "/v1/subscription_items",
            "list:subscription_item",
            read_list,
            list,
        ),
        Route::new(
            "POST",
            "/v1/subscription_items",
            "subscription_item",
            read_create,
            create,
        ),
        Route::without_params(
            "GET",
            "/v1/subscription_items/:id",
            "subscription_item",
            retrieve,
        ),
        Route::new(
            "POST",
            "/v1/subscription_items/:id",
            "subscription_item",
            read_update,
            update,
        ),
        Route::new(
            "DELETE",
            "/v1/subscription_items/:id",
            "subscription_item",
            read_delete,
            delete,
        ),
        Route::new(
            "POST",
            "/v1/subscription_items/:id/usage_records",
            "usage_record",
            usage::read_report,
            usage::report,
        )
        .until(ApiVersion::V2022_11_15),
        Route::new(
            "GET",
            "/v1/subscription_items/:id/usage_record_summaries",
            "list:usage_record_summary",
            usage::read_summaries,
            usage::summaries,
        )
        .until(ApiVersion::V2022_11_15),
    ]
}

/// Reads the subscription and the page of a list.
fn read_list(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<(Page, u32)> {
    let page = Page::read(params)?;
    Ok((page, subscription_param(ctx, params)?))
}

/// The position of the `subscription` parameter.
fn subscription_param(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<u32> {
    let id = params.required("subscription")?;
    let position = ctx.account.billing.subscriptions.position(id);
    position.ok_or_else(|| Error::no_such("subscription", id, "subscription"))
}

/// `GET /v1/subscription_items?subscription=`
fn list(ctx: &mut Ctx<'_>, (page, position): (Page, u32)) -> Result<Value> {
    let subscription = ctx.account.subscription(position);
    let rows: Vec<&Item> = subscription.items.iter().collect();
    let rows = page.of_rows(&rows, NAME)?;
    let url = format!("/v1/subscription_items?subscription={}", subscription.id);
    Ok(rows.to_json(&url, |item| view::standalone_item(ctx, subscription, item)))
}

/// `GET /v1/subscription_items/:id`
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    let (subscription, item) = find(ctx)?;
    Ok(view::standalone_item(ctx, subscription, item))
}

fn read_create(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<ItemUpdate> {
    ItemUpdate::read(
        ctx,
        params,
        subscription_param(ctx, params)?,
        ItemChange::Add,
    )
}

/// `POST /v1/subscription_items`: adds an item to a subscription.
fn create(ctx: &mut Ctx<'_>, change: ItemUpdate) -> Result<Value> {
    let position = change.position;
    change.apply(ctx)?;
    let subscription = ctx.account.subscription(position);
    let item = subscription.items.last().expect("just added");
    Ok(view::standalone_item(ctx, subscription, item))
}

fn read_update(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<ItemUpdate> {
    let (position, index) = locate(ctx)?;
    ItemUpdate::read(ctx, params, position, ItemChange::Change(index))
}

/// `POST /v1/subscription_items/:id`
fn update(ctx: &mut Ctx<'_>, change: ItemUpdate) -> Result<Value> {
    let (position, index) = locate(ctx)?;
    change.apply(ctx)?;
    let subscription = ctx.account.subscription(position);
    let item = &subscription.items[index];
    Ok(view::standalone_item(ctx, subscription, item))
}

fn read_delete(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<ItemUpdate> {
    let (position, index) = locate(ctx)?;
    ItemUpdate::read(ctx, params, position, ItemChange::Remove(index))
}

/// `DELETE /v1/subscription_items/:id`
fn delete(ctx: &mut Ctx<'_>, change: ItemUpdate) -> Result<Value> {
    let (position, index) = locate(ctx)?;
    let id = ctx.account.subscription(position).items[index].id.clone();
    change.apply(ctx)?;
    Ok(json!({"id": &*id, "object": "subscription_item", "deleted": true}))
}

/// A change of one item, in the form of an update of its subscription.
struct ItemUpdate {
    /// The position of the subscription.
    position: u32,
    update: Update,
    presence: Presence,
}

impl ItemUpdate {
    fn read(ctx: &Ctx<'_>, params: &Params<'_>, position: u32, change: ItemChange) -> Result<Self> {
        let presence = presence(params)?;
        let subscription = ctx.account.subscription(position);
        check_live(subscription)?;
        match change {
            ItemChange::Change(_) => check_allowed_if_incomplete(subscription, params)?,
            ItemChange::Add | ItemChange::Remove(_) => check_begun(subscription)?,
        }
        let specs = read_one(ctx, params, subscription, change)?;
        Ok(Self {
            position,
            update: read_for_item(ctx, params, subscription, specs)?,
            presence,
        })
    }

    fn apply(self, ctx: &mut Ctx<'_>) -> Result<()> {
        let Self {
            position,
            update,
            presence,
        } = self;
        ctx.presence = presence;
        let customer = &ctx.account.subscription(position).customer;
        let now = ctx.time_of(customer);
        check_change(ctx, position, &update, now)?;
        subscription_update::apply_update(ctx, position, update, now);
        Ok(())
    }
}

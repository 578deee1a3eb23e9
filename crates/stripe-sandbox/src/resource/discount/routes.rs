//! `/v1/customers/:id/discount` and `/v1/subscriptions/:id/discount`

use serde_json::{Value, json};

use super::Discount;
use crate::engine::discounts::record_change;
use crate::engine::subscription_update;
use crate::error::{Error, Result};
use crate::resource::route::Route;
use crate::resource::{customer, subscription};
use crate::store::context::Ctx;

const OF_CUSTOMER: &str = "/v1/customers/:id/discount";

const OF_SUBSCRIPTION: &str = "/v1/subscriptions/:id/discount";

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::without_params("GET", OF_CUSTOMER, "discount", retrieve),
        Route::without_params("DELETE", OF_CUSTOMER, "discount", delete_of_customer),
        Route::without_params(
            "DELETE",
            OF_SUBSCRIPTION,
            "discount",
            delete_of_subscription,
        ),
    ]
}

fn no_discount(what: &str, id: &str) -> Error {
    Error::invalid(format!("No active discount for {what}: {id}"))
        .code("resource_missing")
        .status(404)
}

/// The JSON of a deleted discount.
fn deleted(discount: &Discount, now: i64) -> Value {
    let mut object = discount.to_json(now);
    let fields = object.as_object_mut().expect("built as an object");
    fields.remove("end");
    fields.insert("deleted".into(), json!(true));
    object
}

/// `GET /v1/customers/:id/discount`
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    let customer = customer::input::find(ctx, &ctx.arg(0))?;
    let discount = customer.discount();
    let discount = discount.ok_or_else(|| no_discount("customer", &customer.id))?;
    Ok(discount.to_json(ctx.time_of(&customer.id)))
}

/// `DELETE /v1/customers/:id/discount`
fn delete_of_customer(ctx: &mut Ctx<'_>) -> Result<Value> {
    let customer = customer::input::find(ctx, &ctx.arg(0))?;
    let discount = customer.discount().cloned();
    let discount = discount.ok_or_else(|| no_discount("customer", &customer.id))?;
    let (id, now) = (customer.id.clone(), ctx.time_of(&customer.id));
    let before = customer.to_json(now);
    if let Some(customer) = ctx.account.customers.get_mut(&id) {
        customer.rare_mut().discount = None;
    }
    record_change(ctx, Some(&discount), None, now);
    let after = customer::input::find(ctx, &id)?.to_json(now);
    ctx.update_event("customer.updated", &before, &after, now);
    Ok(deleted(&discount, now))
}

/// `DELETE /v1/subscriptions/:id/discount`: an update that removes the discount.
fn delete_of_subscription(ctx: &mut Ctx<'_>) -> Result<Value> {
    let position = subscription::input::find(ctx)?;
    let subscription = ctx.account.subscription(position);
    subscription::update_input::check_live(subscription)?;
    subscription::update_input::check_begun(subscription)?;
    let discount = subscription.discount.clone();
    let discount = discount.ok_or_else(|| no_discount("subscription", &subscription.id))?;
    let now = ctx.time_of(&subscription.customer);
    let before = subscription::view::subscription(ctx.account, subscription, ctx.now);
    subscription_update::discount(ctx, position, None, now);
    subscription::events::changed(ctx, position, &before, now);
    Ok(deleted(&discount, now))
}

//! The JSON of subscription items at 2022-11-15.

use serde_json::{Map, Value, json};

use super::{Item, NAME};
use crate::error::{Error, Result};
use crate::resource::price::view::plan;
use crate::resource::subscription::Subscription;
use crate::store::account::Account;
use crate::store::context::Ctx;

/// An item outside of its subscription. Later versions show its period, which in 2022-11-15 is on the subscription.
pub(super) fn standalone_item(ctx: &Ctx<'_>, subscription: &Subscription, item: &Item) -> Value {
    let mut object = self::item(ctx.account, subscription, item);
    if ctx.has_meters() {
        show_period(&mut object, subscription, item);
    }
    object
}

fn show_period(object: &mut Value, subscription: &Subscription, item: &Item) {
    let (start, end) = subscription.period_of(item);
    object["current_period_end"] = json!(end);
    object["current_period_start"] = json!(start);
}

/// An item of a subscription. It shows its period in every version if the items have different periods.
pub(crate) fn item(account: &Account, subscription: &Subscription, item: &Item) -> Value {
    let price = account.price(&item.price);
    let mut object = json!({
        "id": &*item.id,
        "object": "subscription_item",
        "billing_thresholds": null,
        "created": item.created,
        "metadata": item.metadata.to_json(),
        "plan": plan(price),
        "price": price.to_json(),
    });
    let fields = object.as_object_mut().expect("built as an object");
    quantity(fields, item.quantity);
    fields.insert("subscription".into(), json!(&*subscription.id));
    fields.insert("tax_rates".into(), json!([]));
    if subscription.is_mixed() {
        show_period(&mut object, subscription, item);
    }
    object
}

pub(crate) fn quantity(fields: &mut Map<String, Value>, quantity: Option<i64>) {
    if let Some(quantity) = quantity {
        fields.insert("quantity".into(), json!(quantity));
    }
}

fn of_id(account: &Account, id: &str) -> Option<(u32, usize)> {
    let position = *account.billing.items.get(id)?;
    let mut items = account.subscription(position).items.iter();
    Some((position, items.position(|item| *item.id == *id)?))
}

/// The JSON of the item with this id.
pub(crate) fn render(account: &Account, id: &str) -> Option<Value> {
    let (position, index) = of_id(account, id)?;
    let subscription = account.subscription(position);
    Some(item(account, subscription, &subscription.items[index]))
}

pub(super) fn find<'a>(ctx: &'a Ctx<'_>) -> Result<(&'a Subscription, &'a Item)> {
    let (position, index) = locate(ctx)?;
    let subscription = ctx.account.subscription(position);
    Ok((subscription, &subscription.items[index]))
}

/// The positions of the subscription and of the item in it.
pub(super) fn locate(ctx: &Ctx<'_>) -> Result<(u32, usize)> {
    let id = ctx.arg(0);
    of_id(ctx.account, &id).ok_or_else(|| Error::not_found(NAME, &id))
}

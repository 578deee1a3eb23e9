//! Reading the items of new subscriptions and phases.

use super::{Item, ItemSpec, MAX_QUANTITY};
use crate::engine::catalog;
use crate::error::{Error, Result};
use crate::money::currency::Currency;
use crate::money::period::BillingInterval;
use crate::params::Params;
use crate::params::metadata::Metadata;
use crate::resource::meter;
use crate::resource::price::{Price, Recurring};
use crate::resource::subscription::BillingMode;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// Stripe's limit.
const MAX_ITEMS: usize = 20;

/// The name in Stripe's error for a price that is listed twice, whether it was given as `plan` or as `price`.
pub(super) const PLAN_PARAM: &str = "plan";

/// Parameters of an item that the sandbox does not model.
const UNMODELLED: &[&str] = &[
    "billing_thresholds?",
    "dynamic_tax_rates",
    "price_data",
    "tax_rates?",
];

/// The items under `key`, for a new subscription or a phase in this billing mode. `current_prices` are prices that the
/// subscription already has; they may be archived.
pub(crate) fn read(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    key: &str,
    current_prices: &[Id],
    mode: BillingMode,
) -> Result<Vec<ItemSpec>> {
    let given = params.objects(key)?.unwrap_or_default();
    if given.is_empty() {
        let only = by_plan(ctx, params, None, current_prices)?;
        return Ok(vec![only.ok_or_else(|| params.missing(key))?]);
    }
    let specs = given.iter().map(|item| {
        let price = price(ctx, item, current_prices)?.ok_or_else(|| item.missing("price"))?;
        spec(ctx, item, price, None)
    });
    let specs = specs.collect::<Result<Vec<ItemSpec>>>()?;
    check(ctx, &specs, mode, &params.name(key), PLAN_PARAM)?;
    Ok(specs)
}

/// The item of the older parameters `plan` and `quantity` of the subscription itself.
pub(super) fn by_plan(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    before: Option<&Item>,
    current_prices: &[Id],
) -> Result<Option<ItemSpec>> {
    let at_top = params.name("plan") == "plan" && !ctx.has_meters();
    if !at_top || !(params.has("plan") || before.is_some() && params.has("quantity")) {
        return Ok(None);
    }
    let price = match (price(ctx, params, current_prices)?, before) {
        (Some(price), _) => price,
        (None, Some(item)) => ctx.account.price(&item.price),
        (None, None) => return Ok(None),
    };
    Ok(Some(ItemSpec {
        item: before.map(|item| item.id.clone()),
        price: price.id.clone(),
        interval: catalog::interval_of(price),
        quantity: quantity(params, price, before)?,
        is_new: false,
        clear_usage: false,
        metadata: before.map_or_else(Metadata::default, |item| item.metadata.clone()),
    }))
}

/// The quantity of an item; `None` for a metered price.
fn quantity(params: &Params<'_>, price: &Price, before: Option<&Item>) -> Result<Option<i64>> {
    let metered = price.recurring.as_ref().is_some_and(Recurring::is_metered);
    let quantity = params.integer_from("quantity", 0)?;
    if quantity.is_some_and(|quantity| quantity > MAX_QUANTITY) {
        return Err(too_large(params.name("quantity")));
    }
    let item_name = params.name("");
    let item_name = item_name.trim_end_matches("[]");
    if metered && quantity.is_some() {
        return Err(Error::invalid(format!(
            "Quantity should not be specified where usage_type is `metered`. Remove quantity from `{item_name}`"
        ))
        .param(params.name("quantity")));
    }
    // A new price starts with a quantity of 1.
    let same = before.filter(|item| item.price == price.id);
    let kept = || same.and_then(|item| item.quantity);
    Ok((!metered).then(|| quantity.or_else(kept).unwrap_or(1)))
}

pub(super) fn spec(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    price: &Price,
    before: Option<&Item>,
) -> Result<ItemSpec> {
    let metadata = before.map_or_else(Metadata::default, |item| item.metadata.clone());
    params.disabled("adjustable_quantity")?;
    params.unmodelled(UNMODELLED)?;
    if ctx.has_meters() {
        params.unmodelled(&["current_trial", "discounts?"])?;
    }
    Ok(ItemSpec {
        item: before.map(|item| item.id.clone()),
        price: price.id.clone(),
        interval: catalog::interval_of(price),
        quantity: quantity(params, price, before)?,
        is_new: false,
        clear_usage: false,
        metadata: params.metadata()?.apply(&metadata)?,
    })
}

/// The error for a quantity beyond [`MAX_QUANTITY`].
pub(crate) fn too_large(param: String) -> Error {
    Error::malformed(
        param,
        format!("This value must be less than or equal to {MAX_QUANTITY}."),
    )
    .code("parameter_invalid_integer")
}

/// The recurring price of an item: an active one, or one of the current ones.
pub(super) fn price<'a>(
    ctx: &'a Ctx<'_>,
    params: &Params<'_>,
    current_prices: &[Id],
) -> Result<Option<&'a Price>> {
    // Prices used to be plans, and the old name still works.
    let (key, param) = if params.has("plan") {
        ("plan", "plan".to_owned())
    } else {
        ("price", params.name("price"))
    };
    if key == "plan" && params.has("price") {
        return Err(
            Error::invalid("You may only specify one of these parameters: plan, price.")
                .param(param),
        );
    }
    let Some(id) = params.string(key)? else {
        return Ok(None);
    };
    let price = ctx
        .account
        .prices
        .get(id)
        .ok_or_else(|| Error::no_such(key, id, param.clone()))?;
    if price.recurring.is_none() {
        return Err(Error::invalid("The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.").param(param));
    }
    if !current_prices.contains(&price.id) {
        for_sale(ctx, price, &param)?;
        check_generation(ctx, price)?;
    }
    Ok(Some(price))
}

/// Refuses prices with usage records in later versions, which only have meters.
fn check_generation(ctx: &Ctx<'_>, price: &Price) -> Result<()> {
    let recurring = price.recurring.as_ref();
    let has_records = recurring.is_some_and(|recurring| recurring.aggregate_usage().is_some());
    if ctx.has_meters() && has_records {
        return Err(meter::required());
    }
    Ok(())
}

/// Checks that neither the price nor its product is archived.
fn for_sale(ctx: &Ctx<'_>, price: &Price, param: &str) -> Result<()> {
    if !price.active {
        return Err(Error::invalid(
            "The price specified is inactive. This field only accepts active prices.",
        )
        .param(param));
    }
    let product = ctx.account.products.get(&price.product);
    if product.is_some_and(|product| !product.active) {
        // The exact text of Stripe's answer in 2023.
        return Err(Error::invalid(format!(
            "The product {} is marked as inactive, and thus no new subscriptions can be create to any plans of this product. You provided the plan {}.",
            price.product, price.id
        ))
        .param(param));
    }
    Ok(())
}

/// Checks all items together: they have one currency, and in classic billing one interval. `twice` is the parameter in
/// the error for a price that is listed twice.
pub(super) fn check(
    ctx: &Ctx<'_>,
    specs: &[ItemSpec],
    mode: BillingMode,
    param: &str,
    twice: &str,
) -> Result<()> {
    if specs.len() > MAX_ITEMS {
        return Err(Error::invalid(format!(
            "You have exceeded the maximum number of items: a subscription can have at most {MAX_ITEMS}, and {} were given.",
            specs.len()
        ))
        .param(param));
    }
    let mut seen: Vec<&str> = Vec::new();
    let mut first: Option<(BillingInterval, Currency)> = None;
    for spec in specs {
        if seen.contains(&&*spec.price) {
            return Err(Error::invalid(format!(
                "Cannot create a Subscription with multiple Subscription Items with the same Price: {}",
                spec.price
            ))
            .param(twice));
        }
        seen.push(&spec.price);
        let price = ctx.account.price(&spec.price);
        let (interval, currency) = *first.get_or_insert((spec.interval, price.currency));
        let mismatch = if interval != spec.interval && !mode.is_flexible() {
            "interval"
        } else if currency != price.currency {
            "currency"
        } else {
            continue;
        };
        return Err(Error::invalid(format!(
            "Currency and interval fields must match across all plans on this subscription. Found mismatch in {mismatch} field."
        ))
        .param(param));
    }
    Ok(())
}

/// The error for items in another currency than the subscription's.
pub(crate) fn other_currency(param: String) -> Error {
    Error::invalid("You cannot change the currency of a subscription.").param(param)
}

/// The currency of items that [`read`] has checked.
pub(crate) fn currency(ctx: &Ctx<'_>, specs: &[ItemSpec]) -> Currency {
    let first = specs.first().expect("checked to be at least one");
    ctx.account.price(&first.price).currency
}

//! Reading invoice items: an amount, or a quantity of a one-time price. Also `add_invoice_items` of a subscription, a
//! change, or a phase.

use rust_decimal::Decimal;

use super::{AddedItem, InvoiceItem};
use crate::engine::{catalog, one_currency as currencies};
use crate::error::{Error, Result};
use crate::money::currency::Currency;
use crate::money::lines::Line;
use crate::money::{round_half_up, times};
use crate::params::Params;
use crate::params::metadata::Metadata;
use crate::resource::customer::Customer;
use crate::resource::price::MAX_AMOUNT;
use crate::resource::subscription;
use crate::resource::subscription_item::MAX_QUANTITY;
use crate::resource::subscription_item::input::too_large;
use crate::store::context::Ctx;
use crate::store::ids::Id;

pub(super) const UNMODELLED: &[&str] = &[
    "discounts?",
    "price_data",
    "tax_behavior",
    "tax_code?",
    "tax_rates?",
];

/// Reads a new item, without an id.
pub(crate) fn read_new(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    customer: &Customer,
) -> Result<InvoiceItem> {
    let now = ctx.time_of(&customer.id);
    let cost = read_cost(ctx, params)?.ok_or_else(|| {
        Error::invalid(
            "You must specify one of these parameters: amount, price, price_data, unit_amount.",
        )
        .code("parameter_missing")
        .param(params.name("amount"))
    })?;
    let given = params.currency("currency")?;
    if let (Some(of_price), Some(given)) = (cost.currency, given) {
        subscription::shared_input::check_same(of_price, given, params.name("currency"))?;
    }
    let currency = cost.currency.or(given);
    let currency = currency.ok_or_else(|| params.missing("currency"))?;
    currencies::check(ctx.account, customer, currency, None)?;
    let description = params.nullable("description")?.value().map(str::to_owned);
    let amount = cost.amount();
    params.unmodelled(UNMODELLED)?;
    Ok(InvoiceItem {
        id: Id::default(),
        customer: customer.id.clone(),
        clock: customer.test_clock.clone(),
        created: now,
        currency,
        subscription: subscription(ctx, params, &customer.id)?,
        item: None,
        credited: None,
        line: Line {
            quantity: Decimal::from(cost.quantity),
            amount,
            rate: cost.rate,
            description: description.or(cost.name).unwrap_or_default(),
            period: period(params)?.unwrap_or((now, now)),
            proration: false,
            // Credits are discountable only if the request says so.
            discountable: params.boolean("discountable")?.unwrap_or(amount >= 0),
        },
        price: cost.price,
        metadata: params.metadata()?.apply(&Metadata::default())?,
        invoice: None,
    })
}

/// The cost of an invoice item.
#[derive(Debug)]
pub(crate) struct Cost {
    pub(crate) price: Option<Id>,
    pub(crate) name: Option<String>,
    pub(crate) currency: Option<Currency>,
    pub(crate) quantity: i64,
    /// The unit price, which may be a fraction of a cent.
    pub(crate) rate: Decimal,
}

impl Cost {
    pub(crate) fn amount(&self) -> i64 {
        round_half_up(times(Decimal::from(self.quantity), self.rate))
    }
}

/// Reads `amount`, or a quantity of a `price` or a `unit_amount`.
pub(super) fn read_cost(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Option<Cost>> {
    let whole = params.integer("amount")?;
    let (price, unit) = if has_pricing(ctx, params) {
        (pricing(params)?, None)
    } else {
        let unit = params.integer("unit_amount")?.map(Decimal::from);
        (params.string("price")?, unit)
    };
    let decimal = params.decimal("unit_amount_decimal")?;
    let quantity = quantity(params)?;
    let given = [
        whole.is_some(),
        unit.is_some(),
        decimal.is_some(),
        price.is_some(),
    ];
    if given.iter().filter(|given| **given).count() > 1 {
        return Err(Error::invalid("You may only specify one of these parameters: amount, price, unit_amount, unit_amount_decimal.").param(params.name("amount")));
    }
    if whole.is_some() && quantity.is_some() {
        return Err(Error::invalid(
            "You may only specify one of these parameters: amount, quantity.",
        )
        .param(params.name("quantity")));
    }
    let quantity = quantity.unwrap_or(1);
    if let Some(id) = price {
        return of_price(ctx, params, id, quantity).map(Some);
    }
    let Some(rate) = whole.map(Decimal::from).or(unit).or(decimal) else {
        return Ok(None);
    };
    if rate.abs() > Decimal::from(MAX_AMOUNT) {
        return Err(Error::malformed(
            params.name("amount"),
            "Invalid integer: the amount is too large.",
        ));
    }
    Ok(Some(Cost {
        price: None,
        name: None,
        currency: None,
        quantity,
        rate,
    }))
}

/// Whether the parameters are those of `/v1/invoiceitems` in a later version, which have `pricing` instead of `price`
/// and `unit_amount`. Previews keep the older names.
fn has_pricing(ctx: &Ctx<'_>, params: &Params<'_>) -> bool {
    ctx.has_meters() && params.name("pricing") == "pricing"
}

/// `pricing[price]`
fn pricing<'a>(params: &Params<'a>) -> Result<Option<&'a str>> {
    match params.object("pricing")? {
        Some(pricing) => pricing.string("price"),
        None => Ok(None),
    }
}

pub(super) fn quantity(params: &Params<'_>) -> Result<Option<i64>> {
    match params.integer_from("quantity", 0)? {
        Some(quantity) if quantity > MAX_QUANTITY => Err(too_large(params.name("quantity"))),
        quantity => Ok(quantity),
    }
}

fn of_price(ctx: &Ctx<'_>, params: &Params<'_>, id: &str, quantity: i64) -> Result<Cost> {
    let param = params.name("price");
    let price = ctx.account.prices.get(id);
    let price = price.ok_or_else(|| Error::no_such("price", id, param.clone()))?;
    if price.recurring.is_some() {
        return Err(Error::invalid("The price specified is set to `type=recurring` but this field only accepts prices with `type=one_time`.").param(param));
    }
    if !price.active {
        return Err(Error::invalid(
            "The price specified is inactive. This field only accepts active prices.",
        )
        .param(param));
    }
    Ok(Cost {
        price: Some(price.id.clone()),
        name: Some(catalog::product_name(ctx.account, price)),
        currency: Some(price.currency),
        quantity,
        rate: catalog::rate(price),
    })
}

pub(super) fn period(params: &Params<'_>) -> Result<Option<(i64, i64)>> {
    let Some(period) = params.object("period")? else {
        return Ok(None);
    };
    let start = period
        .timestamp("start")?
        .ok_or_else(|| period.missing("start"))?;
    let end = period
        .timestamp("end")?
        .ok_or_else(|| period.missing("end"))?;
    if end < start {
        return Err(
            Error::invalid("The period's end must not be before its start.")
                .param(period.name("end")),
        );
    }
    Ok(Some((start, end)))
}

fn subscription(ctx: &Ctx<'_>, params: &Params<'_>, customer: &Id) -> Result<Option<Id>> {
    let Some(id) = params.string("subscription")? else {
        return Ok(None);
    };
    let found = ctx.account.billing.subscriptions.get(id);
    let live = found.filter(|found| found.customer == *customer && !found.status.is_ended());
    match live {
        Some(subscription) => Ok(Some(subscription.id.clone())),
        None => Err(Error::no_such(
            "subscription",
            id,
            params.name("subscription"),
        )),
    }
}

const ADDED: &str = "add_invoice_items";

/// Stripe's limit.
const MAX_ADDED: usize = 20;

/// Reads `add_invoice_items`, which must have the subscription's currency.
pub(crate) fn read_added(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    currency: Currency,
) -> Result<Vec<AddedItem>> {
    let given = params.objects(ADDED)?.unwrap_or_default();
    if given.len() > MAX_ADDED {
        return Err(Error::invalid(format!(
            "You can add at most {MAX_ADDED} invoice items at a time."
        ))
        .param(params.name(ADDED)));
    }
    let read = |params: &Params<'_>| {
        params.unmodelled(&["price_data", "tax_rates?"])?;
        let id = params.required("price")?;
        let quantity = quantity(params)?.unwrap_or(1);
        let cost = of_price(ctx, params, id, quantity)?;
        if let Some(of_price) = cost.currency {
            subscription::shared_input::check_same(of_price, currency, params.name("price"))?;
        }
        Ok(AddedItem {
            price: id.into(),
            quantity,
        })
    };
    given.iter().map(read).collect()
}

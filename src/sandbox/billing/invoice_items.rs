//! `/v1/invoiceitems`

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::invoice_item::{self, InvoiceItem};
use super::items::{MAX_QUANTITY, too_large};
use super::{catalog, currency as currencies};
use crate::sandbox::context::Ctx;
use crate::sandbox::currency::{self, Currency};
use crate::sandbox::customer::{self, Customer};
use crate::sandbox::cycle::lines::Line;
use crate::sandbox::cycle::{round_half_up, times};
use crate::sandbox::error::{Error, Result};
use crate::sandbox::field_update::FieldUpdate;
use crate::sandbox::filter::Created;
use crate::sandbox::ids::Id;
use crate::sandbox::metadata::Metadata;
use crate::sandbox::page::Page;
use crate::sandbox::params::Params;
use crate::sandbox::price::MAX_AMOUNT;

const URL: &str = "/v1/invoiceitems";
const WHAT: &str = "invoiceitem";
const UNMODELLED: &[&str] = &[
    "discounts?",
    "price_data",
    "tax_behavior",
    "tax_code?",
    "tax_rates?",
];

/// `POST /v1/invoiceitems`
pub(crate) fn create(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let holder = customer::named(ctx, params.required("customer")?, "customer")?;
    params.unmodelled(&["invoice"])?;
    let item = read_new(ctx, params, holder)?;
    params.finish()?;
    let id = invoice_item::add(ctx, item);
    let item = ctx.account.billing.invoice_items.table.get(&id);
    Ok(item.expect("just added").to_json(ctx.account))
}

/// Reads a new one, without an id.
pub(super) fn read_new(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    holder: &Customer,
) -> Result<InvoiceItem> {
    let now = ctx.time_of(&holder.id);
    let cost = read_cost(ctx, params)?.ok_or_else(|| {
        Error::invalid(
            "You must specify one of these parameters: amount, price, price_data, unit_amount.",
        )
        .code("parameter_missing")
        .param(params.name("amount"))
    })?;
    let given = currency::read(params, "currency")?;
    let currency = match (cost.currency, given) {
        (Some(of_price), Some(given)) if of_price != given => {
            return Err(Error::invalid(format!(
                "The price specified only supports `{}`. This doesn't match the expected currency: `{}`.",
                of_price.as_str(),
                given.as_str()
            ))
            .param(params.name("currency")));
        }
        (of_price, given) => of_price
            .or(given)
            .ok_or_else(|| params.missing("currency"))?,
    };
    currencies::check(ctx.account, holder, currency, None)?;
    let description = params.nullable("description")?.value().map(str::to_owned);
    let amount = cost.amount();
    params.unmodelled(UNMODELLED)?;
    Ok(InvoiceItem {
        id: Id::default(),
        customer: holder.id.clone(),
        clock: holder.test_clock.clone(),
        created: now,
        currency,
        subscription: subscription(ctx, params, &holder.id)?,
        item: None,
        line: Line {
            quantity: cost.quantity,
            amount,
            rate: cost.rate,
            description: description.or(cost.name).unwrap_or_default(),
            period: period(params)?.unwrap_or((now, now)),
            proration: false,
            // A credit is not discounted, unless that is asked for.
            discountable: params.boolean("discountable")?.unwrap_or(amount >= 0),
        },
        price: cost.price,
        metadata: params.metadata()?.apply(&Metadata::default())?,
        invoice: None,
    })
}

/// What an invoice item costs.
#[derive(Debug)]
struct Cost {
    price: Option<Id>,
    name: Option<String>,
    currency: Option<Currency>,
    quantity: i64,
    /// Of one unit, perhaps with a fraction of a cent.
    rate: Decimal,
}

impl Cost {
    fn amount(&self) -> i64 {
        round_half_up(times(Decimal::from(self.quantity), self.rate))
    }
}

/// `amount`, or a quantity of a `price`, or of a `unit_amount`.
fn read_cost(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Option<Cost>> {
    let whole = params.integer("amount")?;
    let unit = params.integer("unit_amount")?.map(Decimal::from);
    let decimal = params.decimal("unit_amount_decimal")?;
    let quantity = quantity(params)?;
    let price = params.string("price")?;
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

fn quantity(params: &Params<'_>) -> Result<Option<i64>> {
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

fn period(params: &Params<'_>) -> Result<Option<(i64, i64)>> {
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
    let theirs = found.filter(|found| found.customer == *customer && !found.status.ended());
    match theirs {
        Some(subscription) => Ok(Some(subscription.id.clone())),
        None => Err(Error::no_such(
            "subscription",
            id,
            params.name("subscription"),
        )),
    }
}

/// `GET /v1/invoiceitems/:id`
pub(crate) fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    Ok(find(ctx)?.to_json(ctx.account))
}

/// `GET /v1/invoiceitems`
pub(crate) fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    let holder = match params.string("customer")? {
        Some(id) => Some(customer::named(ctx, id, "customer")?),
        None => None,
    };
    let invoice = params.string("invoice")?;
    let pending = params.boolean("pending")?;
    let created = Created::read(params)?;
    params.finish()?;
    let keep = |item: &InvoiceItem| {
        let named = match holder {
            Some(holder) => item.customer == holder.id,
            None => invoice.is_some() || item.clock.is_none(),
        };
        named
            && invoice.is_none_or(|id| item.invoice.as_deref() == Some(id))
            && pending.is_none_or(|pending| item.invoice.is_none() == pending)
            && created.accepts(item.created)
    };
    let table = &ctx.account.billing.invoice_items.table;
    let cut = page.of_table(table, WHAT, keep)?;
    Ok(cut.to_json(URL, |item| item.to_json(ctx.account)))
}

/// `POST /v1/invoiceitems/:id`
pub(crate) fn update(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let item = find(ctx)?;
    waits(item, "updated")?;
    let mut changed = item.clone();
    let now = ctx.time_of(&item.customer);
    let only_quantity = ["amount", "price", "unit_amount", "unit_amount_decimal"]
        .iter()
        .all(|key| !params.has(key));
    if only_quantity {
        if let Some(quantity) = quantity(params)? {
            changed.line.quantity = quantity;
            changed.line.amount = round_half_up(times(Decimal::from(quantity), changed.line.rate));
        }
    } else if let Some(cost) = read_cost(ctx, params)? {
        if cost
            .currency
            .is_some_and(|currency| currency != item.currency)
        {
            return Err(
                Error::invalid("The price must be in the currency of the invoice item.")
                    .param("price"),
            );
        }
        changed.line.quantity = cost.quantity;
        changed.line.rate = cost.rate;
        changed.line.amount = cost.amount();
        changed.price = cost.price;
    }
    match params.nullable("description")? {
        FieldUpdate::Keep => {}
        FieldUpdate::Unset => changed.line.description.clear(),
        FieldUpdate::Set(text) => text.clone_into(&mut changed.line.description),
    }
    if let Some(discountable) = params.boolean("discountable")? {
        changed.line.discountable = discountable;
    }
    if let Some(period) = period(params)? {
        changed.line.period = period;
    }
    changed.metadata = params.metadata()?.apply(&item.metadata)?;
    params.unmodelled(UNMODELLED)?;
    params.finish()?;
    let before = item.to_json(ctx.account);
    let after = changed.to_json(ctx.account);
    let items = &mut ctx.account.billing.invoice_items.table;
    if let Some(item) = items.get_mut(&changed.id.clone()) {
        *item = changed;
    }
    if after != before {
        ctx.update_event("invoiceitem.updated", &before, &after, now);
    }
    Ok(after)
}

/// `DELETE /v1/invoiceitems/:id`
pub(crate) fn delete(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    let item = find(ctx)?;
    waits(item, "deleted")?;
    let (id, at) = (item.id.clone(), ctx.time_of(&item.customer));
    invoice_item::remove(ctx, &id, at);
    Ok(json!({"id": &*id, "object": "invoiceitem", "deleted": true}))
}

fn waits(item: &InvoiceItem, verb: &str) -> Result<()> {
    match &item.invoice {
        None => Ok(()),
        Some(invoice) => Err(Error::invalid(format!(
            "This invoice item cannot be {verb}: it is on the invoice {invoice}, which is no longer editable."
        ))),
    }
}

fn find<'a>(ctx: &'a Ctx<'_>) -> Result<&'a InvoiceItem> {
    let id = ctx.arg(0);
    let item = ctx.account.billing.invoice_items.table.get(&id);
    item.ok_or_else(|| Error::not_found(WHAT, &id))
}

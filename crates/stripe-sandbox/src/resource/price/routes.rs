//! `/v1/prices`

use std::collections::BTreeSet;

use serde_json::Value;

use super::input::{self, USAGE_TYPES};
use super::view::plan;
use super::{NAME, Price, Recurring};
use crate::error::{Error, Result};
use crate::money::currency::Currency;
use crate::money::period::IntervalUnit;
use crate::params::Params;
use crate::params::filter::Created;
use crate::resource::product::{self, Product};
use crate::resource::route::Route;
use crate::store::context::Ctx;
use crate::store::page::Page;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new("POST", "/v1/prices", "price", read_create, create),
        Route::new("GET", "/v1/prices", "list:price", read_list, list),
        Route::without_params("GET", "/v1/prices/:id", "price", retrieve),
        Route::new("POST", "/v1/prices/:id", "price", read_update, update),
    ]
}

/// Reads a new price, without an id, and the product to create for it, if any.
fn read_create(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<(Price, Option<Product>)> {
    let (price, product) = input::read(ctx, params)?;
    check_lookup_key(ctx, params, price.lookup_key.as_deref(), None)?;
    Ok((price, product))
}

/// `POST /v1/prices`
fn create(ctx: &mut Ctx<'_>, (mut price, product): (Price, Option<Product>)) -> Result<Value> {
    if let Some(product) = product {
        price.product = product::routes::insert(ctx, product);
    }
    price.id = ctx.account.ids.next("price", 24);
    let answer = price.to_json();
    // A recurring price also counts as a plan.
    let plan = price.recurring.is_some().then(|| plan(&price));
    ctx.account.prices.put(price);
    if let Some(plan) = plan {
        ctx.event("plan.created", &plan, ctx.now);
    }
    ctx.event("price.created", &answer, ctx.now);
    Ok(answer)
}

/// Checks that no other price, active or not, has the lookup key, unless it is moved by `transfer_lookup_key`.
fn check_lookup_key(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    key: Option<&str>,
    except: Option<&str>,
) -> Result<()> {
    let transfer = params.boolean("transfer_lookup_key")?.unwrap_or(false);
    let existing = key.and_then(|key| ctx.account.prices.with_lookup_key(key));
    match existing {
        Some(existing) if !transfer && except != Some(&existing.id) => Err(Error::invalid(
            format!("A price (`{}`) already uses that lookup key.", existing.id),
        )
        .param("lookup_key")),
        _ => Ok(()),
    }
}

/// Checks that a product's default price is not archived.
fn check_default(ctx: &Ctx<'_>, price: &Price) -> Result<()> {
    let product = ctx.account.products.get(&price.product);
    if !price.active && product.is_some_and(|product| product.defaults_to(&price.id)) {
        return Err(Error::invalid(
            "This price cannot be archived because it is the default price of its product.",
        )
        .param("active"));
    }
    Ok(())
}

/// `GET /v1/prices/:id`
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    Ok(find(ctx, &ctx.arg(0))?.to_json())
}

fn read_update(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Price> {
    let mut price = find(ctx, &ctx.arg(0))?.clone();
    input::change(&mut price, params)?;
    check_default(ctx, &price)?;
    check_lookup_key(ctx, params, price.lookup_key.as_deref(), Some(&price.id))?;
    Ok(price)
}

/// `POST /v1/prices/:id`
fn update(ctx: &mut Ctx<'_>, price: Price) -> Result<Value> {
    let (found, recurs) = (find(ctx, &price.id)?, price.recurring.is_some());
    let (before, plan_before) = (found.to_json(), plan(found));
    let (after, plan_after) = (price.to_json(), plan(&price));
    ctx.account.prices.put(price);
    if recurs && plan_after != plan_before {
        ctx.update_event("plan.updated", &plan_before, &plan_after, ctx.now);
    }
    if after != before {
        ctx.update_event("price.updated", &before, &after, ctx.now);
    }
    Ok(after)
}

fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a Price> {
    let price = ctx.account.prices.get(id);
    price.ok_or_else(|| Error::not_found(NAME, id).param("price"))
}

const URL: &str = "/v1/prices";

/// `GET /v1/prices`
fn list(ctx: &mut Ctx<'_>, filter: Filter) -> Result<Value> {
    let prices = &ctx.account.prices;
    let page = &filter.page;
    let rows = match &filter.lookup_keys {
        Some(keys) if keys.len() > 10 => {
            return Err(Error::malformed(
                "lookup_keys",
                "You may provide at most 10 lookup keys.",
            ));
        }
        Some(keys) => {
            let found = keys.iter().collect::<BTreeSet<_>>().into_iter();
            let found = found.filter_map(|key| prices.with_lookup_key(key));
            let rows: Vec<&Price> = found.filter(|price| filter.accepts(price)).collect();
            page.of_rows(&rows, NAME)?
        }
        None => page.of_table(prices.table(), NAME, |price| filter.accepts(price))?,
    };
    Ok(rows.to_json(URL, Price::to_json))
}

/// The filter of a list.
struct Filter {
    page: Page,
    active: Option<bool>,
    created: Created,
    currency: Option<Currency>,
    product: Option<String>,
    recurring: Option<bool>,
    interval: Option<IntervalUnit>,
    metered: Option<bool>,
    meter: Option<String>,
    lookup_keys: Option<Vec<String>>,
}

fn read_list(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Filter> {
    let page = Page::read(params)?;
    let (mut interval, mut usage, mut meter) = (None, None, None);
    if let Some(recurring) = params.object("recurring")? {
        interval = recurring.variant("interval", &IntervalUnit::ALL, IntervalUnit::as_str)?;
        usage = recurring.one_of("usage_type", USAGE_TYPES)?;
        if ctx.has_meters() {
            meter = recurring.string("meter")?.map(str::to_owned);
        }
    }
    let kind = params.one_of("type", &["one_time", "recurring"])?;
    let owned = |keys: Vec<&str>| keys.into_iter().map(str::to_owned).collect();
    Ok(Filter {
        page,
        active: params.boolean("active")?,
        created: Created::read(params)?,
        currency: params.currency("currency")?,
        product: params.string("product")?.map(str::to_owned),
        recurring: kind.map(|kind| kind == "recurring"),
        interval,
        metered: usage.map(|usage| usage == "metered"),
        meter,
        lookup_keys: params.strings("lookup_keys")?.map(owned),
    })
}

impl Filter {
    fn accepts(&self, price: &Price) -> bool {
        let recurring = price.recurring.as_ref();
        self.active.is_none_or(|active| active == price.active)
            && self.created.accepts(price.created)
            && (self.currency).is_none_or(|currency| currency == price.currency)
            && (self.product.as_deref()).is_none_or(|product| product == &*price.product)
            && (self.recurring).is_none_or(|wanted| wanted == recurring.is_some())
            && self.interval.is_none_or(|interval| {
                recurring.is_some_and(|recurring| recurring.interval.unit == interval)
            })
            && self.metered.is_none_or(|metered| {
                recurring.is_some_and(|recurring| recurring.is_metered() == metered)
            })
            && self.meter.as_deref().is_none_or(|meter| {
                let price_meter = recurring.and_then(Recurring::meter);
                price_meter.is_some_and(|id| **id == *meter)
            })
    }
}

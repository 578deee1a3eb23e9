//! `/v1/prices`

use serde_json::Value;

use super::input::{self, USAGE_TYPES};
use super::{Price, WHAT};
use crate::error::{Error, Result};
use crate::money::currency::Currency;
use crate::money::period::Interval;
use crate::params::Params;
use crate::params::filter::Created;
use crate::resource::route::{Route, route};
use crate::store::context::Ctx;
use crate::store::page::Page;

pub(crate) const ROUTES: &[Route] = &[
    route("POST", "/v1/prices", create, "price"),
    route("GET", "/v1/prices", list, "list:price"),
    route("GET", "/v1/prices/:id", retrieve, "price"),
    route("POST", "/v1/prices/:id", update, "price"),
];

/// `POST /v1/prices`
pub(crate) fn create(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let (mut price, product) = input::read(ctx, params)?;
    check_lookup_key(ctx, params, price.lookup_key.as_deref(), None)?;
    params.finish()?;
    if let Some(product) = product {
        price.product = crate::resource::product::routes::insert(ctx, product);
    }
    price.id = ctx.account.ids.next("price", 24);
    let answer = price.to_json();
    ctx.account.prices.put(price);
    ctx.event("price.created", &answer, ctx.now);
    Ok(answer)
}

/// A lookup key names one price, active or not, unless it is moved with `transfer_lookup_key`.
fn check_lookup_key(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    key: Option<&str>,
    own: Option<&str>,
) -> Result<()> {
    let transfer = params.boolean("transfer_lookup_key")?.unwrap_or(false);
    let holder = key.and_then(|key| ctx.account.prices.holder(key));
    match holder {
        Some(holder) if !transfer && own != Some(&holder.id) => Err(Error::invalid(format!(
            "A price (`{}`) already uses that lookup key.",
            holder.id
        ))
        .param("lookup_key")),
        _ => Ok(()),
    }
}

/// A product's default price cannot be archived.
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
pub(crate) fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    Ok(find(ctx, &ctx.arg(0))?.to_json())
}

/// `POST /v1/prices/:id`
pub(crate) fn update(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let mut price = find(ctx, &ctx.arg(0))?.clone();
    let before = price.to_json();
    input::change(&mut price, params)?;
    check_default(ctx, &price)?;
    check_lookup_key(ctx, params, price.lookup_key.as_deref(), Some(&price.id))?;
    params.finish()?;
    let after = price.to_json();
    ctx.account.prices.put(price);
    if after != before {
        ctx.update_event("price.updated", &before, &after, ctx.now);
    }
    Ok(after)
}

fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a Price> {
    let price = ctx.account.prices.get(id);
    price.ok_or_else(|| Error::not_found(WHAT, id).param("price"))
}

const URL: &str = "/v1/prices";

/// `GET /v1/prices`
pub(crate) fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    let filter = Filter::read(params)?;
    let keys = params.strings("lookup_keys")?;
    params.finish()?;
    let prices = &ctx.account.prices;
    let cut = match keys {
        Some(keys) if keys.len() > 10 => {
            return Err(Error::malformed(
                "lookup_keys",
                "You may provide at most 10 lookup keys.",
            ));
        }
        Some(mut keys) => {
            keys.sort_unstable();
            keys.dedup();
            let found = keys.into_iter().filter_map(|key| prices.holder(key));
            let rows: Vec<&Price> = found.filter(|price| filter.accepts(price)).collect();
            page.of_rows(&rows, WHAT)?
        }
        None => page.of_table(prices.table(), WHAT, |price| filter.accepts(price))?,
    };
    Ok(cut.to_json(URL, Price::to_json))
}

struct Filter<'a> {
    active: Option<bool>,
    created: Created,
    currency: Option<Currency>,
    product: Option<&'a str>,
    recurring: Option<bool>,
    interval: Option<Interval>,
    metered: Option<bool>,
}

impl<'a> Filter<'a> {
    fn read(params: &Params<'a>) -> Result<Self> {
        let (mut interval, mut usage) = (None, None);
        if let Some(recurring) = params.object("recurring")? {
            interval = recurring.variant("interval", &Interval::ALL, Interval::as_str)?;
            usage = recurring.one_of("usage_type", USAGE_TYPES)?;
        }
        let kind = params.one_of("type", &["one_time", "recurring"])?;
        Ok(Self {
            active: params.boolean("active")?,
            created: Created::read(params)?,
            currency: params.currency("currency")?,
            product: params.string("product")?,
            recurring: kind.map(|kind| kind == "recurring"),
            interval,
            metered: usage.map(|usage| usage == "metered"),
        })
    }

    fn accepts(&self, price: &Price) -> bool {
        let recurring = price.recurring.as_ref();
        self.active.is_none_or(|active| active == price.active)
            && self.created.accepts(price.created)
            && self
                .currency
                .is_none_or(|currency| currency == price.currency)
            && self
                .product
                .is_none_or(|product| product == &*price.product)
            && self
                .recurring
                .is_none_or(|wanted| wanted == recurring.is_some())
            && self.interval.is_none_or(|interval| {
                recurring.is_some_and(|recurring| recurring.every.interval == interval)
            })
            && self.metered.is_none_or(|metered| {
                recurring.is_some_and(|recurring| recurring.metered() == metered)
            })
    }
}

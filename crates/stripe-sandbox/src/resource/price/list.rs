//! The list of prices, and its filters.

use serde_json::Value;

use super::input::USAGE_TYPES;
use super::{Price, WHAT};
use crate::error::{Error, Result};
use crate::money::currency::{self, Currency};
use crate::money::period::Interval;
use crate::params::Params;
use crate::params::filter::Created;
use crate::store::context::Ctx;
use crate::store::page::Page;

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
            currency: currency::read(params, "currency")?,
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

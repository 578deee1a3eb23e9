//! Converts prices and coupons to the types of the [arithmetic](crate::money).

use rust_decimal::Decimal;

use crate::money::discount::Reduction;
use crate::money::lines::PriceTerms;
use crate::money::period::BillingInterval;
use crate::money::rating::{Scheme, Tier};
use crate::money::usage::AggregateUsage;
use crate::resource::coupon::{Coupon, Off};
use crate::resource::price::{Amount, Price, Recurring, TiersMode};
use crate::resource::subscription_item::ItemSpec;
use crate::store::account::Account;
use crate::store::ids::Id;

/// The name of a price's product.
pub(crate) fn product_name(account: &Account, price: &Price) -> String {
    let product = account.products.get(&price.product);
    product.map_or_else(|| price.product.to_string(), |product| product.name.clone())
}

/// The cost of items at the beginning of a period.
pub(crate) fn in_advance(account: &Account, specs: &[ItemSpec]) -> i64 {
    let amounts = specs.iter().filter_map(|spec| {
        let quantity = spec.quantity?;
        Some(price_terms(account, &spec.price).scheme.amount(quantity))
    });
    amounts.fold(0, i64::saturating_add)
}

/// The price of one unit.
pub(crate) fn rate(price: &Price) -> Decimal {
    scheme(price).first_rate()
}

/// The terms of a price, for the arithmetic and for the descriptions of its invoice lines.
pub(crate) fn price_terms(account: &Account, id: &str) -> PriceTerms {
    let price = account.price(id);
    let product = account.products.get(&price.product);
    PriceTerms {
        name: product_name(account, price),
        unit_label: product.and_then(|product| product.unit_label.clone()),
        currency: price.currency.as_str().to_owned(),
        interval: interval_of(price),
        scheme: scheme(price),
    }
}

/// The meter of a metered price; `None` if the price has usage records.
pub(crate) fn meter<'a>(account: &'a Account, id: &str) -> Option<&'a Id> {
    account.price(id).recurring.as_ref()?.meter()
}

/// How a metered price aggregates its usage records.
pub(crate) fn aggregate(account: &Account, id: &str) -> AggregateUsage {
    account
        .price(id)
        .recurring
        .as_ref()
        .and_then(Recurring::aggregate_usage)
        .unwrap_or_default()
}

/// How often a price recurs.
pub(crate) fn interval_of(price: &Price) -> BillingInterval {
    let recurring = price.recurring.as_ref();
    recurring
        .expect("items have recurring prices only")
        .interval
}

/// Whether a price costs nothing for any quantity. A paid price is not free just because the quantity is 0.
pub(crate) fn is_free(account: &Account, id: &str) -> bool {
    match &account.price(id).amount {
        Amount::PerUnit(unit) => unit.is_zero(),
        Amount::Tiered { tiers, .. } => tiers.iter().all(|tier| {
            tier.unit.is_none_or(|unit| unit.is_zero())
                && tier.flat.is_none_or(|flat| flat.is_zero())
        }),
    }
}

fn scheme(price: &Price) -> Scheme {
    match &price.amount {
        Amount::PerUnit(unit) => Scheme::PerUnit {
            unit: *unit,
            divide: price.transform,
        },
        Amount::Tiered { mode, tiers } => {
            let tiers = tiers
                .iter()
                .map(|tier| Tier {
                    up_to: tier.up_to,
                    unit: tier.unit.unwrap_or(Decimal::ZERO),
                    flat: tier.flat,
                })
                .collect();
            match mode {
                TiersMode::Volume => Scheme::Volume(tiers),
                TiersMode::Graduated => Scheme::Graduated(tiers),
            }
        }
    }
}

/// The amount or percentage that a coupon takes off.
pub(crate) fn reduction(coupon: &Coupon) -> Reduction {
    match coupon.off {
        Off::Amount(amount, _) => Reduction::Amount(amount),
        Off::Percent(percent) => Reduction::Percent(percent),
    }
}

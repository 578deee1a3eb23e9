//! Parameters that subscriptions, phases, invoices and checkout share.

use std::sync::Arc;

use super::{BillingMode, Prorate};
use crate::engine::catalog;
use crate::error::{Error, Result};
use crate::money::currency::Currency;
use crate::params::Params;
use crate::params::field_update::FieldUpdate;
use crate::resource::coupon::{self, Coupon, Off};
use crate::resource::customer::{self, Customer};
use crate::resource::discount::{self, AppliedCoupon};
use crate::resource::payment_method;
use crate::resource::promotion_code::input::Redemption;
use crate::resource::subscription_item::{self, ItemSpec};
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// `currency`, which must be that of the items if it is given.
pub(crate) fn same_currency(params: &Params<'_>, currency: Currency) -> Result<()> {
    match params.currency("currency")? {
        Some(given) => check_same(currency, given, params.name("currency")),
        None => Ok(()),
    }
}

/// Checks that a price has the currency that a parameter names.
pub(crate) fn check_same(of_price: Currency, expected: Currency, param: String) -> Result<()> {
    if of_price == expected {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "The price specified only supports `{}`. This doesn't match the expected currency: `{}`.",
        of_price.as_str(),
        expected.as_str()
    ))
    .param(param))
}

/// The coupon of a phase: `discounts`, or in 2022-11-15 `coupon`. An empty value means none.
pub(crate) fn coupon_of_phase<'a>(
    ctx: &Ctx<'_>,
    params: &Params<'a>,
) -> Result<Option<(&'a str, String)>> {
    let container = if ctx.has_meters() {
        match discount::input::single_discount(params)?.value() {
            Some(discount) => discount,
            None => return Ok(None),
        }
    } else {
        params.clone()
    };
    if ctx.has_meters() {
        container.unmodelled(&["promotion_code"])?;
    }
    let id = container.nullable("coupon")?.value();
    Ok(id.map(|id| (id, container.name("coupon"))))
}

/// A coupon, which must exist, be valid, and match the currency.
pub(crate) fn coupon_named(
    ctx: &Ctx<'_>,
    id: &str,
    param: &str,
    currency: Currency,
    now: i64,
) -> Result<Arc<Coupon>> {
    let coupon = coupon::input::applicable(ctx, id, param, now)?;
    check_currency(&coupon, currency, param)?;
    Ok(coupon)
}

/// `coupon`, which must exist, be valid, and match the currency.
pub(crate) fn coupon(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    currency: Currency,
    now: i64,
) -> Result<Option<Arc<Coupon>>> {
    let Some(id) = params.nullable("coupon")?.value() else {
        return Ok(None);
    };
    coupon_named(ctx, id, &params.name("coupon"), currency, now).map(Some)
}

/// Checks that a coupon can be applied to amounts in this currency.
pub(crate) fn check_currency(coupon: &Coupon, currency: Currency, param: &str) -> Result<()> {
    match coupon.off {
        Off::Amount(_, other) if other != currency => Err(Error::invalid(format!(
            "The coupon `{}` takes off an amount in `{}`, and the subscription is in `{}`.",
            coupon.id,
            other.as_str(),
            currency.as_str()
        ))
        .param(param)),
        _ => Ok(()),
    }
}

/// The discount for a subscription's items, which must match the currency.
pub(crate) fn discount(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    customer: Option<&Customer>,
    specs: &[ItemSpec],
    now: i64,
) -> Result<FieldUpdate<AppliedCoupon>> {
    discount_by(
        discount::input::of_subscription,
        ctx,
        params,
        (customer, specs),
        now,
    )
}

/// Like [`discount()`], but reads `coupon` or `promotion_code` in any version, for an element of `discounts`.
pub(crate) fn named_discount(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    customer: Option<&Customer>,
    specs: &[ItemSpec],
    now: i64,
) -> Result<FieldUpdate<AppliedCoupon>> {
    discount_by(
        discount::input::by_coupon_or_code,
        ctx,
        params,
        (customer, specs),
        now,
    )
}

/// Reads the discount of a request.
type ReadDiscount = fn(&Ctx<'_>, &Params<'_>, Redemption<'_>) -> Result<FieldUpdate<AppliedCoupon>>;

fn discount_by(
    read: ReadDiscount,
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    (customer, specs): (Option<&Customer>, &[ItemSpec]),
    now: i64,
) -> Result<FieldUpdate<AppliedCoupon>> {
    let currency = subscription_item::input::currency(ctx, specs);
    let redemption = Redemption {
        customer,
        amount: Some((catalog::in_advance(ctx.account, specs), currency)),
        now,
    };
    let given = read(ctx, params, redemption)?;
    if let FieldUpdate::Set(applied) = &given {
        check_currency(&applied.coupon, currency, &params.name("coupon"))?;
    }
    Ok(given)
}

/// `billing_mode` of a new subscription, schedule or session. Only later versions have it; their default is flexible.
pub(crate) fn billing_mode(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<BillingMode> {
    if !ctx.has_meters() {
        return Ok(BillingMode::Classic);
    }
    let Some(given) = params.object("billing_mode")? else {
        return Ok(default_mode(ctx));
    };
    let mode = given.one_of("type", &["classic", "flexible"])?;
    let mode = mode.ok_or_else(|| given.missing("type"))?;
    if let Some(flexible) = given.object("flexible")? {
        flexible.one_of_modelled("proration_discounts", &["included"], &["itemized"])?;
    }
    Ok(if mode == "flexible" {
        BillingMode::Flexible { updated_at: None }
    } else {
        BillingMode::Classic
    })
}

/// The default `billing_mode` of the call's version.
pub(crate) fn default_mode(ctx: &Ctx<'_>) -> BillingMode {
    if ctx.has_meters() {
        BillingMode::Flexible { updated_at: None }
    } else {
        BillingMode::Classic
    }
}

/// `proration_behavior`
pub(crate) fn prorate(params: &Params<'_>) -> Result<Option<Prorate>> {
    params.variant("proration_behavior", &Prorate::ALL, Prorate::as_str)
}

/// `collection_method`
pub(crate) fn collection_method<'a>(params: &Params<'a>) -> Result<Option<&'a str>> {
    let modelled = &["charge_automatically"];
    params.one_of_modelled("collection_method", modelled, &["send_invoice"])
}

/// `automatic_tax[enabled]`
pub(crate) fn automatic_tax(params: &Params<'_>) -> Result<Option<bool>> {
    let Some(tax) = params.object("automatic_tax")? else {
        return Ok(None);
    };
    let enabled = tax.boolean("enabled")?;
    tax.unmodelled(&["liability"])?;
    enabled.ok_or_else(|| tax.missing("enabled")).map(Some)
}

/// `automatic_tax[enabled]` of a subscription, which Stripe refuses if it does not know the customer's location.
pub(super) fn automatic_tax_with_location(
    params: &Params<'_>,
    customer: &Customer,
) -> Result<Option<bool>> {
    let enabled = automatic_tax(params)?;
    if enabled == Some(true) {
        customer::tax_location::check(customer)
            .map_err(|error| error.param(params.name("automatic_tax")))?;
    }
    Ok(enabled)
}

/// `default_payment_method`, which must belong to the customer. Test tokens are not allowed.
pub(crate) fn payment_method(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    customer: &str,
) -> Result<FieldUpdate<Id>> {
    let id = match params.nullable("default_payment_method")? {
        FieldUpdate::Keep => return Ok(FieldUpdate::Keep),
        FieldUpdate::Unset => return Ok(FieldUpdate::Unset),
        FieldUpdate::Set(id) => id,
    };
    let param = params.name("default_payment_method");
    let method = ctx.account.payment_methods.get(id);
    let method = method.ok_or_else(|| Error::no_such("PaymentMethod", id, param.clone()))?;
    if method.customer.as_deref() != Some(customer) {
        return Err(payment_method::input::not_theirs(id, param));
    }
    Ok(FieldUpdate::Set(method.id.clone()))
}

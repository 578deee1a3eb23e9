//! Coupons, which become [discounts](crate::resource::discount) on a customer or a subscription.

use std::sync::{Arc, Mutex};

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::locked;
use crate::params::Params;
use crate::params::filter::Created;
use crate::params::metadata::Metadata;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;
use crate::store::table::{Row, Table};

const URL: &str = "/v1/coupons";
const WHAT: &str = "coupon";

/// The account's coupons. Discounts keep their coupon when it is deleted.
pub(crate) type Coupons = Table<Arc<Coupon>>;

/// See the module's text. Everything but its texts and its use is fixed at creation.
#[derive(Debug)]
pub(crate) struct Coupon {
    pub(crate) id: Id,
    created: i64,
    pub(crate) off: Off,
    pub(crate) duration: Duration,
    max_redemptions: Option<i64>,
    redeem_by: Option<i64>,
    texts: Mutex<Texts>,
    times_redeemed: std::sync::atomic::AtomicI64,
}

/// What a coupon says, which can be changed. Discounts share their coupon, and show the change.
#[derive(Clone, Debug, Default)]
struct Texts {
    name: Option<String>,
    metadata: Metadata,
}

/// How much a coupon takes off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Off {
    /// An amount in the currency's smallest unit.
    Amount(i64, crate::money::currency::Currency),
    /// More than 0, at most 100.
    Percent(Decimal),
}

/// How long it does so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duration {
    Forever,
    Once,
    /// This many months from the start.
    Repeating(u32),
}

impl Row for Arc<Coupon> {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Coupon {
    fn uses(&self) -> i64 {
        self.times_redeemed
            .load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The same coupon for itself: its uses do not count.
    pub(crate) fn copy(&self) -> Self {
        Self {
            id: self.id.clone(),
            texts: Mutex::new(locked(&self.texts).clone()),
            times_redeemed: self.uses().into(),
            ..*self
        }
    }

    /// Counts one use.
    pub(crate) fn redeem(&self) {
        self.times_redeemed
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    /// Whether it can be applied at `now`.
    pub(crate) fn valid(&self, now: i64) -> bool {
        self.redeem_by.is_none_or(|by| now <= by)
            && self.max_redemptions.is_none_or(|max| self.uses() < max)
    }

    pub(crate) fn to_json(&self, now: i64) -> Value {
        let (amount_off, currency, percent_off) = match self.off {
            Off::Amount(amount, currency) => (json!(amount), json!(currency.as_str()), Value::Null),
            Off::Percent(percent) => (Value::Null, Value::Null, number(percent)),
        };
        let (duration, months) = match self.duration {
            Duration::Forever => ("forever", None),
            Duration::Once => ("once", None),
            Duration::Repeating(months) => ("repeating", Some(months)),
        };
        let texts = locked(&self.texts);
        json!({
            "id": &*self.id,
            "object": "coupon",
            "amount_off": amount_off,
            "created": self.created,
            "currency": currency,
            "duration": duration,
            "duration_in_months": months,
            "livemode": false,
            "max_redemptions": self.max_redemptions,
            "metadata": texts.metadata.to_json(),
            "name": texts.name,
            "percent_off": percent_off,
            "redeem_by": self.redeem_by,
            "times_redeemed": self.uses(),
            "valid": self.valid(now),
        })
    }
}

/// A percentage as a JSON number: `10`, or `12.5`. Only its rendering is a float.
fn number(percent: Decimal) -> Value {
    let percent = percent.normalize();
    match percent.to_i64() {
        Some(whole) if percent.is_integer() => json!(whole),
        _ => json!(percent.to_f64()),
    }
}

/// The coupon that a parameter names, if it can be applied at `now`.
pub(crate) fn applicable(ctx: &Ctx<'_>, id: &str, param: &str, now: i64) -> Result<Arc<Coupon>> {
    let coupon = ctx.account.coupons.get(id);
    let coupon = coupon.ok_or_else(|| Error::no_such(WHAT, id, param))?;
    if !coupon.valid(now) {
        return Err(
            Error::invalid(format!("This coupon is no longer valid: {id}"))
                .code("coupon_expired")
                .param(param),
        );
    }
    Ok(coupon.clone())
}

/// `POST /v1/coupons`
pub(crate) fn create(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let id = params.string("id")?;
    if id.is_some_and(|id| ctx.account.coupons.contains(id)) {
        return Err(Error::invalid("Coupon already exists.")
            .code("resource_already_exists")
            .param("id"));
    }
    let off = off(params)?;
    let duration = duration(params)?;
    let max_redemptions = params.integer_from("max_redemptions", 1)?;
    let redeem_by = params.timestamp("redeem_by")?;
    if redeem_by.is_some_and(|by| by <= ctx.now) {
        return Err(Error::malformed(
            "redeem_by",
            "Invalid timestamp: `redeem_by` must be in the future.",
        ));
    }
    let name = params.nullable("name")?.value().map(str::to_owned);
    let metadata = params.metadata()?.apply(&Metadata::default())?;
    params.unmodelled(&["applies_to", "currency_options"])?;
    params.finish()?;
    let coupon = Coupon {
        id: match id {
            Some(id) => id.into(),
            None => ctx.account.ids.text(11).into(),
        },
        created: ctx.now,
        off,
        duration,
        max_redemptions,
        redeem_by,
        texts: Mutex::new(Texts { name, metadata }),
        times_redeemed: 0.into(),
    };
    let answer = coupon.to_json(ctx.now);
    ctx.account.coupons.insert(Arc::new(coupon));
    ctx.event("coupon.created", &answer, ctx.now);
    Ok(answer)
}

fn off(params: &Params<'_>) -> Result<Off> {
    let percent = params.decimal("percent_off")?;
    let amount = params.integer_from("amount_off", 1)?;
    let currency = crate::money::currency::read(params, "currency")?;
    match (amount, percent) {
        (Some(_), Some(_)) => Err(Error::invalid(
            "You may only specify one of these parameters: amount_off, percent_off.",
        )),
        (None, None) => Err(Error::malformed(
            "amount_off",
            "Must provide percent_off or amount_off.",
        )
        .code("parameter_missing")),
        (Some(amount), None) if amount > crate::resource::price::MAX_AMOUNT => Err(
            Error::malformed("amount_off", "Invalid integer: the amount is too large."),
        ),
        (Some(amount), None) => match currency {
            Some(currency) => Ok(Off::Amount(amount, currency)),
            None => Err(Error::malformed(
                "currency",
                "You must pass currency when passing amount_off.",
            )
            .code("parameter_missing")),
        },
        (None, Some(percent)) if percent <= Decimal::ZERO || percent > Decimal::ONE_HUNDRED => {
            Err(Error::malformed(
                "percent_off",
                "Invalid decimal: percent_off must be greater than 0 and at most 100.",
            ))
        }
        (None, Some(percent)) => Ok(Off::Percent(percent)),
    }
}

fn duration(params: &Params<'_>) -> Result<Duration> {
    let months = params.integer_from("duration_in_months", 1)?;
    let kind = params.one_of("duration", &["forever", "once", "repeating"])?;
    match (kind, months) {
        (Some("repeating"), Some(months)) => match u32::try_from(months) {
            Ok(months) if months <= 1_200 => Ok(Duration::Repeating(months)),
            _ => Err(Error::malformed(
                "duration_in_months",
                "Invalid integer: at most 1200 months.",
            )),
        },
        (Some("repeating"), None) => Err(params.missing("duration_in_months")),
        (_, Some(_)) => Err(Error::malformed(
            "duration_in_months",
            "You can only pass duration_in_months when duration is `repeating`.",
        )),
        (Some("forever"), None) => Ok(Duration::Forever),
        (_, None) => Ok(Duration::Once),
    }
}

/// `GET /v1/coupons/:id`
pub(crate) fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    Ok(find(ctx, &ctx.arg(0))?.to_json(ctx.now))
}

/// `POST /v1/coupons/:id`: what it says.
pub(crate) fn update(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let id = ctx.arg(0);
    let coupon = find(ctx, &id)?.clone();
    let mut texts = locked(&coupon.texts).clone();
    params
        .nullable("name")?
        .map(str::to_owned)
        .apply(&mut texts.name);
    texts.metadata = params.metadata()?.apply(&texts.metadata)?;
    params.unmodelled(&["currency_options"])?;
    params.finish()?;
    let before = coupon.to_json(ctx.now);
    *locked(&coupon.texts) = texts;
    let after = coupon.to_json(ctx.now);
    if after != before {
        ctx.update_event("coupon.updated", &before, &after, ctx.now);
    }
    Ok(after)
}

/// `GET /v1/coupons`
pub(crate) fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    let created = Created::read(params)?;
    params.finish()?;
    let cut = page.of_table(&ctx.account.coupons, WHAT, |coupon| {
        created.accepts(coupon.created)
    })?;
    Ok(cut.to_json(URL, |coupon| coupon.to_json(ctx.now)))
}

/// `DELETE /v1/coupons/:id`: it can no longer be applied; discounts that it gave stay.
pub(crate) fn delete(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    let id = ctx.arg(0);
    let before = find(ctx, &id)?.to_json(ctx.now);
    ctx.account.coupons.remove(&id);
    ctx.event("coupon.deleted", &before, ctx.now);
    Ok(json!({"id": id, "object": "coupon", "deleted": true}))
}

fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a Arc<Coupon>> {
    let coupon = ctx.account.coupons.get(id);
    coupon.ok_or_else(|| Error::not_found(WHAT, id))
}

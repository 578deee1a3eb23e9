//! Promotion codes: what customers type to get a coupon, and who may.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};

use super::coupon::Coupon;
use super::customer::{self, Customer};
use super::discount::Applied;
use super::routes::{Route, route};
use crate::error::{Error, Result};
use crate::money::currency::{self, Currency};
use crate::params::Params;
use crate::params::filter::Created;
use crate::params::metadata::Metadata;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;
use crate::store::table::{Row, Table};

const URL: &str = "/v1/promotion_codes";
const WHAT: &str = "promotion code";
const OBJECT: &str = "promotion_code";

/// The endpoints.
pub(crate) const ROUTES: &[Route] = &[
    route("POST", URL, create, OBJECT),
    route("GET", URL, list, "list:promotion_code"),
    route("GET", "/v1/promotion_codes/:id", retrieve, OBJECT),
    route("POST", "/v1/promotion_codes/:id", update, OBJECT),
];

/// The account's promotion codes.
pub(crate) type PromotionCodes = Table<Arc<PromotionCode>>;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct PromotionCode {
    pub(crate) id: Id,
    code: String,
    coupon: Arc<Coupon>,
    created: i64,
    active: bool,
    /// The only customer who may use it.
    customer: Option<Id>,
    expires_at: Option<i64>,
    max_redemptions: Option<i64>,
    metadata: Metadata,
    restrictions: Restrictions,
    /// Shared with the versions before a change, which discounts may hold.
    times_redeemed: Arc<AtomicI64>,
}

/// What the purchase has to be.
#[derive(Clone, Copy, Debug, Default)]
struct Restrictions {
    first_time_transaction: bool,
    minimum_amount: Option<(i64, Currency)>,
}

impl Row for Arc<PromotionCode> {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl PromotionCode {
    fn uses(&self) -> i64 {
        self.times_redeemed.load(Ordering::Relaxed)
    }

    /// Counts one use.
    pub(crate) fn redeem(&self) {
        self.times_redeemed.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it can be used at `now`.
    fn usable(&self, now: i64) -> bool {
        self.active
            && self.expires_at.is_none_or(|at| now < at)
            && self.max_redemptions.is_none_or(|max| self.uses() < max)
            && self.coupon.valid(now)
    }

    pub(crate) fn to_json(&self, now: i64) -> Value {
        let minimum = self.restrictions.minimum_amount;
        json!({
            "id": &*self.id,
            "object": OBJECT,
            "active": self.usable(now),
            "code": self.code,
            "coupon": self.coupon.to_json(now),
            "created": self.created,
            "customer": self.customer.as_deref(),
            "expires_at": self.expires_at,
            "livemode": false,
            "max_redemptions": self.max_redemptions,
            "metadata": self.metadata.to_json(),
            "restrictions": {
                "first_time_transaction": self.restrictions.first_time_transaction,
                "minimum_amount": minimum.map(|(amount, _)| amount),
                "minimum_amount_currency": minimum.as_ref().map(|(_, currency)| currency.as_str()),
            },
            "times_redeemed": self.uses(),
        })
    }
}

/// Who wants to use a promotion code, and for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purchase<'a> {
    /// `None` for one who is not there yet.
    pub(crate) customer: Option<&'a Customer>,
    /// What is to be paid before the discount, if that is known.
    pub(crate) amount: Option<(i64, Currency)>,
    pub(crate) now: i64,
}

/// The promotion code that a parameter names, if it can be used for the purchase.
pub(crate) fn applicable(
    ctx: &Ctx<'_>,
    id: &str,
    param: &str,
    purchase: Purchase<'_>,
) -> Result<Applied> {
    let code = ctx.account.promotion_codes.get(id);
    let code = code.ok_or_else(|| Error::no_such(WHAT, id, param))?;
    let refused = |why: &str| {
        let message = format!("This promotion code cannot be redeemed because {why}.");
        Err(Error::invalid(message).param(param))
    };
    if !code.usable(purchase.now) {
        return refused("it is expired, inactive, or has been redeemed as often as it can be");
    }
    let customer = purchase.customer;
    let theirs = |id: &Id| customer.is_some_and(|customer| customer.id == *id);
    if code.customer.as_ref().is_some_and(|only| !theirs(only)) {
        return refused("it is for another customer");
    }
    let Restrictions {
        first_time_transaction,
        minimum_amount,
    } = code.restrictions;
    if first_time_transaction && customer.is_some_and(|customer| !customer.invoices.is_empty()) {
        return refused("the associated customer has prior transactions");
    }
    match (minimum_amount, purchase.amount) {
        (Some(_), None) => {
            return Err(Error::malformed(
                param,
                "The sandbox does not model promotion codes with a minimum amount on customers: use them on subscriptions.",
            ));
        }
        (Some((least, of)), Some((amount, currency))) if of != currency || amount < least => {
            return refused("the minimum amount has not been met");
        }
        _ => {}
    }
    Ok(Applied {
        coupon: code.coupon.clone(),
        code: Some(code.clone()),
    })
}

/// The promotion code that a customer has typed, in whatever case, if it can be used for the purchase.
pub(crate) fn typed(ctx: &Ctx<'_>, text: &str, purchase: Purchase<'_>) -> Result<Applied> {
    const PARAM: &str = "promotion_code";
    let customer = purchase.customer.map(|customer| &customer.id);
    let theirs = |code: &&Arc<PromotionCode>| {
        code.usable(purchase.now)
            && code.code.eq_ignore_ascii_case(text)
            && (code.customer.is_none() || code.customer.as_ref() == customer)
    };
    let mut codes = ctx.account.promotion_codes.iter();
    let code = codes.find(theirs);
    let code = code.ok_or_else(|| Error::invalid("This code is invalid.").param(PARAM))?;
    applicable(ctx, &code.id, PARAM, purchase)
}

/// `POST /v1/promotion_codes`
fn create(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let coupon =
        crate::resource::coupon::applicable(ctx, params.required("coupon")?, "coupon", ctx.now)?;
    let given = params.string("code")?;
    let customer = match params.string("customer")? {
        Some(id) => Some(customer::named(ctx, id, "customer")?.id.clone()),
        None => None,
    };
    let active = params.boolean("active")?.unwrap_or(true);
    let expires_at = params.timestamp("expires_at")?;
    if expires_at.is_some_and(|at| at <= ctx.now) {
        return Err(Error::malformed(
            "expires_at",
            "Invalid timestamp: `expires_at` must be in the future.",
        ));
    }
    let max_redemptions = params.integer_from("max_redemptions", 1)?;
    let metadata = params.metadata()?.apply(&Metadata::default())?;
    let restrictions = restrictions(params)?;
    if let Some(code) = given.filter(|_| active) {
        check_free(ctx, code, customer.as_ref())?;
    }
    params.finish()?;
    let code = match given {
        Some(code) => code.to_owned(),
        None => ctx.account.ids.text(11).to_uppercase(),
    };
    let made = PromotionCode {
        id: ctx.account.ids.next("promo", 24),
        code,
        coupon,
        created: ctx.now,
        active,
        customer,
        expires_at,
        max_redemptions,
        metadata,
        restrictions,
        times_redeemed: Arc::default(),
    };
    let answer = made.to_json(ctx.now);
    ctx.account.promotion_codes.insert(Arc::new(made));
    ctx.event("promotion_code.created", &answer, ctx.now);
    Ok(answer)
}

/// No two active codes read the same, in whatever case, unless they are for different customers.
fn check_free(ctx: &Ctx<'_>, code: &str, customer: Option<&Id>) -> Result<()> {
    let mut all = ctx.account.promotion_codes.iter();
    let taken = all.any(|other| {
        let apart =
            other.customer.is_some() && customer.is_some() && other.customer.as_ref() != customer;
        other.active && !apart && other.code.eq_ignore_ascii_case(code)
    });
    if taken {
        let message = format!("An active promotion code with `code: {code}` already exists.");
        return Err(Error::invalid(message).code("resource_already_exists"));
    }
    Ok(())
}

fn restrictions(params: &Params<'_>) -> Result<Restrictions> {
    let Some(given) = params.object("restrictions")? else {
        return Ok(Restrictions::default());
    };
    let amount = given.integer_from("minimum_amount", 1)?;
    let currency = currency::read(&given, "minimum_amount_currency")?;
    given.unmodelled(&["currency_options"])?;
    let minimum_amount = match (amount, currency) {
        (Some(amount), Some(currency)) => Some((amount, currency)),
        (Some(_), None) => return Err(given.missing("minimum_amount_currency")),
        (None, Some(_)) => return Err(given.missing("minimum_amount")),
        (None, None) => None,
    };
    Ok(Restrictions {
        first_time_transaction: given.boolean("first_time_transaction")?.unwrap_or(false),
        minimum_amount,
    })
}

/// `GET /v1/promotion_codes/:id`
fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    Ok(find(ctx, &ctx.arg(0))?.to_json(ctx.now))
}

/// `POST /v1/promotion_codes/:id`
fn update(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let old = find(ctx, &ctx.arg(0))?.clone();
    let before = old.to_json(ctx.now);
    let active = params.boolean("active")?.unwrap_or(old.active);
    let metadata = params.metadata()?.apply(&old.metadata)?;
    params.unmodelled(&["restrictions"])?;
    if active && !old.active {
        check_free(ctx, &old.code, old.customer.as_ref())?;
    }
    params.finish()?;
    let changed = PromotionCode {
        id: old.id.clone(),
        code: old.code.clone(),
        coupon: old.coupon.clone(),
        customer: old.customer.clone(),
        active,
        metadata,
        times_redeemed: old.times_redeemed.clone(),
        created: old.created,
        expires_at: old.expires_at,
        max_redemptions: old.max_redemptions,
        restrictions: old.restrictions,
    };
    let after = changed.to_json(ctx.now);
    if let Some(row) = ctx.account.promotion_codes.get_mut(&old.id) {
        *row = Arc::new(changed);
    }
    if after != before {
        ctx.update_event("promotion_code.updated", &before, &after, ctx.now);
    }
    Ok(after)
}

/// `GET /v1/promotion_codes`
fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    let created = Created::read(params)?;
    let active = params.boolean("active")?;
    let [code, coupon, customer] = ["code", "coupon", "customer"].map(|key| params.string(key));
    let (code, coupon, customer) = (code?, coupon?, customer?);
    params.finish()?;
    let cut = page.of_table(&ctx.account.promotion_codes, WHAT, |one| {
        created.accepts(one.created)
            && active.is_none_or(|active| active == one.usable(ctx.now))
            && code.is_none_or(|code| one.code.eq_ignore_ascii_case(code))
            && coupon.is_none_or(|coupon| &*one.coupon.id == coupon)
            && customer.is_none_or(|customer| one.customer.as_deref() == Some(customer))
    })?;
    Ok(cut.to_json(URL, |one| one.to_json(ctx.now)))
}

fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a Arc<PromotionCode>> {
    let code = ctx.account.promotion_codes.get(id);
    code.ok_or_else(|| Error::not_found(WHAT, id))
}

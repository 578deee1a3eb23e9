//! Discounts: coupons at work on a customer or a subscription.

pub(crate) mod routes;

use std::sync::Arc;

use serde_json::{Value, json};

use super::coupon::{self, Coupon, Duration};
use super::promotion_code::{self, PromotionCode, Purchase};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::field_update::FieldUpdate;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// A coupon that is to be applied, with the promotion code that gives it, if one does.
#[derive(Clone, Debug)]
pub(crate) struct Applied {
    pub(crate) coupon: Arc<Coupon>,
    pub(crate) code: Option<Arc<PromotionCode>>,
}

impl Applied {
    /// The same discount, of which the use counts nowhere.
    pub(crate) fn without_count(self) -> Self {
        Self::from(Arc::new(self.coupon.copy()))
    }
}

impl From<Arc<Coupon>> for Applied {
    fn from(coupon: Arc<Coupon>) -> Self {
        Self { coupon, code: None }
    }
}

/// `coupon` or `promotion_code`: one of them, or an empty one, which takes the discount away.
pub(crate) fn given(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    purchase: Purchase<'_>,
) -> Result<FieldUpdate<Applied>> {
    let coupon = params.nullable("coupon")?;
    let code = params.nullable("promotion_code")?;
    match (coupon, code) {
        (FieldUpdate::Set(_), FieldUpdate::Set(_)) => Err(Error::invalid(
            "You may only specify one of these parameters: coupon, promotion_code.",
        )
        .param(params.name("coupon"))),
        (_, FieldUpdate::Set(id)) => {
            let param = params.name("promotion_code");
            promotion_code::applicable(ctx, id, &param, purchase).map(FieldUpdate::Set)
        }
        (FieldUpdate::Set(id), _) => {
            let coupon = coupon::applicable(ctx, id, &params.name("coupon"), purchase.now)?;
            Ok(FieldUpdate::Set(coupon.into()))
        }
        (FieldUpdate::Keep, FieldUpdate::Keep) => Ok(FieldUpdate::Keep),
        _ => Ok(FieldUpdate::Unset),
    }
}

/// A coupon at work on a customer or a subscription.
#[derive(Clone, Debug)]
pub(crate) struct Discount {
    pub(crate) id: Id,
    pub(crate) coupon: Arc<Coupon>,
    /// What gave it.
    pub(crate) promotion_code: Option<Id>,
    pub(crate) customer: Id,
    pub(crate) subscription: Option<Id>,
    /// From when, in seconds.
    pub(crate) start: i64,
    /// Until when; `None` for `forever`, and for `once`, which ends with its use.
    pub(crate) end: Option<i64>,
}

/// Tells what became of the discount of a customer or a subscription.
pub(crate) fn tell_change(
    ctx: &mut Ctx<'_>,
    before: Option<&Discount>,
    after: Option<&Discount>,
    at: i64,
) {
    let json = |discount: &Discount| discount.to_json(at);
    match (before.map(json), after.map(json)) {
        (Some(before), None) => ctx.event("customer.discount.deleted", &before, at),
        (None, Some(after)) => ctx.event("customer.discount.created", &after, at),
        (Some(before), Some(after)) if before != after => {
            ctx.update_event("customer.discount.updated", &before, &after, at);
        }
        _ => {}
    }
}

impl Discount {
    /// A new discount from `start` on. Takes an id, and counts the use.
    pub(crate) fn new(
        ctx: &mut Ctx<'_>,
        applied: Applied,
        customer: Id,
        subscription: Option<Id>,
        start: i64,
    ) -> Self {
        let Applied { coupon, code } = applied;
        coupon.redeem();
        if let Some(code) = &code {
            code.redeem();
        }
        let end = match coupon.duration {
            Duration::Repeating(months) => chrono::DateTime::from_timestamp(start, 0)
                .and_then(|start| start.checked_add_months(chrono::Months::new(months)))
                .map(|end| end.timestamp()),
            Duration::Forever | Duration::Once => None,
        };
        Self {
            id: ctx.account.ids.next("di", 24),
            coupon,
            promotion_code: code.map(|code| code.id.clone()),
            customer,
            subscription,
            start,
            end,
        }
    }

    pub(crate) fn to_json(&self, now: i64) -> Value {
        json!({
            "id": &*self.id,
            "object": "discount",
            "checkout_session": null,
            "coupon": self.coupon.to_json(now),
            "customer": &*self.customer,
            "end": self.end,
            "invoice": null,
            "invoice_item": null,
            "promotion_code": self.promotion_code.as_deref(),
            "start": self.start,
            "subscription": self.subscription.as_deref(),
        })
    }
}

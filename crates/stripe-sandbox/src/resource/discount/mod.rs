//! Discounts: coupons applied to a customer or a subscription.

pub(crate) mod input;
pub(crate) mod routes;

use std::sync::Arc;

use serde_json::{Value, json};

use super::coupon::Coupon;
use super::promotion_code::PromotionCode;
use crate::store::ids::Id;

/// A coupon to apply, with its promotion code if there is one.
#[derive(Clone, Debug)]
pub(crate) struct AppliedCoupon {
    pub(crate) coupon: Arc<Coupon>,
    pub(crate) code: Option<Arc<PromotionCode>>,
}

impl AppliedCoupon {
    /// The same coupon on a copy, so that its redemption does not count.
    pub(crate) fn without_redemption(self) -> Self {
        Self::from(Arc::new(self.coupon.copy()))
    }
}

impl From<Arc<Coupon>> for AppliedCoupon {
    fn from(coupon: Arc<Coupon>) -> Self {
        Self { coupon, code: None }
    }
}

/// A coupon applied to a customer or a subscription.
#[derive(Clone, Debug)]
pub(crate) struct Discount {
    pub(crate) id: Id,
    pub(crate) coupon: Arc<Coupon>,
    /// The promotion code through which it was applied.
    pub(crate) promotion_code: Option<Id>,
    pub(crate) customer: Id,
    pub(crate) subscription: Option<Id>,
    /// Its start, in seconds.
    pub(crate) start: i64,
    /// Its end. `None` for `forever`, and for `once`, which ends when it is used.
    pub(crate) end: Option<i64>,
}

impl Discount {
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

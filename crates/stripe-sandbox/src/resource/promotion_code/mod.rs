//! Promotion codes, which customers enter to get a coupon.

pub(crate) mod input;
pub(crate) mod routes;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};

use super::coupon::Coupon;
use crate::money::currency::Currency;
use crate::params::metadata::Metadata;
use crate::store::ids::Id;
use crate::store::table::{Row, Table};

const NAME: &str = "promotion code";

const OBJECT: &str = "promotion_code";

/// The account's promotion codes.
pub(crate) type PromotionCodes = Table<Arc<PromotionCode>>;

/// A promotion code.
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
    /// Shared with older copies that discounts may still hold after an update.
    times_redeemed: Arc<AtomicI64>,
}

/// The restrictions on the purchase.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Restrictions {
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

    pub(crate) fn coupon(&self) -> &Arc<Coupon> {
        &self.coupon
    }

    /// A copy with its own count of redemptions, for a copy of its coupon.
    pub(crate) fn copy(&self, coupon: Arc<Coupon>) -> Self {
        Self {
            id: self.id.clone(),
            code: self.code.clone(),
            coupon,
            customer: self.customer.clone(),
            metadata: self.metadata.clone(),
            times_redeemed: Arc::new(self.uses().into()),
            ..*self
        }
    }

    /// Counts one redemption.
    pub(crate) fn redeem(&self) {
        self.times_redeemed.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it can be used at `now`.
    fn is_usable(&self, now: i64) -> bool {
        self.active
            && self.expires_at.is_none_or(|at| now < at)
            && self.max_redemptions.is_none_or(|max| self.uses() < max)
            && self.coupon.is_valid(now)
    }

    pub(crate) fn to_json(&self, now: i64) -> Value {
        let minimum = self.restrictions.minimum_amount;
        json!({
            "id": &*self.id,
            "object": OBJECT,
            "active": self.is_usable(now),
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

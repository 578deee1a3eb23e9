//! Coupons. Applied to a customer or a subscription, they become [discounts](super::discount).

pub(crate) mod input;
pub(crate) mod routes;

use std::sync::{Arc, Mutex};

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Value, json};

use crate::params::metadata::Metadata;
use crate::store::ids::Id;
use crate::store::locked;
use crate::store::table::{Row, Table};

const NAME: &str = "coupon";

/// The account's coupons. Discounts keep their coupon when it is deleted.
pub(crate) type Coupons = Table<Arc<Coupon>>;

/// A coupon. After creation, only its name, metadata and number of redemptions change.
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

/// The texts of a coupon, which can be changed. Discounts share the coupon, so they show the change.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
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

/// How long a discount lasts.
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

    /// A copy with its own count of redemptions.
    pub(crate) fn copy(&self) -> Self {
        Self {
            id: self.id.clone(),
            texts: Mutex::new(locked(&self.texts).clone()),
            times_redeemed: self.uses().into(),
            ..*self
        }
    }

    /// Counts one redemption.
    pub(crate) fn redeem(&self) {
        self.times_redeemed
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    /// Whether it can be applied at `now`.
    pub(crate) fn is_valid(&self, now: i64) -> bool {
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
            "valid": self.is_valid(now),
        })
    }
}

/// A percentage as a JSON number: `10`, or `12.5`. This is the only use of a float.
fn number(percent: Decimal) -> Value {
    let percent = percent.normalize();
    match percent.to_i64() {
        Some(integer) if percent.is_integer() => json!(integer),
        _ => json!(percent.to_f64()),
    }
}

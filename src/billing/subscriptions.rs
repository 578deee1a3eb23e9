//! Subscriptions and their items.

use serde::Deserialize;

use super::object::{Expandable, Metadata, identified};
use super::{Discount, Price, Schedule};
use crate::stripe::Page;

/// A subscription.
#[derive(Clone, Debug, Deserialize)]
pub struct Subscription {
    /// `sub_…`.
    pub id: String,
    /// `trialing`, `active`, `past_due`, …
    pub status: String,
    /// Unix seconds.
    #[serde(default)]
    pub start_date: i64,
    /// Unix seconds; when it is going to end.
    #[serde(default)]
    pub cancel_at: Option<i64>,
    /// Unix seconds; when it ended.
    #[serde(default)]
    pub ended_at: Option<i64>,
    /// Unix seconds.
    #[serde(default)]
    pub trial_start: Option<i64>,
    /// Unix seconds.
    #[serde(default)]
    pub trial_end: Option<i64>,
    /// Unix seconds.
    #[serde(default)]
    pub current_period_start: i64,
    /// Unix seconds.
    #[serde(default)]
    pub current_period_end: i64,
    /// `tier.subscription` marks Tier's.
    #[serde(default)]
    pub metadata: Metadata,
    /// Three lower-case letters.
    #[serde(default)]
    pub currency: String,
    /// What its invoices are paid with, if not the customer's default: `pm_…`.
    #[serde(default)]
    pub default_payment_method: Option<String>,
    /// At most 20, so they are always all here.
    pub items: Page<SubscriptionItem>,
    /// The schedule that drives it, or its id.
    #[serde(default)]
    pub schedule: Option<Expandable<Schedule>>,
    /// The discount in force.
    #[serde(default)]
    pub discount: Option<Discount>,
    /// Whether tax is computed.
    #[serde(default)]
    pub automatic_tax: AutomaticTax,
}

/// Whether Stripe computes tax.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AutomaticTax {
    /// It does.
    pub enabled: bool,
}

/// An item of a subscription.
#[derive(Clone, Debug, Deserialize)]
pub struct SubscriptionItem {
    /// `si_…`.
    pub id: String,
    /// What is sold.
    pub price: Price,
    /// Absent on metered items.
    #[serde(default)]
    pub quantity: Option<u64>,
    /// The app's own pairs.
    #[serde(default)]
    pub metadata: Metadata,
}

identified!(Subscription);

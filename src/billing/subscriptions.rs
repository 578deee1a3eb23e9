//! Subscriptions and their items.

use serde::Deserialize;

use super::object::{Expandable, Metadata, identified};
use super::words::words;
use super::{Billing, Discount, Price, Schedule};
use crate::stripe::{Error, Page};

/// A subscription.
#[derive(Clone, Debug, Deserialize)]
pub struct Subscription {
    /// `sub_…`.
    pub id: String,
    /// What has become of it.
    pub status: SubscriptionStatus,
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
    /// Free pairs.
    #[serde(default)]
    pub metadata: Metadata,
    /// Three lower-case letters.
    #[serde(default)]
    pub currency: String,
    /// What its invoices are paid with, if not the customer's default: `pm_…`.
    #[serde(default)]
    pub default_payment_method: Option<String>,
    /// `clock_…`, if its time does not pass by itself.
    #[serde(default)]
    pub test_clock: Option<String>,
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

words! {
    /// What has become of a subscription.
    SubscriptionStatus {
        /// A trial runs.
        Trialing = "trialing",
        /// It is paid for.
        Active = "active",
        /// An invoice was not paid, and may be yet.
        PastDue = "past_due",
        /// Invoices are not paid, and not tried any more.
        Unpaid = "unpaid",
        /// Its trial ended without a payment method.
        Paused = "paused",
        /// Its first invoice waits for a payment.
        Incomplete = "incomplete",
        /// Its first invoice was not paid in time.
        IncompleteExpired = "incomplete_expired",
        /// It has ended.
        Canceled = "canceled",
    }
}

impl Subscription {
    /// Whether a trial runs.
    pub fn is_trialing(&self) -> bool {
        self.status == SubscriptionStatus::Trialing
    }

    /// The schedule that drives it, if one does.
    pub fn active_schedule(&self) -> Option<&Schedule> {
        let schedule = self.schedule.as_ref()?.object();
        schedule.filter(|schedule| schedule.is_active())
    }
}

/// How much of a customer's subscriptions is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Items only: the entitlement path.
    Items,
    /// Schedule and coupons too.
    Schedule,
    /// The same, with subscriptions that have ended.
    History,
}

impl Billing<'_> {
    /// A customer's subscriptions, newest first.
    pub async fn subscriptions(
        self,
        customer: &str,
        detail: Detail,
    ) -> Result<Vec<Subscription>, Error> {
        let mut request = self
            .get("/v1/subscriptions")
            .param("customer", customer)
            .param("limit", 100);
        if detail != Detail::Items {
            request = request
                .expand("data.schedule.phases.coupon")
                .expand("data.discount.coupon");
        }
        if detail == Detail::History {
            request = request.param("status", "all");
        }
        let page: Page<Subscription> = request.send().await?;
        Ok(page.data)
    }
}

//! Subscriptions and their items.

use serde::Deserialize;

use super::object::{Expandable, Metadata, identified};
use super::words::words;
use super::{Billing, Customer, Discount, Price, Schedule, Write};
use crate::stripe::{Error, Form, Page};

/// A subscription.
#[derive(Clone, Debug, Deserialize)]
pub struct Subscription {
    /// `sub_…`.
    pub id: String,
    /// `cus_…`.
    #[serde(default)]
    pub customer: String,
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
    /// Unix seconds; a time at which a billing period begins, and whose day of the month others begin on.
    #[serde(default)]
    pub billing_cycle_anchor: Option<i64>,
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
    /// Unix seconds; when it was created.
    #[serde(default)]
    pub created: i64,
    /// Absent on metered items.
    #[serde(default)]
    pub quantity: Option<u64>,
    /// The app's own pairs.
    #[serde(default)]
    pub metadata: Metadata,
}

identified!(Subscription);

/// A subscription together with its customer.
#[derive(Clone, Debug, Deserialize)]
pub struct CustomerSubscription {
    /// The subscription, whose schedule is expanded. It does not name its customer.
    #[serde(flatten)]
    pub subscription: Subscription,
    /// The customer. All its live subscriptions are here too where they were asked for.
    pub customer: Customer,
}

/// Which subscriptions are listed.
#[derive(Clone, Copy, Debug, Default)]
pub struct SubscriptionFilter<'a> {
    /// Only those that sell this price now: `price_…`.
    pub price: Option<&'a str>,
    /// Those that have ended too.
    pub with_ended: bool,
    /// Only those on this test clock; none: only those on none.
    pub test_clock: Option<&'a str>,
}

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

/// What is written to a subscription. What is not given stays.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionUpdate<'a> {
    /// What its invoices are paid with: `pm_…`.
    pub default_payment_method: Option<&'a str>,
    /// Items that empty ones of the same price take the place of: no later record takes anything away from a maximum.
    pub cleared_items: Vec<ClearedItem<'a>>,
    /// Free pairs.
    pub metadata: Metadata,
}

/// An item whose usage is to be forgotten, and not billed.
#[derive(Clone, Copy, Debug)]
pub struct ClearedItem<'a> {
    /// `si_…`.
    pub id: &'a str,
    /// `price_…`.
    pub price: &'a str,
}

impl SubscriptionUpdate<'_> {
    fn form(&self) -> Form {
        let mut form = Form::new();
        form.push_some("default_payment_method", self.default_payment_method);
        if !self.cleared_items.is_empty() {
            form.push("proration_behavior", "none");
        }
        for (i, item) in self.cleared_items.iter().enumerate() {
            let (old, new) = (2 * i, 2 * i + 1);
            form.push(format!("items[{old}][id]"), item.id);
            form.push(format!("items[{old}][deleted]"), true);
            form.push(format!("items[{old}][clear_usage]"), true);
            form.push(format!("items[{new}][price]"), item.price);
        }
        form.push_metadata(&self.metadata);
        form
    }
}

impl Billing<'_> {
    /// A subscription.
    pub async fn subscription(self, id: &str) -> Result<Subscription, Error> {
        self.get((SUBSCRIPTION, id)).send().await
    }

    /// A page of all subscriptions that have not ended, newest first, which goes on `after` one of them.
    pub async fn all_subscriptions(self, after: Option<&str>) -> Result<Page<Subscription>, Error> {
        let request = self.get("/v1/subscriptions").param("limit", 100);
        request.param_some("starting_after", after).send().await
    }

    /// A page of subscriptions with their customers, newest first, which goes on `after` one of them. Where a price is
    /// named, each customer has all its live subscriptions.
    pub async fn subscriptions_with_customers(
        self,
        filter: SubscriptionFilter<'_>,
        after: Option<&str>,
    ) -> Result<Page<CustomerSubscription>, Error> {
        let request = self
            .get("/v1/subscriptions")
            .param("limit", 100)
            .param_some("price", filter.price)
            .param_some("status", filter.with_ended.then_some("all"))
            .param_some("test_clock", filter.test_clock)
            .param_some("starting_after", after)
            .expand("data.schedule");
        let customer = if filter.price.is_some() {
            "data.customer.subscriptions"
        } else {
            "data.customer"
        };
        request.expand(customer).send().await
    }

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
    /// Writes to a subscription.
    pub fn update_subscription(
        self,
        id: &str,
        update: &SubscriptionUpdate<'_>,
    ) -> Write<Subscription> {
        Write::new(self.post((SUBSCRIPTION, id)).form(update.form()))
    }

    /// Ends a subscription now, billing what was used, and with `credits`, giving back what was paid and is not used.
    pub async fn end_subscription(self, id: &str, credits: bool) -> Result<Subscription, Error> {
        let request = self.delete((SUBSCRIPTION, id));
        let request = request.param("invoice_now", true);
        request.param("prorate", credits).send().await
    }
}

const SUBSCRIPTION: &str = "/v1/subscriptions/*";

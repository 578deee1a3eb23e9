//! Subscriptions and their items.

use serde::Deserialize;

use super::object::{Expandable, Metadata, identified, is_enabled, items};
use super::string_enum::string_enum;
use super::{Billing, Customer, Discount, Generation, ListPage, Price, Schedule, Write};
use crate::stripe::{Error, Form, Identified, Page};

/// A subscription.
#[derive(Clone, Debug, Deserialize)]
pub struct Subscription {
    /// `sub_…`.
    pub id: String,
    /// `cus_…`.
    #[serde(default)]
    pub customer: String,
    /// Its status.
    pub status: SubscriptionStatus,
    /// Unix seconds.
    #[serde(default)]
    pub start_date: i64,
    /// When it is scheduled to end, in Unix seconds.
    #[serde(default)]
    pub cancel_at: Option<i64>,
    /// When it ended, in Unix seconds.
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
    /// The billing cycle anchor, in Unix seconds: billing periods begin on its day of the month.
    #[serde(default)]
    pub billing_cycle_anchor: Option<i64>,
    /// Its metadata.
    #[serde(default)]
    pub metadata: Metadata,
    /// The currency: three lower-case letters.
    #[serde(default)]
    pub currency: String,
    /// The payment method of its invoices: `pm_…`. None: the customer's default.
    #[serde(default)]
    pub default_payment_method: Option<String>,
    /// The test clock that it is on: `clock_…`.
    #[serde(default)]
    pub test_clock: Option<String>,
    /// Its items, at most 20. Stripe returns all of them.
    #[serde(deserialize_with = "items")]
    pub items: Vec<SubscriptionItem>,
    #[serde(default)]
    pub(super) schedule: Option<Expandable<Schedule>>,
    /// Its newest invoice: `in_…`.
    #[serde(default)]
    pub latest_invoice: Option<String>,
    /// The current discount.
    #[serde(default)]
    pub discount: Option<Discount>,
    /// Whether Stripe computes tax.
    #[serde(default, deserialize_with = "is_enabled")]
    pub automatic_tax: bool,
}

/// An item of a subscription.
#[derive(Clone, Debug, Deserialize)]
pub struct SubscriptionItem {
    /// `si_…`.
    pub id: String,
    /// The price.
    pub price: Price,
    /// When it was created, in Unix seconds.
    #[serde(default)]
    pub created: i64,
    /// The quantity. Metered items have none.
    #[serde(default)]
    pub quantity: Option<u64>,
    /// The app's own metadata.
    #[serde(default)]
    pub metadata: Metadata,
}

identified!(Subscription);

/// A subscription together with its customer.
#[derive(Clone, Debug, Deserialize)]
pub struct CustomerSubscription {
    /// The subscription, with its schedule expanded and `customer` empty.
    #[serde(flatten)]
    pub subscription: Subscription,
    /// The customer, with all its live subscriptions if these were expanded.
    pub customer: Customer,
}

impl Identified for CustomerSubscription {
    fn id(&self) -> &str {
        &self.subscription.id
    }
}

/// Which subscriptions are listed.
#[derive(Clone, Copy, Debug, Default)]
pub struct SubscriptionFilter<'a> {
    /// Only those with an item of this price: `price_…`.
    pub price: Option<&'a str>,
    /// Whether to include those that have ended.
    pub with_ended: bool,
    /// Only those on this test clock. None: only those on no test clock.
    pub test_clock: Option<&'a str>,
}

string_enum! {
    /// The status of a subscription.
    SubscriptionStatus {
        /// It is in a trial.
        Trialing = "trialing",
        /// It is paid for.
        Active = "active",
        /// An invoice is unpaid, and its payment is retried.
        PastDue = "past_due",
        /// Invoices are unpaid, and payment is not retried.
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
    /// Whether it is in a trial.
    pub fn is_trialing(&self) -> bool {
        self.status == SubscriptionStatus::Trialing
    }

    /// The id of its schedule.
    pub fn schedule_id(&self) -> Option<&str> {
        Some(self.schedule.as_ref()?.id())
    }

    /// Its schedule, if expanded.
    pub fn schedule(&self) -> Option<&Schedule> {
        self.schedule.as_ref()?.object()
    }

    /// The schedule that manages it, if there is one and it was expanded.
    pub fn active_schedule(&self) -> Option<&Schedule> {
        self.schedule().filter(|schedule| schedule.is_active())
    }
}

/// How much to read of a customer's subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Only items, for entitlements.
    Items,
    /// Also schedules and coupons.
    Schedule,
    /// Also schedules and coupons, and subscriptions that have ended.
    History,
}

/// An update of a subscription. None leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionUpdate<'a> {
    /// The payment method of its invoices: `pm_…`.
    pub default_payment_method: Option<&'a str>,
    /// Items to replace with new ones of the same price, without usage. Usage records cannot lower a maximum.
    pub cleared_items: Vec<ClearedItem<'a>>,
    /// Its metadata.
    pub metadata: Metadata,
}

/// An item whose usage is discarded and not billed.
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

    /// A page of all subscriptions that have not ended, newest first, starting `after` the one with this id.
    pub async fn all_subscriptions(
        self,
        after: Option<&str>,
    ) -> Result<ListPage<Subscription>, Error> {
        let request = self.get("/v1/subscriptions").param("limit", 100);
        request.param_some("starting_after", after).send().await
    }

    /// A page of the subscriptions with their customers, newest first, starting `after` the one with this id. If the
    /// filter has a price, each customer has all its live subscriptions.
    pub async fn subscriptions_with_customers(
        self,
        filter: SubscriptionFilter<'_>,
        after: Option<&str>,
    ) -> Result<ListPage<CustomerSubscription>, Error> {
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

    /// Updates a subscription.
    pub fn update_subscription(
        self,
        id: &str,
        update: &SubscriptionUpdate<'_>,
    ) -> Write<Subscription> {
        Write::new(self.post((SUBSCRIPTION, id)).form(update.form()))
    }

    /// Ends a subscription now and bills what was used. With `credits`, Stripe credits the unused time.
    pub async fn end_subscription(
        self,
        id: &str,
        generation: Generation,
        credits: bool,
    ) -> Result<Subscription, Error> {
        let request = self.client.delete(generation.version(), (SUBSCRIPTION, id));
        let request = request.param("invoice_now", true);
        request.param("prorate", credits).send().await
    }
}

const SUBSCRIPTION: &str = "/v1/subscriptions/*";

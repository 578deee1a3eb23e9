//! Subscriptions and everything that depends on them: schedules, usage, invoices, checkout.

mod added_items;
mod adopted;
mod anchors;
mod archived;
mod bad_schedules;
mod checkout;
mod clear_usage;
mod currencies;
mod cycle_resets;
mod ended_phases;
mod examples;
mod invoice_drafts;
mod invoice_items;
mod invoices;
mod item_changes;
mod older_names;
mod pauses;
mod portal;
mod previews;
mod promotion_codes;
mod properties;
mod prorations;
mod resent_phases;
mod running_phases;
mod schedules;
mod subscriptions;
mod taxes;
mod usage;
mod usage_sets;

use serde_json::Value;

use super::{Api, START};

pub(crate) const DAY: i64 = 86_400;

/// An account with a test clock at [`START`].
pub(crate) struct World {
    pub(crate) api: Api,
    pub(crate) clock: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::at(START).await
    }

    pub(crate) async fn at(time: i64) -> Self {
        let api = Api::start().await;
        let form = format!("frozen_time={time}");
        let clock = api.create("/v1/test_helpers/test_clocks", &form).await;
        Self { api, clock }
    }

    /// A customer on the clock, with a card.
    pub(crate) async fn customer(&self) -> String {
        let clock = &self.clock;
        let form = format!(
            "test_clock={clock}&payment_method=pm_card_visa&invoice_settings[default_payment_method]=pm_card_visa"
        );
        self.api.create("/v1/customers", &form).await
    }

    /// A monthly price in dollars, with the parameters of the form.
    pub(crate) async fn price(&self, form: &str) -> String {
        let form = format!("currency=usd&recurring[interval]=month&product_data[name]=Name&{form}");
        self.api.create("/v1/prices", &form).await
    }

    /// A coupon for ever, unless the form says otherwise.
    pub(crate) async fn coupon(&self, form: &str) -> String {
        let duration = if form.contains("duration=") {
            ""
        } else {
            "&duration=forever"
        };
        let form = format!("{form}{duration}");
        self.api.create("/v1/coupons", &form).await
    }

    /// A metered monthly price.
    pub(crate) async fn metered(&self, form: &str) -> String {
        self.price(&format!("recurring[usage_type]=metered&{form}"))
            .await
    }

    pub(crate) async fn advance_to(&self, time: i64) {
        let path = format!("/v1/test_helpers/test_clocks/{}/advance", self.clock);
        self.api
            .post(&path, &format!("frozen_time={time}"))
            .await
            .ok();
    }

    /// Creates a schedule and returns its subscription.
    pub(crate) async fn schedule(&self, customer: &str, form: &str) -> String {
        let form = format!("customer={customer}&start_date=now&{form}");
        let made = self
            .api
            .post("/v1/subscription_schedules", &form)
            .await
            .ok();
        made["subscription"].as_str().expect("started").to_owned()
    }

    pub(crate) async fn subscription(&self, id: &str) -> Value {
        self.api.get(&format!("/v1/subscriptions/{id}")).await.ok()
    }

    /// Creates a subscription with the parameters of the form, and returns it and its first item.
    pub(crate) async fn subscribe(&self, customer: &str, form: &str) -> (String, String) {
        let form = format!("customer={customer}&{form}");
        let made = self.api.post("/v1/subscriptions", &form).await.ok();
        let id = |object: &Value| object["id"].as_str().expect("an id").to_owned();
        (id(&made), id(&made["items"]["data"][0]))
    }

    /// Updates a subscription.
    pub(crate) async fn update(&self, subscription: &str, form: &str) -> Value {
        let path = format!("/v1/subscriptions/{subscription}");
        self.api.post(&path, form).await.ok()
    }

    /// The path of a subscription's schedule.
    pub(crate) async fn schedule_of(&self, subscription: &str) -> String {
        let subscription = self.subscription(subscription).await;
        let schedule = subscription["schedule"].as_str().expect("a schedule");
        format!("/v1/subscription_schedules/{schedule}")
    }

    /// Reports usage for the first metered item.
    pub(crate) async fn report(&self, subscription: &str, quantity: i64) {
        let subscription = self.subscription(subscription).await;
        let items = subscription["items"]["data"].as_array().expect("items");
        let metered = |item: &&Value| item["price"]["recurring"]["usage_type"] == "metered";
        let item = items.iter().find(metered).expect("a metered item");
        let id = item["id"].as_str().expect("an id");
        let path = format!("/v1/subscription_items/{id}/usage_records");
        self.api
            .post(
                &path,
                &format!("quantity={quantity}&timestamp=now&action=increment"),
            )
            .await
            .ok();
    }

    /// The customer's invoices, newest first.
    pub(crate) async fn invoices(&self, customer: &str) -> Vec<Value> {
        let list = self
            .api
            .get(&format!("/v1/invoices?limit=100&customer={customer}"))
            .await
            .ok();
        list["data"].as_array().expect("a list").clone()
    }

    /// The lines of the customer's invoices as quantity and amount, newest first.
    pub(crate) async fn billed(&self, customer: &str) -> Vec<Vec<(i64, i64)>> {
        self.invoices(customer).await.iter().map(lines).collect()
    }
}

/// The lines of an invoice as quantity and amount.
pub(crate) fn lines(invoice: &Value) -> Vec<(i64, i64)> {
    let lines = invoice["lines"]["data"].as_array().expect("lines");
    lines
        .iter()
        .map(|line| (number(line, "quantity"), number(line, "amount")))
        .collect()
}

/// The descriptions of an invoice's lines.
pub(crate) fn descriptions(invoice: &Value) -> Vec<String> {
    let lines = invoice["lines"]["data"].as_array().expect("lines");
    let text = |line: &Value| line["description"].as_str().expect("a text").to_owned();
    lines.iter().map(text).collect()
}

/// An integer field of an object.
#[track_caller]
pub(crate) fn number(object: &Value, field: &str) -> i64 {
    object[field]
        .as_i64()
        .unwrap_or_else(|| panic!("{field} of {object}"))
}

//! Billing meters in 2026-10-28.endive: their events, and their billing in both billing modes.

mod billing;
mod catalogue;
mod events;
mod modes;
mod phases;
mod previews;
mod prorations;

use serde_json::Value;

use super::billing::{DAY, World, lines, number};
use super::versions::world;

/// 2020-04-01T00:00Z: a month of 30 days.
pub(crate) const APRIL: i64 = 1_585_699_200;

/// 2020-05-01T00:00Z
pub(crate) const MAY: i64 = APRIL + 30 * DAY;

/// A world with a meter and a customer.
pub(crate) struct Metered {
    pub(crate) world: World,
    pub(crate) meter: String,
    pub(crate) customer: String,
}

impl Metered {
    /// The clock is at the beginning of April, and the meter `calls` sums values.
    pub(crate) async fn new() -> Self {
        Self::with("sum").await
    }

    pub(crate) async fn with(formula: &str) -> Self {
        let world = world(APRIL).await;
        let meter = meter(&world, "calls", formula).await;
        let customer = world.customer().await;
        Self {
            world,
            meter,
            customer,
        }
    }

    /// A monthly price by the meter.
    pub(crate) async fn price(&self, form: &str) -> String {
        self.price_of(&self.meter, form).await
    }

    pub(crate) async fn price_of(&self, meter: &str, form: &str) -> String {
        let form = format!("recurring[meter]={meter}&{form}");
        self.world.metered(&form).await
    }

    /// Reports usage at the customer's time.
    pub(crate) async fn report(&self, value: &str) {
        self.send_event("calls", value, "").await;
    }

    /// Reports usage at a time.
    pub(crate) async fn report_at(&self, value: &str, at: i64) {
        self.send_event("calls", value, &format!("timestamp={at}"))
            .await;
    }

    /// Sends a meter event of the customer, with further parameters.
    pub(crate) async fn send_event(&self, name: &str, value: &str, form: &str) {
        let form = format!(
            "event_name={name}&payload[stripe_customer_id]={}&payload[value]={value}&{form}",
            self.customer
        );
        let api = &self.world.api;
        api.post("/v1/billing/meter_events", &form).await.ok();
    }

    /// Cancels a subscription now, with credits for unused time.
    pub(crate) async fn cancel(&self, subscription: &str) {
        let path = format!("/v1/subscriptions/{subscription}");
        let api = &self.world.api;
        api.send("DELETE", &path, "prorate=true").await.ok();
    }

    /// Subscribes the customer to items, with further parameters.
    pub(crate) async fn subscribe(&self, prices: &[&str], form: &str) -> (String, Vec<String>) {
        let items: Vec<String> = prices
            .iter()
            .enumerate()
            .map(|(index, price)| format!("items[{index}][price]={price}"))
            .collect();
        let form = format!("customer={}&{}&{form}", self.customer, items.join("&"));
        let made = self.world.api.post("/v1/subscriptions", &form).await.ok();
        let items = made["items"]["data"].as_array().expect("items");
        let id = |object: &Value| object["id"].as_str().expect("an id").to_owned();
        (id(&made), items.iter().map(id).collect())
    }

    /// The lines of the customer's invoices as quantity and amount, newest first.
    pub(crate) async fn billed(&self) -> Vec<Vec<(i64, i64)>> {
        let invoices = self.world.invoices(&self.customer).await;
        invoices.iter().map(lines).collect()
    }

    /// The customer's total of the meter, of the events that are processed.
    pub(crate) async fn summary(&self, start: i64, end: i64) -> Value {
        let path = format!(
            "/v1/billing/meters/{}/event_summaries?customer={}&start_time={start}&end_time={end}",
            self.meter, self.customer
        );
        let list = self.world.api.get(&path).await.ok();
        list["data"][0]["aggregated_value"].clone()
    }

    /// Lets the meters process what they have received.
    pub(crate) fn process(&self) {
        let clock = self.world.api.sandbox().clock();
        clock.set(clock.unix() + 1);
    }
}

pub(crate) async fn meter(world: &World, event_name: &str, formula: &str) -> String {
    let form =
        format!("display_name=Name&event_name={event_name}&default_aggregation[formula]={formula}");
    world.api.create("/v1/billing/meters", &form).await
}

/// The pending invoice items of the customer as descriptions and amounts, oldest first.
pub(crate) async fn pending(metered: &Metered) -> Vec<(String, i64)> {
    let path = format!(
        "/v1/invoiceitems?customer={}&pending=true&limit=100",
        metered.customer
    );
    let list = metered.world.api.get(&path).await.ok();
    let items = list["data"].as_array().expect("a list");
    let item = |item: &Value| {
        let text = item["description"].as_str().expect("a text").to_owned();
        (text, number(item, "amount"))
    };
    items.iter().rev().map(item).collect()
}

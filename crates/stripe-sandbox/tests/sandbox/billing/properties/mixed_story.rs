//! Random histories of subscriptions with items of different intervals.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::super::{DAY, number};
use crate::meters::{APRIL, Metered};

/// The interval and its count, as form values.
pub(super) type Interval = (&'static str, u32);

const INTERVALS: [Interval; 6] = [
    ("week", 1),
    ("week", 3),
    ("month", 1),
    ("month", 2),
    ("month", 3),
    ("year", 1),
];

/// How long a story lasts, in days: longer than a year.
pub(super) const LENGTH: i64 = 400;

#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) interval: Interval,
    /// In cents.
    pub(super) price: i64,
    /// `None` if it is metered.
    pub(super) quantity: Option<i64>,
}

pub(super) fn item() -> impl Strategy<Value = Item> {
    let interval = prop::sample::select(INTERVALS.to_vec());
    (interval, 1_i64..5000, prop::option::of(1_i64..9)).prop_map(|(interval, price, quantity)| {
        Item {
            interval,
            price,
            quantity,
        }
    })
}

/// A change on a day.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Report(i64),
    /// The first item gets the price of another item.
    Swap(Item, &'static str),
    Add(Item),
    /// Removes the last item, if there are others.
    Remove,
    Quantity(i64),
    Trial(i64),
    Anchor,
    End(&'static str),
}

pub(super) fn act() -> impl Strategy<Value = Act> {
    let behavior = prop::sample::select(vec!["create_prorations", "always_invoice", "none"]);
    let end = prop::sample::select(vec![
        "cancel_at_period_end=true",
        "cancel_at=min_period_end",
        "cancel_at=max_period_end",
    ]);
    prop_oneof![
        6 => (1_i64..99).prop_map(Act::Report),
        3 => (item(), behavior).prop_map(|(item, behavior)| Act::Swap(item, behavior)),
        2 => item().prop_map(Act::Add),
        2 => Just(Act::Remove),
        2 => (1_i64..9).prop_map(Act::Quantity),
        1 => (1_i64..40).prop_map(Act::Trial),
        1 => Just(Act::Anchor),
        1 => end.prop_map(Act::End),
    ]
}

/// A line: its period, its amount, and its description.
pub(super) type StoryLine = (i64, i64, i64, String);

/// A customer with a subscription, and its clock.
pub(super) struct Story {
    metered: Metered,
    prices: Vec<String>,
    /// The quantities of the items, as a form.
    quantities: String,
    subscription: String,
    pub(super) now: i64,
    /// The minimum number of steps in which the clock is advanced.
    pub(super) steps: i64,
}

impl Story {
    /// A story whose clock stands at `start`, before the subscription.
    pub(super) async fn new(start: i64, items: &[Item], steps: i64) -> Self {
        let metered = Metered::new().await;
        metered.advance_in(APRIL, start, 1).await;
        let mut prices = Vec::new();
        for item in items {
            prices.push(price(&metered, item).await);
        }
        let quantities = items.iter().enumerate();
        let quantities = quantities.filter_map(|(index, item)| {
            let quantity = item.quantity?;
            Some(format!("items[{index}][quantity]={quantity}"))
        });
        Self {
            quantities: quantities.collect::<Vec<_>>().join("&"),
            metered,
            prices,
            subscription: String::new(),
            now: start,
            steps,
        }
    }

    /// Subscribes the customer to the items, with further parameters.
    pub(super) async fn subscribe(&mut self, form: &str) {
        let prices: Vec<&str> = self.prices.iter().map(String::as_str).collect();
        let form = format!("{}&{form}", self.quantities);
        self.subscription = self.metered.subscribe(&prices, &form).await.0;
    }

    pub(super) async fn advance_to(&mut self, to: i64) {
        self.metered.advance_in(self.now, to, self.steps).await;
        self.now = to;
    }

    /// Performs an act. A refusal is fine, because every run refuses the same acts.
    pub(super) async fn perform(&self, act: &Act) {
        let form = match act {
            Act::Report(value) => return self.metered.report(&value.to_string()).await,
            Act::Swap(item, behavior) => {
                let price = price(&self.metered, item).await;
                let first = self.items().await.remove(0);
                format!(
                    "items[0][id]={first}&items[0][price]={price}&proration_behavior={behavior}"
                )
            }
            Act::Add(item) => format!("items[0][price]={}", price(&self.metered, item).await),
            Act::Remove => {
                let last = self.items().await.pop().expect("items");
                format!("items[0][id]={last}&items[0][deleted]=true")
            }
            Act::Quantity(quantity) => {
                let first = self.items().await.remove(0);
                format!("items[0][id]={first}&items[0][quantity]={quantity}")
            }
            Act::Trial(days) => format!("trial_end={}", self.now + days * DAY),
            Act::Anchor => "billing_cycle_anchor=now".to_owned(),
            Act::End(form) => (*form).to_owned(),
        };
        let path = format!("/v1/subscriptions/{}", self.subscription);
        let reply = self.metered.world.api.post(&path, &form).await;
        assert!(reply.status == 200 || reply.status == 400, "{}", reply.body);
    }

    async fn items(&self) -> Vec<String> {
        let shown = self.metered.world.subscription(&self.subscription).await;
        let items = shown["items"]["data"].as_array().expect("items").iter();
        let id = |item: &Value| item["id"].as_str().expect("an id").to_owned();
        items.map(id).collect()
    }

    /// The lines of the invoices by their time, without an order.
    pub(super) async fn lines_by_time(&self) -> BTreeMap<i64, Vec<StoryLine>> {
        let mut lines_by_time: BTreeMap<i64, Vec<_>> = BTreeMap::new();
        for invoice in self.metered.world.invoices(&self.metered.customer).await {
            let lines = self.lines(&invoice).await.into_iter().map(|line| {
                let text = line["description"].as_str().expect("a text").to_owned();
                let period = &line["period"];
                (
                    number(period, "start"),
                    number(period, "end"),
                    number(&line, "amount"),
                    text,
                )
            });
            lines_by_time
                .entry(number(&invoice, "created"))
                .or_default()
                .extend(lines);
        }
        for lines in lines_by_time.values_mut() {
            lines.sort();
        }
        lines_by_time
    }

    /// All lines of an invoice.
    async fn lines(&self, invoice: &Value) -> Vec<Value> {
        let id = invoice["id"].as_str().expect("an id");
        let mut lines: Vec<Value> = Vec::new();
        loop {
            let last = lines.last().and_then(|line| line["id"].as_str());
            let after = last.map_or_else(String::new, |last| format!("&starting_after={last}"));
            let path = format!("/v1/invoices/{id}/lines?limit=100{after}");
            let page = self.metered.world.api.get(&path).await.ok();
            lines.extend(page["data"].as_array().expect("lines").iter().cloned());
            if page["has_more"] == false {
                return lines;
            }
        }
    }
}

impl Metered {
    /// Advances the clock in at least `steps` steps, each shorter than two weeks.
    async fn advance_in(&self, from: i64, to: i64, steps: i64) {
        let parts = steps.max((to - from) / (13 * DAY) + 1);
        for part in 1..=parts {
            let (before, at) = (
                from + (to - from) * (part - 1) / parts,
                from + (to - from) * part / parts,
            );
            if at > before {
                self.world.advance_to(at).await;
            }
        }
    }
}

async fn price(metered: &Metered, item: &Item) -> String {
    let (interval, count) = item.interval;
    let by_meter = match item.quantity {
        Some(_) => String::new(),
        None => format!(
            "&recurring[usage_type]=metered&recurring[meter]={}",
            metered.meter
        ),
    };
    let form = format!(
        "currency=usd&product_data[name]=Name&unit_amount={}&recurring[interval]={interval}\
         &recurring[interval_count]={count}{by_meter}",
        item.price
    );
    metered.world.api.create("/v1/prices", &form).await
}

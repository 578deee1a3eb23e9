//! Items of different intervals on one subscription: a naive sum for each item and period, and steps of the clock.

use std::collections::BTreeMap;
use std::ops::Range;

use proptest::prelude::*;
use serde_json::Value;

use super::super::{DAY, number};
use super::check;
use crate::meters::{APRIL, Metered};

/// The interval and its count, as a form says them.
type Interval = (&'static str, u32);

const INTERVALS: [Interval; 6] = [
    ("week", 1),
    ("week", 3),
    ("month", 1),
    ("month", 2),
    ("month", 3),
    ("year", 1),
];

/// How long a story lasts, in days: longer than a year.
const LENGTH: i64 = 400;

#[derive(Clone, Debug)]
struct Item {
    interval: Interval,
    /// In cents.
    price: i64,
    /// `None` if it is metered.
    quantity: Option<i64>,
}

fn item() -> impl Strategy<Value = Item> {
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
enum Act {
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

fn act() -> impl Strategy<Value = Act> {
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

/// A customer with a subscription, and its clock.
struct Story {
    metered: Metered,
    subscription: String,
    now: i64,
    /// In how many steps the clock is advanced, at least.
    steps: i64,
}

impl Story {
    async fn begin(start: i64, items: &[Item], steps: i64) -> Self {
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
        let form = quantities.collect::<Vec<_>>().join("&");
        let prices: Vec<&str> = prices.iter().map(String::as_str).collect();
        let (subscription, _) = metered.subscribe(&prices, &form).await;
        Self {
            metered,
            subscription,
            now: start,
            steps,
        }
    }

    async fn advance_to(&mut self, to: i64) {
        self.metered.advance_in(self.now, to, self.steps).await;
        self.now = to;
    }

    /// Performs an act, if the subscription allows it. What is refused is refused in every run.
    async fn perform(&self, act: &Act) {
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

    /// The lines of the invoices by their time: description, period and amount, without an order.
    async fn told(&self) -> BTreeMap<i64, Vec<(i64, i64, i64, String)>> {
        let mut told: BTreeMap<i64, Vec<_>> = BTreeMap::new();
        for invoice in self.metered.world.invoices(&self.metered.customer).await {
            let lines = invoice["lines"]["data"].as_array().expect("lines");
            let lines = lines.iter().map(|line| {
                let text = line["description"].as_str().expect("a text").to_owned();
                let period = &line["period"];
                (
                    number(period, "start"),
                    number(period, "end"),
                    number(line, "amount"),
                    text,
                )
            });
            told.entry(number(&invoice, "created"))
                .or_default()
                .extend(lines);
        }
        for lines in told.values_mut() {
            lines.sort();
        }
        told
    }
}

impl Metered {
    /// Advances the clock in at least so many steps, each of which is shorter than two weeks.
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

/// The number of days in a month of 2020 or 2021, counted from January 2020.
fn days_in(month: i64) -> i64 {
    match (month / 12, month % 12) {
        (0, 1) => 29,
        (_, 1) => 28,
        (_, 3 | 5 | 8 | 10) => 30,
        _ => 31,
    }
}

/// The day, counted from the first of April 2020, of the n-th period's begin.
fn boundary(start: i64, (interval, count): Interval, n: i64) -> i64 {
    let n = n * i64::from(count);
    let months = match interval {
        "week" => return start + 7 * n,
        "month" => n,
        _ => 12 * n,
    };
    // The start is in April or May.
    let (month, day) = if start < 30 {
        (3, start)
    } else {
        (4, start - 30)
    };
    let whole: i64 = (3..month + months).map(days_in).sum();
    whole + day.min(days_in(month + months) - 1)
}

/// The amounts that are due on each day: what each item charges in advance, and its usage in arrears.
fn naive(start: i64, items: &[Item], usage: &[(i64, i64)]) -> BTreeMap<i64, i64> {
    let mut due: BTreeMap<i64, i64> = BTreeMap::new();
    let used = |days: Range<i64>| {
        let within = usage.iter().filter(|(day, _)| days.contains(day));
        within.map(|(_, value)| value).sum::<i64>()
    };
    for item in items {
        for n in 0.. {
            let begin = boundary(start, item.interval, n);
            if begin > start + LENGTH {
                break;
            }
            let amount = match item.quantity {
                Some(quantity) => quantity * item.price,
                // Nothing is due for usage at first, in flexible billing not even a line.
                None if n == 0 => continue,
                None => used(boundary(start, item.interval, n - 1)..begin) * item.price,
            };
            *due.entry(begin).or_default() += amount;
        }
    }
    due
}

#[test]
fn invoices_are_the_sum_of_what_each_item_charges_for_its_own_periods() {
    let items = prop::collection::vec(item(), 1..5);
    let usage = prop::collection::vec((0..LENGTH, 1_i64..50), 0..8);
    check(
        12,
        &(0_i64..60, items, usage, 1_i64..20),
        async |(start, items, mut usage, steps)| {
            usage.sort_unstable();
            for (day, _) in &mut usage {
                *day += start;
            }
            let mut story = Story::begin(APRIL + start * DAY, &items, 1).await;
            for (day, value) in &usage {
                story.advance_to(APRIL + day * DAY).await;
                story.perform(&Act::Report(*value)).await;
            }
            story.steps = steps;
            story.advance_to(APRIL + (start + LENGTH) * DAY).await;
            let told = story.told().await;
            let told = told.into_iter().map(|(at, lines)| {
                let amount = lines.iter().map(|(_, _, amount, _)| amount).sum::<i64>();
                ((at - APRIL) / DAY, amount)
            });
            let told: BTreeMap<i64, i64> = told.collect();
            assert_eq!(told, naive(start, &items, &usage));
        },
    );
}

#[test]
fn one_step_or_many_give_the_same_invoices_of_mixed_intervals() {
    let items = prop::collection::vec(item(), 1..4);
    let acts = prop::collection::vec((0_i64..30, act()), 0..8);
    check(
        12,
        &(0_i64..60, items, acts, 2_i64..9),
        async |(start, items, acts, steps)| {
            let mut told = Vec::new();
            for steps in [1, steps] {
                let mut story = Story::begin(APRIL + start * DAY, &items, steps).await;
                for (days, act) in &acts {
                    story.advance_to(story.now + days * DAY).await;
                    story.perform(act).await;
                }
                story.advance_to(story.now + 200 * DAY).await;
                told.push(story.told().await);
            }
            assert_eq!(told[0], told[1]);
        },
    );
}

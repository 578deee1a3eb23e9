//! What holds whatever is sold, however the clock is advanced, and whatever is called in which order.

use std::collections::HashSet;

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use serde_json::Value;

use super::{DAY, START, World, number};

/// Runs a property on a runtime of its own; every case is a sandbox of its own.
fn check<S: Strategy>(cases: u32, strategy: &S, property: impl AsyncFn(S::Value)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let config = Config {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(strategy, |value| {
        runtime.block_on(property(value));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// A price in thousandths of a cent.
#[derive(Clone, Debug)]
enum Sold {
    Packs {
        unit: i64,
        by: i64,
        up: bool,
    },
    Tiers {
        volume: bool,
        tiers: Vec<(i64, i64, Option<i64>)>,
    },
}

impl Sold {
    fn form(&self) -> String {
        match self {
            Self::Packs { unit, by, up } => {
                let round = if *up { "up" } else { "down" };
                format!(
                    "unit_amount_decimal={}&transform_quantity[divide_by]={by}&transform_quantity[round]={round}",
                    decimal(*unit)
                )
            }
            Self::Tiers { volume, tiers } => {
                let mode = if *volume { "volume" } else { "graduated" };
                let mut form = format!("billing_scheme=tiered&tiers_mode={mode}");
                let mut top = 0;
                for (index, (width, unit, flat)) in tiers.iter().enumerate() {
                    top += width;
                    let up_to = if index + 1 == tiers.len() {
                        "inf".to_owned()
                    } else {
                        top.to_string()
                    };
                    form += &format!(
                        "&tiers[{index}][up_to]={up_to}&tiers[{index}][unit_amount_decimal]={}",
                        decimal(*unit)
                    );
                    if let Some(flat) = flat {
                        form += &format!("&tiers[{index}][flat_amount]={flat}");
                    }
                }
                form
            }
        }
    }

    /// The price of some usage, unit by unit, in integers only.
    fn naive(&self, usage: i64) -> i64 {
        match self {
            Self::Packs { unit, by, up } => {
                let packs = (0..usage)
                    .filter(|n| if *up { n % by == 0 } else { n % by == by - 1 })
                    .count();
                cents(i64::try_from(packs).expect("few") * unit)
            }
            Self::Tiers { volume, tiers } => {
                let mut in_tier = vec![0_i64; tiers.len()];
                let (mut tier, mut left) = (0, tiers[0].0);
                for _ in 0..usage {
                    if left == 0 && tier + 1 < tiers.len() {
                        tier += 1;
                        left = tiers[tier].0;
                    }
                    in_tier[tier] += 1;
                    left -= 1;
                    if tier + 1 == tiers.len() {
                        left = 1;
                    }
                }
                let cost = |index: usize, count: i64| {
                    cents(count * tiers[index].1) + tiers[index].2.unwrap_or(0)
                };
                if *volume {
                    return cost(tier, usage);
                }
                (0..=tier).map(|index| cost(index, in_tier[index])).sum()
            }
        }
    }
}

fn decimal(milli: i64) -> String {
    format!("{}.{:03}", milli / 1000, milli % 1000)
}

fn cents(milli: i64) -> i64 {
    (milli + 500).div_euclid(1000)
}

fn sold() -> impl Strategy<Value = Sold> {
    let tier = (1_i64..40, 0_i64..9000, prop::option::of(0_i64..2000));
    prop_oneof![
        (0_i64..9000, 1_i64..9, any::<bool>()).prop_map(|(unit, by, up)| Sold::Packs {
            unit,
            by,
            up
        }),
        (any::<bool>(), prop::collection::vec(tier, 1..5))
            .prop_map(|(volume, tiers)| Sold::Tiers { volume, tiers }),
    ]
}

#[test]
fn an_invoice_is_the_sum_of_its_lines_and_the_price_of_the_usage() {
    let coupon = prop::option::of((any::<bool>(), 1_i64..100));
    check(
        48,
        &(sold(), 0_i64..150, coupon),
        async |(sold, usage, coupon)| {
            let world = World::new().await;
            let customer = world.customer().await;
            let price = world.metered(&sold.form()).await;
            let mut form = format!("phases[0][items][0][price]={price}");
            if let Some((percent, off)) = coupon {
                let kind = if percent {
                    "percent_off"
                } else {
                    "currency=usd&amount_off"
                };
                world
                    .api
                    .post(
                        "/v1/coupons",
                        &format!("id=c&duration=forever&{kind}={off}"),
                    )
                    .await
                    .ok();
                form += "&phases[0][coupon]=c";
            }
            let subscription = world.schedule(&customer, &form).await;
            world.report(&subscription, usage).await;
            let path = format!("/v1/invoices/upcoming?customer={customer}");
            let upcoming = world.api.get(&path).await.ok();
            world.advance_to(START + 31 * DAY).await;
            let invoice = world.invoices(&customer).await.remove(0);
            let naive = sold.naive(usage);
            let discount = match coupon {
                None => 0,
                Some((true, percent)) => (naive * percent + 50) / 100,
                Some((false, amount)) => amount.min(naive),
            };
            for bill in [&upcoming, &invoice] {
                let lines = bill["lines"]["data"].as_array().expect("lines");
                let sum =
                    |field: &str| -> i64 { lines.iter().map(|line| number(line, field)).sum() };
                assert_eq!(sum("amount"), naive);
                assert_eq!(sum("quantity"), usage);
                assert_eq!(number(bill, "subtotal"), naive);
                assert_eq!(number(bill, "total"), naive - discount);
                let parts: i64 = lines
                    .iter()
                    .filter_map(|line| line["discount_amounts"][0]["amount"].as_i64())
                    .sum();
                assert_eq!(parts, discount);
            }
        },
    );
}

/// Something that happens on a day.
#[derive(Clone, Debug)]
enum Act {
    Report(i64),
    Trial(bool),
    Swap,
    CancelAtPeriodEnd,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1_i64..200).prop_map(Act::Report),
        1 => any::<bool>().prop_map(Act::Trial),
        2 => Just(Act::Swap),
        1 => Just(Act::CancelAtPeriodEnd),
    ]
}

/// A sandbox in which one story is told: phases, then acts on days, with the clock advanced in `steps` between.
async fn story(phases: &[(i64, bool)], acts: &[(i64, Act)], steps: i64) -> Vec<Value> {
    let world = World::new().await;
    let customer = world.customer().await;
    let metered = world.metered("billing_scheme=tiered&tiers_mode=graduated&tiers[0][up_to]=50&tiers[0][unit_amount]=3&tiers[1][up_to]=inf&tiers[1][unit_amount_decimal]=1.5&tiers[1][flat_amount]=100").await;
    let licensed = [
        world.price("unit_amount=3100").await,
        world.price("unit_amount=4501").await,
    ];
    let mut form = String::new();
    let mut end = START;
    for (index, (days, trial)) in phases.iter().enumerate() {
        end += days * DAY;
        let seat = &licensed[index % 2];
        form += &format!(
            "&phases[{index}][items][0][price]={metered}&phases[{index}][items][1][price]={seat}&phases[{index}][end_date]={end}&phases[{index}][trial]={trial}"
        );
    }
    let id = world.schedule(&customer, &form).await;
    let mut now = START;
    for (days, act) in acts {
        now = advance(&world, now, now + days * DAY, steps).await;
        perform(&world, &id, &metered, &licensed, act).await;
    }
    advance(&world, now, now + 100 * DAY, steps).await;
    world.invoices(&customer).await.iter().map(told).collect()
}

async fn advance(world: &World, from: i64, to: i64, steps: i64) -> i64 {
    let parts = steps.max((to - from) / (55 * DAY) + 1);
    for part in 1..=parts {
        let at = from + (to - from) * part / parts;
        if at > from {
            world.advance_to(at).await;
        }
    }
    to
}

/// Does it, as far as the subscription allows; what is refused is refused in every telling.
async fn perform(world: &World, id: &str, metered: &str, licensed: &[String; 2], act: &Act) {
    let subscription = world.subscription(id).await;
    let items = subscription["items"]["data"].as_array().expect("items");
    let item = |price: &str| {
        items
            .iter()
            .find(|item| item["price"]["id"] == price)
            .map(|item| item["id"].as_str().expect("an id"))
    };
    let path = format!("/v1/subscriptions/{id}");
    let reply = match act {
        Act::Report(quantity) => {
            let item = item(metered).expect("always there");
            world
                .api
                .post(
                    &format!("/v1/subscription_items/{item}/usage_records"),
                    &format!("quantity={quantity}"),
                )
                .await
        }
        Act::CancelAtPeriodEnd => world.api.post(&path, "cancel_at_period_end=true").await,
        Act::Trial(on) => {
            let end = if *on {
                (number(&subscription, "current_period_end") + 3 * DAY).to_string()
            } else {
                "now".to_owned()
            };
            world.api.post(&path, &format!("trial_end={end}")).await
        }
        Act::Swap => {
            let [old, new] = match item(&licensed[0]) {
                Some(old) => [old, &licensed[1]],
                None => [item(&licensed[1]).expect("the other one"), &licensed[0]],
            };
            world
                .api
                .post(&path, &format!("items[0][id]={old}&items[0][price]={new}"))
                .await
        }
    };
    assert!(reply.status == 200 || reply.status == 400, "{}", reply.body);
}

/// An invoice without what differs by nature.
fn told(invoice: &Value) -> Value {
    let lines = invoice["lines"]["data"].as_array().expect("lines");
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| {
            ["quantity", "amount", "period", "description", "proration"]
                .iter()
                .map(|key| line[key].clone())
                .collect()
        })
        .collect();
    let sums: Vec<Value> = [
        "created",
        "total",
        "amount_due",
        "period_start",
        "period_end",
        "status",
    ]
    .iter()
    .map(|key| invoice[key].clone())
    .collect();
    serde_json::json!([sums, lines])
}

#[test]
fn one_step_or_many_give_the_same_invoices() {
    let phases = prop::collection::vec((5_i64..50, any::<bool>()), 1..4);
    let acts = prop::collection::vec((0_i64..40, act()), 0..6);
    check(
        32,
        &(phases, acts, 2_i64..9),
        async |(phases, acts, steps)| {
            let coarse = story(&phases, &acts, 1).await;
            let fine = story(&phases, &acts, steps).await;
            assert_eq!(coarse, fine);
            assert!(!coarse.is_empty());
        },
    );
}

/// A call of any kind; the numbers choose among what there is.
type Call = (u8, usize, usize);

async fn call(world: &World, customers: &[String], prices: &[String], (kind, one, two): Call) {
    let subscriptions = world
        .api
        .ids(&format!(
            "/v1/subscriptions?status=all&limit=100&test_clock={}",
            world.clock
        ))
        .await;
    let customer = &customers[one % customers.len()];
    let price = &prices[two % prices.len()];
    let schedules = world
        .api
        .ids(&format!(
            "/v1/subscription_schedules?limit=100&customer={customer}"
        ))
        .await;
    let some = |ids: &[String]| {
        ids.get(one % ids.len().max(1))
            .cloned()
            .unwrap_or_else(|| "none".to_owned())
    };
    let subscription = some(&subscriptions);
    let schedule = some(&schedules);
    let (path, form) = match kind % 9 {
        0 => (
            "/v1/subscriptions".to_owned(),
            format!(
                "customer={customer}&items[0][price]={price}&trial_period_days={}",
                two % 3
            ),
        ),
        1 => (
            "/v1/subscription_schedules".to_owned(),
            format!(
                "customer={customer}&start_date=now&phases[0][items][0][price]={price}&end_behavior={}",
                if two % 2 == 0 { "cancel" } else { "release" }
            ),
        ),
        2 => (
            "/v1/subscription_schedules".to_owned(),
            format!("from_subscription={subscription}"),
        ),
        3 => (
            format!("/v1/subscription_schedules/{schedule}/release"),
            String::new(),
        ),
        4 => (
            format!("/v1/subscription_schedules/{schedule}/cancel"),
            String::new(),
        ),
        5 => {
            let now = world
                .api
                .get(&format!("/v1/subscription_schedules/{schedule}"))
                .await
                .body;
            (
                format!("/v1/subscription_schedules/{schedule}"),
                format!(
                    "phases[0][items][0][price]={price}&phases[0][trial]={}&phases[0][start_date]={}",
                    two % 2 == 0,
                    now["current_phase"]["start_date"]
                ),
            )
        }
        6 => (
            format!("/v1/subscriptions/{subscription}"),
            format!("cancel_at_period_end={}", two % 2 == 0),
        ),
        7 => {
            let path = format!("/v1/test_helpers/test_clocks/{}", world.clock);
            let now = number(&world.api.get(&path).await.ok(), "frozen_time");
            (
                format!("{path}/advance"),
                format!(
                    "frozen_time={}",
                    now + i64::try_from(1 + two % 45).expect("small") * DAY
                ),
            )
        }
        _ => {
            let reply = world
                .api
                .delete(&format!(
                    "/v1/subscriptions/{subscription}?invoice_now=true&prorate=true"
                ))
                .await;
            assert!(reply.status.as_u16() < 500, "{}", reply.body);
            return;
        }
    };
    let reply = world.api.post(&path, &form).await;
    assert!(reply.status.as_u16() < 500, "{}", reply.body);
}

async fn holds(world: &World, customers: &[String]) {
    let mut ids = HashSet::new();
    let mut fresh = |id: &str| assert!(ids.insert(id.to_owned()), "{id} twice");
    for customer in customers {
        let mut directed = HashSet::new();
        let list = world
            .api
            .get(&format!(
                "/v1/subscription_schedules?limit=100&customer={customer}"
            ))
            .await
            .ok();
        for schedule in list["data"].as_array().expect("a list") {
            fresh(schedule["id"].as_str().expect("an id"));
            if schedule["status"] != "active" {
                assert!(schedule["current_phase"].is_null(), "{schedule}");
                continue;
            }
            let id = schedule["subscription"]
                .as_str()
                .expect("an active one directs a subscription");
            assert!(
                directed.insert(id.to_owned()),
                "{id} has two active schedules"
            );
            let subscription = world.subscription(id).await;
            assert_eq!(subscription["schedule"], schedule["id"]);
            assert!(subscription["ended_at"].is_null());
        }
        let list = world.api.get(&format!("/v1/subscriptions?status=all&limit=100&customer={customer}&expand[]=data.latest_invoice")).await.ok();
        for subscription in list["data"].as_array().expect("a list") {
            fresh(subscription["id"].as_str().expect("an id"));
            assert_eq!(&subscription["customer"], customer);
            assert_eq!(
                subscription["status"] == "canceled",
                subscription["ended_at"].is_number()
            );
            for item in subscription["items"]["data"].as_array().expect("items") {
                fresh(item["id"].as_str().expect("an id"));
            }
        }
        let all = world
            .api
            .ids(&format!("/v1/invoices?limit=100&customer={customer}"))
            .await;
        let mut walked: Vec<String> = Vec::new();
        loop {
            let after = walked
                .last()
                .map_or_else(String::new, |id| format!("&starting_after={id}"));
            let page = world
                .api
                .ids(&format!("/v1/invoices?limit=3&customer={customer}{after}"))
                .await;
            if page.is_empty() {
                break;
            }
            walked.extend(page);
        }
        assert_eq!(&walked[..all.len()], all);
        for invoice in world.invoices(customer).await {
            fresh(invoice["id"].as_str().expect("an id"));
            let lines = invoice["lines"]["data"].as_array().expect("lines");
            assert_eq!(
                lines.iter().map(|line| number(line, "amount")).sum::<i64>(),
                number(&invoice, "subtotal")
            );
        }
    }
}

#[test]
fn any_calls_keep_the_state_sound() {
    let calls = prop::collection::vec(any::<Call>(), 1..25);
    check(24, &calls, async |calls| {
        let world = World::new().await;
        let customers = [world.customer().await, world.customer().await];
        let prices = [
            world.metered("unit_amount=7").await,
            world.price("unit_amount=3100").await,
            world.price("unit_amount=900").await,
        ];
        for one in calls {
            call(&world, &customers, &prices, one).await;
        }
        holds(&world, &customers).await;
    });
}

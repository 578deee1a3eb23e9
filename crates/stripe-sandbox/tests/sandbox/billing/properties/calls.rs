//! Random calls, and properties that hold after each of them.

use std::collections::HashSet;

use proptest::prelude::*;

use super::super::{DAY, World, number};
use super::check;

/// A call of any kind. The numbers choose from the existing objects.
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
    check(12, &calls, async |calls| {
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

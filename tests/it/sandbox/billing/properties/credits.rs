//! However a subscription is changed and discounted: no more is given back than was charged.

use proptest::prelude::*;

use super::super::{DAY, START, World, number};
use super::check;

/// A day, and what is done then to the running phase: its price, its quantity, its coupon and the prorations.
type Step = (i64, usize, i64, usize, usize);

const COUPONS: [&str; 5] = [
    "percent_off=50",
    "percent_off=100",
    "amount_off=700&currency=usd",
    "percent_off=33.3&duration=once",
    "percent_off=20&duration=repeating&duration_in_months=1",
];
const PRORATIONS: [&str; 3] = ["create_prorations", "always_invoice", "none"];

fn step() -> impl Strategy<Value = Step> {
    (0_i64..20, 0_usize..2, 1_i64..4, 0_usize..6, 0_usize..3)
}

/// The phase as the step wants it.
fn phase(prices: &[String], (_, price, quantity, coupon, proration): Step) -> String {
    let price = &prices[price];
    let coupon = if coupon < COUPONS.len() {
        format!("c{coupon}")
    } else {
        String::new()
    };
    let proration = PRORATIONS[proration];
    format!(
        "phases[0][items][0][price]={price}&phases[0][items][0][quantity]={quantity}&phases[0][coupon]={coupon}&phases[0][iterations]=1&proration_behavior={proration}"
    )
}

#[test]
fn no_more_is_given_back_than_was_charged() {
    let steps = prop::collection::vec(step(), 1..8);
    check(24, &(steps, 0_i64..15), async |(steps, last)| {
        let world = World::new().await;
        let customer = world.customer().await;
        let prices = [
            world.price("unit_amount=3100").await,
            world.price("unit_amount=997").await,
        ];
        for (index, coupon) in COUPONS.iter().enumerate() {
            world.coupon(&format!("id=c{index}&{coupon}")).await;
        }
        let first = phase(&prices, steps[0]);
        let first = first.split("&proration").next().expect("a start");
        let id = world.schedule(&customer, first).await;
        let mut now = START;
        for step in &steps[1..] {
            if step.0 > 0 {
                now += step.0 * DAY;
                world.advance_to(now).await;
            }
            let subscription = world.subscription(&id).await;
            // Over after its one month, unless a step in between has begun another.
            let Some(schedule) = subscription["schedule"].as_str() else {
                break;
            };
            let path = format!("/v1/subscription_schedules/{schedule}");
            let running = world.api.get(&path).await.ok()["current_phase"]["start_date"].clone();
            let form = format!("{}&phases[0][start_date]={running}", phase(&prices, *step));
            world.api.post(&path, &form).await.ok();
        }
        if last > 0 {
            world.advance_to(now + last * DAY).await;
        }
        let path = format!("/v1/subscriptions/{id}?invoice_now=true&prorate=true");
        world.api.delete(&path).await.ok();
        let invoices = world.invoices(&customer).await;
        let charged: i64 = invoices.iter().map(|one| number(one, "total")).sum();
        // Each line may be rounded by half a cent.
        let lines: i64 = invoices
            .iter()
            .map(|one| number(&one["lines"], "total_count"))
            .sum();
        assert!(charged >= -lines, "{charged} cents were charged in all");
    });
}

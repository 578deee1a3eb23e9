//! The result does not depend on the number of steps in which the clock is advanced.

use proptest::prelude::*;
use serde_json::Value;

use super::super::{DAY, START, World, number};
use super::check;

/// An action on a day.
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

/// A sandbox in which a list of actions is performed, with the clock advanced in `steps` between them.
async fn story(phases: &[(i64, bool)], acts: &[(i64, Act)], steps: i64) -> Vec<Value> {
    let world = World::new().await;
    let customer = world.customer().await;
    let metered = world.metered("billing_scheme=tiered&tiers_mode=graduated&tiers[0][up_to]=50&tiers[0][unit_amount]=3&tiers[1][up_to]=inf&tiers[1][unit_amount_decimal]=1.5&tiers[1][flat_amount]=100").await;
    let licensed = [
        world.price("unit_amount=3100").await,
        world.price("unit_amount=4501").await,
    ];
    let mut form = Vec::new();
    let mut end = START;
    for (index, (days, trial)) in phases.iter().enumerate() {
        end += days * DAY;
        let phase = format!("phases[{index}]");
        let seat = &licensed[index % 2];
        form.push(format!("{phase}[items][0][price]={metered}&{phase}[items][1][price]={seat}&{phase}[end_date]={end}&{phase}[trial]={trial}"));
    }
    let form = form.join("&");
    let id = world.schedule(&customer, &form).await;
    let mut now = START;
    for (days, act) in acts {
        now = advance(&world, now, now + days * DAY, steps).await;
        perform(&world, &id, &metered, &licensed, act).await;
    }
    advance(&world, now, now + 100 * DAY, steps).await;
    world
        .invoices(&customer)
        .await
        .iter()
        .map(lines_by_time)
        .collect()
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

/// Performs an action. A refusal is fine, because every run refuses the same actions.
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

/// An invoice without the fields that always differ.
fn lines_by_time(invoice: &Value) -> Value {
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
        16,
        &(phases, acts, 2_i64..9),
        async |(phases, acts, steps)| {
            let coarse = story(&phases, &acts, 1).await;
            let fine = story(&phases, &acts, steps).await;
            assert_eq!(coarse, fine);
            assert!(!coarse.is_empty());
        },
    );
}

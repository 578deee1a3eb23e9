//! For any changes of items and coupons, every line of every invoice agrees with a naive model of classic billing.

use proptest::prelude::*;
use serde_json::Value;

use super::super::{DAY, START, World, number};
use super::check;
use super::classic_model::{COUPONS, Item, Model, NewCoupon, PRICES};

const PRORATIONS: [&str; 3] = ["create_prorations", "always_invoice", "none"];
/// The change of an item in a request. The numbers choose from the existing items.
#[derive(Clone, Debug)]
enum Act {
    Quantity(usize, i64),
    Price(usize, usize, Option<i64>),
    Delete(usize),
    Add(usize, i64),
}

fn act() -> impl Strategy<Value = Act> {
    let quantity = 0_i64..4;
    prop_oneof![
        (0_usize..4, quantity.clone()).prop_map(|(item, quantity)| Act::Quantity(item, quantity)),
        (0_usize..4, 0_usize..4, prop::option::of(quantity.clone()))
            .prop_map(|(item, price, quantity)| Act::Price(item, price, quantity)),
        (0_usize..4).prop_map(Act::Delete),
        (0_usize..4, quantity).prop_map(|(price, quantity)| Act::Add(price, quantity)),
    ]
}

/// The days until a change, the change, and its proration behavior.
#[derive(Clone, Debug)]
struct Step {
    days: i64,
    acts: Vec<Act>,
    coupon: NewCoupon,
    prorate: usize,
}

fn step() -> impl Strategy<Value = Step> {
    let coupon = prop_oneof![
        Just(NewCoupon::Keep),
        Just(NewCoupon::Remove),
        (0..COUPONS.len()).prop_map(NewCoupon::Set),
    ];
    (
        0_i64..20,
        prop::collection::vec(act(), 0..3),
        coupon,
        0_usize..3,
    )
        .prop_map(|(days, acts, coupon, prorate)| Step {
            days,
            acts,
            coupon,
            prorate,
        })
}

/// The items after the changes, and the form that describes the changes.
fn perform(items: &[Item], acts: &[Act], prices: &[String]) -> (Vec<Item>, String) {
    let mut after: Vec<Option<Item>> = items.iter().cloned().map(Some).collect();
    let mut touched = Vec::new();
    let mut form = Vec::new();
    let unused = |after: &[Option<Item>], price: usize| {
        let both = || after.iter().flatten().chain(items);
        !both().any(|item| item.price == price)
    };
    for (n, act) in acts.iter().enumerate() {
        let index = match act {
            Act::Quantity(item, _) | Act::Price(item, ..) | Act::Delete(item) => item % items.len(),
            Act::Add(price, quantity) => {
                if unused(&after, *price) {
                    let id = &prices[*price];
                    form.push(format!(
                        "items[{n}][price]={id}&items[{n}][quantity]={quantity}"
                    ));
                    after.push(Some(Item {
                        id: None,
                        price: *price,
                        quantity: *quantity,
                    }));
                }
                continue;
            }
        };
        if touched.contains(&index) {
            continue;
        }
        let id = items[index].id.as_ref().expect("there already");
        let named = format!("items[{n}][id]={id}");
        match act {
            Act::Quantity(_, quantity) => {
                form.push(format!("{named}&items[{n}][quantity]={quantity}"));
                after[index].as_mut().expect("untouched").quantity = *quantity;
            }
            Act::Price(_, price, quantity) if unused(&after, *price) => {
                let given = quantity.map_or_else(String::new, |quantity| {
                    format!("&items[{n}][quantity]={quantity}")
                });
                form.push(format!(
                    "{named}&items[{n}][price]={}{given}",
                    prices[*price]
                ));
                let item = after[index].as_mut().expect("untouched");
                // A new price starts with one unit.
                (item.price, item.quantity) = (*price, quantity.unwrap_or(1));
            }
            Act::Delete(_) if after.iter().flatten().count() > 1 => {
                form.push(format!("{named}&items[{n}][deleted]=true"));
                after[index] = None;
            }
            Act::Price(..) | Act::Delete(_) | Act::Add(..) => continue,
        }
        touched.push(index);
    }
    (after.into_iter().flatten().collect(), form.join("&"))
}

fn ids(subscription: &Value, items: &mut [Item]) {
    let data = subscription["items"]["data"].as_array().expect("items");
    for (item, shown) in items.iter_mut().zip(data) {
        item.id = Some(shown["id"].as_str().expect("an id").to_owned());
    }
}

async fn lines_by_time(world: &World, customer: &str) -> Vec<(Vec<i64>, i64)> {
    let mut invoices = world.invoices(customer).await;
    invoices.reverse();
    let mut lines_by_time = Vec::new();
    for invoice in invoices {
        let id = invoice["id"].as_str().expect("an id");
        let path = format!("/v1/invoices/{id}/lines?limit=100");
        let lines = world.api.get(&path).await.ok();
        let lines = lines["data"].as_array().expect("lines");
        let amounts = lines.iter().map(|line| number(line, "amount")).collect();
        lines_by_time.push((amounts, number(&invoice, "total")));
    }
    lines_by_time
}

#[test]
fn every_line_agrees_with_classic_billing() {
    let steps = prop::collection::vec(step(), 1..8);
    let first = (0_usize..4, 0_i64..4);
    check(
        48,
        &(first, steps, 0_i64..15),
        async |((price, quantity), steps, last)| {
            let world = World::new().await;
            let customer = world.customer().await;
            let mut prices = Vec::new();
            for amount in PRICES {
                prices.push(world.price(&format!("unit_amount={amount}")).await);
            }
            for (index, (coupon, _)) in COUPONS.iter().enumerate() {
                world.coupon(&format!("id=c{index}&{coupon}")).await;
            }
            let form = format!(
                "customer={customer}&items[0][price]={}&items[0][quantity]={quantity}",
                prices[price]
            );
            let id = world.api.create("/v1/subscriptions", &form).await;
            let path = format!("/v1/subscriptions/{id}");
            let mut model = Model::new(vec![Item {
                id: None,
                price,
                quantity,
            }]);
            ids(&world.subscription(&id).await, &mut model.items);
            let mut now = START;
            for step in &steps {
                if step.days > 0 {
                    now += step.days * DAY;
                    world.advance_to(now).await;
                    model.advance(now);
                }
                let (items, acts) = perform(&model.items, &step.acts, &prices);
                let prorate = PRORATIONS[step.prorate];
                let coupon = match step.coupon {
                    NewCoupon::Keep => String::new(),
                    NewCoupon::Remove => "&coupon=".to_owned(),
                    NewCoupon::Set(index) => format!("&coupon=c{index}"),
                };
                let form = format!("{acts}&proration_behavior={prorate}{coupon}");
                let updated = world.api.post(&path, &form).await.ok();
                if acts.is_empty() {
                    model.update(model.items.clone(), step.coupon, "none");
                } else {
                    model.update(items, step.coupon, prorate);
                }
                ids(&updated, &mut model.items);
            }
            if last > 0 {
                now += last * DAY;
                world.advance_to(now).await;
                model.advance(now);
            }
            world
                .api
                .delete(&format!("{path}?invoice_now=true&prorate=true"))
                .await
                .ok();
            model.cancel();
            assert_eq!(lines_by_time(&world, &customer).await, model.invoices);
        },
    );
}

//! Bills agree with an independent computation, unit by unit.

use proptest::prelude::*;

use super::super::{DAY, START, World, number};
use super::check;

/// A price in thousandths of a cent.
#[derive(Clone, Debug)]
enum RandomPrice {
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

impl RandomPrice {
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
                let mut form = vec![format!("billing_scheme=tiered&tiers_mode={mode}")];
                let mut top = 0;
                for (index, (width, unit, flat)) in tiers.iter().enumerate() {
                    top += width;
                    let last = index + 1 == tiers.len();
                    let up_to = if last {
                        "inf".to_owned()
                    } else {
                        top.to_string()
                    };
                    let unit = decimal(*unit);
                    form.push(format!(
                        "tiers[{index}][up_to]={up_to}&tiers[{index}][unit_amount_decimal]={unit}"
                    ));
                    if let Some(flat) = flat {
                        form.push(format!("tiers[{index}][flat_amount]={flat}"));
                    }
                }
                form.join("&")
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

fn sold() -> impl Strategy<Value = RandomPrice> {
    let tier = (1_i64..40, 0_i64..9000, prop::option::of(0_i64..2000));
    prop_oneof![
        (0_i64..9000, 1_i64..9, any::<bool>()).prop_map(|(unit, by, up)| RandomPrice::Packs {
            unit,
            by,
            up
        }),
        (any::<bool>(), prop::collection::vec(tier, 1..5))
            .prop_map(|(volume, tiers)| RandomPrice::Tiers { volume, tiers }),
    ]
}

#[test]
fn an_invoice_is_the_sum_of_its_lines_and_the_price_of_the_usage() {
    let coupon = prop::option::of((any::<bool>(), 1_i64..100));
    check(
        24,
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

//! Changes of licensed items of different intervals in flexible billing, compared with a naive model that keeps each
//! item's debits day by day.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::DAY;
use super::check;
use super::mixed_intervals::boundary;
use super::mixed_story::{Act, Interval, Item, LENGTH, Story, item};
use crate::meters::APRIL;

/// A charge for an item: its amount, and the days that it is for.
type Debit = (i64, i64, i64);

struct ModelItem {
    interval: Interval,
    price: i64,
    quantity: i64,
    debits: Vec<Debit>,
}

impl ModelItem {
    fn new(item: &Item, quantity: i64) -> Self {
        Self {
            interval: item.interval,
            price: item.price,
            quantity,
            debits: Vec::new(),
        }
    }

    /// The period of the item that contains a day.
    fn period(&self, start: i64, day: i64) -> (i64, i64) {
        let ends = (1..).map(|n| boundary(start, self.interval, n));
        let mut begin = start;
        for end in ends {
            if day < end {
                return (begin, end);
            }
            begin = end;
        }
        unreachable!("there are always further periods")
    }

    /// Charges the rest of the running period from a day on. Cents are rounded down.
    fn charge(&mut self, start: i64, day: i64) -> i64 {
        let (begin, end) = self.period(start, day);
        let full = self.price * self.quantity;
        let amount = (full * (end - day)).div_euclid(end - begin);
        self.debits.push((amount, day, end));
        amount
    }

    /// Credits the charges for the time from a day on.
    fn credit(&mut self, day: i64) -> i64 {
        let debits = std::mem::take(&mut self.debits).into_iter();
        let left = debits.filter(|(.., end)| day < *end);
        let credit = |(amount, begin, end): Debit| (-amount * (end - day)).div_euclid(end - begin);
        left.map(credit).sum()
    }
}

/// The amounts of the invoices by day.
fn naive(start: i64, items: &[Item], acts: &[(i64, Act)]) -> BTreeMap<i64, i64> {
    let held = |item: &Item| ModelItem::new(item, item.quantity.expect("licensed"));
    let mut items: Vec<ModelItem> = items.iter().map(held).collect();
    let mut billed: BTreeMap<i64, i64> = BTreeMap::new();
    let mut pending = 0;
    for day in start..=start + LENGTH {
        let mut renews = false;
        for item in &mut items {
            if item.period(start, day).0 == day {
                item.debits.clear();
                pending += item.charge(start, day);
                renews = true;
            }
        }
        if renews {
            *billed.entry(day).or_default() += std::mem::take(&mut pending);
        }
        for (_, act) in acts.iter().filter(|(at, _)| start + at == day) {
            match act {
                Act::Swap(other, behavior) => {
                    let first = &mut items[0];
                    // A new price begins with a quantity of 1.
                    let mut swapped = ModelItem::new(other, 1);
                    if *behavior != "none" {
                        pending += first.credit(day) + swapped.charge(start, day);
                    } else if first.interval == swapped.interval {
                        swapped.debits = std::mem::take(&mut first.debits);
                    }
                    *first = swapped;
                    if *behavior == "always_invoice" {
                        *billed.entry(day).or_default() += std::mem::take(&mut pending);
                    }
                }
                Act::Add(other) => {
                    let mut added = ModelItem::new(other, 1);
                    pending += added.charge(start, day);
                    items.push(added);
                }
                Act::Remove if items.len() > 1 => {
                    let mut last = items.pop().expect("items");
                    pending += last.credit(day);
                }
                Act::Quantity(quantity) if items[0].quantity != *quantity => {
                    pending += items[0].credit(day);
                    items[0].quantity = *quantity;
                    pending += items[0].charge(start, day);
                }
                _ => {}
            }
        }
    }
    billed
}

fn licensed() -> impl Strategy<Value = Item> {
    (item(), 1_i64..9).prop_map(|(item, quantity)| Item {
        quantity: Some(quantity),
        ..item
    })
}

fn act() -> impl Strategy<Value = Act> {
    let behavior = prop::sample::select(vec!["create_prorations", "always_invoice", "none"]);
    prop_oneof![
        3 => (licensed(), behavior).prop_map(|(item, behavior)| Act::Swap(item, behavior)),
        2 => licensed().prop_map(Act::Add),
        1 => Just(Act::Remove),
        2 => (1_i64..9).prop_map(Act::Quantity),
    ]
}

#[test]
fn changes_credit_what_was_debited_and_charge_the_rest_of_each_period() {
    let items = prop::collection::vec(licensed(), 1..4);
    let acts = prop::collection::vec((1..LENGTH, act()), 0..8);
    check(
        12,
        &(0_i64..60, items, acts),
        async |(start, items, mut acts)| {
            acts.sort_by_key(|(day, _)| *day);
            let mut story = Story::new(APRIL + start * DAY, &items, 1).await;
            story.subscribe("").await;
            for (day, act) in &acts {
                story.advance_to(APRIL + (start + day) * DAY).await;
                story.perform(act).await;
            }
            story.advance_to(APRIL + (start + LENGTH) * DAY).await;
            let lines_by_time = story.lines_by_time().await.into_iter().map(|(at, lines)| {
                let amounts = lines.iter().map(|(_, _, amount, _)| amount);
                ((at - APRIL) / DAY, amounts.sum())
            });
            let lines_by_time: BTreeMap<i64, i64> = lines_by_time.collect();
            assert_eq!(lines_by_time, naive(start, &items, &acts));
        },
    );
}

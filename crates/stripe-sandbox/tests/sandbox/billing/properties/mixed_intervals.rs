//! Items of different intervals on one subscription: compared with a naive sum for each item and period, and in
//! different steps of the clock.

use std::collections::BTreeMap;
use std::ops::Range;

use proptest::prelude::*;

use super::super::DAY;
use super::check;
use super::mixed_story::{Act, Interval, Item, LENGTH, Story, act, item};
use crate::meters::APRIL;

/// The number of days in a month of 2020 or 2021, counted from January 2020.
fn days_in(month: i64) -> i64 {
    match (month / 12, month % 12) {
        (0, 1) => 29,
        (_, 1) => 28,
        (_, 3 | 5 | 8 | 10) => 30,
        _ => 31,
    }
}

/// The day on which the n-th period begins, counted from 1 April 2020.
pub(super) fn boundary(start: i64, (interval, count): Interval, n: i64) -> i64 {
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

/// The amounts due on each day: each item's charge in advance, or its usage in arrears.
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
            let mut story = Story::new(APRIL + start * DAY, &items, 1).await;
            story.subscribe("").await;
            for (day, value) in &usage {
                story.advance_to(APRIL + day * DAY).await;
                story.perform(&Act::Report(*value)).await;
            }
            story.steps = steps;
            story.advance_to(APRIL + (start + LENGTH) * DAY).await;
            let lines_by_time = story.lines_by_time().await;
            let lines_by_time = lines_by_time.into_iter().map(|(at, lines)| {
                let amount = lines.iter().map(|(_, _, amount, _)| amount).sum::<i64>();
                ((at - APRIL) / DAY, amount)
            });
            let lines_by_time: BTreeMap<i64, i64> = lines_by_time.collect();
            assert_eq!(lines_by_time, naive(start, &items, &usage));
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
            let mut lines_by_time = Vec::new();
            for steps in [1, steps] {
                let mut story = Story::new(APRIL + start * DAY, &items, steps).await;
                story.subscribe("").await;
                for (days, act) in &acts {
                    story.advance_to(story.now + days * DAY).await;
                    story.perform(act).await;
                }
                story.advance_to(story.now + 200 * DAY).await;
                lines_by_time.push(story.lines_by_time().await);
            }
            assert_eq!(lines_by_time[0], lines_by_time[1]);
        },
    );
}

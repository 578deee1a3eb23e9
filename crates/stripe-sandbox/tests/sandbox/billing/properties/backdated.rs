//! In flexible billing, a backdated subscription is billed as if it had been created at its start date.

use proptest::prelude::*;

use super::super::DAY;
use super::check;
use super::mixed_story::{Act, Story, StoryLine, item};
use crate::meters::APRIL;

/// Meter events can be at most 35 days old when they are sent, but older ones that were sent in time still count.
#[test]
fn a_backdated_subscription_charges_what_an_older_one_has_charged() {
    let items = prop::collection::vec(item(), 1..4);
    let usage = prop::collection::vec((0_i64..300, 1_i64..50), 0..6);
    check(
        12,
        &(0_i64..60, items, usage, 1_i64..300),
        async |(start, items, mut usage, age)| {
            usage.sort_unstable();
            usage.retain(|(day, _)| *day < age);
            let begin = APRIL + start * DAY;
            let now = begin + age * DAY;
            let mut lines_by_time: Vec<Vec<StoryLine>> = Vec::new();
            for backdated in [false, true] {
                let mut story = Story::new(begin, &items, 1).await;
                if !backdated {
                    story.subscribe("").await;
                }
                for (day, value) in &usage {
                    story.advance_to(begin + day * DAY).await;
                    story.perform(&Act::Report(*value)).await;
                }
                story.advance_to(now).await;
                if backdated {
                    let form = format!("backdate_start_date={begin}");
                    story.subscribe(&form).await;
                    let billed: Vec<i64> = story.lines_by_time().await.into_keys().collect();
                    assert!(billed.is_empty() || billed == [now], "{billed:?}");
                }
                story.perform(&Act::Report(7)).await;
                story.advance_to(now + 95 * DAY).await;
                let mut lines: Vec<StoryLine> = story
                    .lines_by_time()
                    .await
                    .into_values()
                    .flatten()
                    .collect();
                lines.sort();
                lines_by_time.push(lines);
            }
            assert_eq!(lines_by_time[0], lines_by_time[1]);
        },
    );
}

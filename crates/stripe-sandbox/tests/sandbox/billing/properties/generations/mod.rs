//! The money of random subscriptions in both generations: usage records with classic billing in 2022-11-15, and meters
//! with classic and flexible billing in 2026-10-28.endive. The sandbox bills what a naive [model] does, in one step or
//! in many.

mod model;
mod sandbox;
mod story;

use self::model::Model;
use self::story::{Story, story};
use super::super::DAY;
use super::check;
use crate::meters::{APRIL, MAY};

const HOUR: i64 = 3600;

/// When the invoices are compared, after the last act of every story.
const END: i64 = MAY + 92 * DAY;

fn expected(story: &Story) -> Model {
    let mut model = Model::new(story, APRIL);
    let mut now = APRIL;
    for (hours, act) in &story.acts {
        now += hours * HOUR;
        model.advance(now);
        model.act(*act);
    }
    model.advance(END);
    model
}

#[test]
fn invoices_equal_the_model_in_both_generations() {
    check(40, &(story(), 1_i64..6), async |(story, steps)| {
        let model = expected(&story);
        let (invoices, pending) = sandbox::billed(&story, steps, END).await;
        assert_eq!(invoices, model.invoices);
        assert_eq!(pending, model.pending());
    });
}

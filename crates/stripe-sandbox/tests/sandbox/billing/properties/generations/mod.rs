//! The billing of random subscriptions in both generations: usage records with classic billing in 2022-11-15, and
//! meters with classic and flexible billing in 2026-10-28.endive. The sandbox bills the same as a naive [model],
//! whether the clock is advanced in one step or in many.

mod amounts;
mod case;
mod catalogue;
mod model;
mod sandbox;

use self::case::{Case, HOUR, case};
use self::model::Model;
use super::super::DAY;
use super::check;
use crate::meters::{APRIL, MAY};

/// When the invoices are compared. All acts are over then.
const END: i64 = MAY + 92 * DAY;

fn expected(case: &Case) -> Model {
    let mut model = Model::new(case, APRIL);
    let mut now = APRIL;
    for (hours, act) in &case.acts {
        now += hours * HOUR;
        model.advance(now);
        model.act(*act);
    }
    model.advance(END);
    model
}

#[test]
fn invoices_equal_the_model_in_both_generations() {
    check(48, &(case(), 1_i64..5), async |(case, steps)| {
        let model = expected(&case);
        let (invoices, pending) = sandbox::billed(&case, steps, END).await;
        assert_eq!(invoices, model.invoices);
        assert_eq!(pending, model.waiting());
    });
}

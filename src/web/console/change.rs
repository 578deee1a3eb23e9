//! The preview of a plan change in the console.

use maud::{Markup, html};
use serde_json::json;

use super::{Fragment, day, money, names};
use crate::domain::refs::{OrgName, PlanName};
use crate::domain::{MigrationPlan, PlannedMove, PricedPlan};

/// A plan change.
pub enum Change<'a> {
    /// The org has no plan yet.
    Start,
    /// The org leaves a plan.
    Move {
        /// The plan that it leaves.
        from: &'a PlanName,
        /// Whether the change is made at the end of the billing period, not now.
        at_period_end: bool,
        /// The changes that would be made.
        planned: &'a MigrationPlan,
    },
}

/// The preview of a change, with a button to make it.
pub fn planned_change(org: &OrgName, to: &PricedPlan, change: &Change<'_>) -> Fragment {
    Fragment(match change {
        Change::Start => {
            let request = json!({"org": org, "phases": [{"features": [to.id]}]});
            html! {
                p { "From now on: " b { (to.text) } ". The first invoice is made at once." }
                (apply("/v1/subscribe", &request.to_string(), to))
            }
        }
        Change::Move {
            from,
            at_period_end,
            planned,
        } => {
            let at = if *at_period_end { "period_end" } else { "now" };
            let request = json!({"from": from, "to": to.id, "at": at, "orgs": [org]});
            html! {
                @for failure in &planned.failed { p.error role="alert" { (failure.error) } }
                @for planned in &planned.moves {
                    (moved(planned, to))
                    (apply("/v1/migrate", &request.to_string(), to))
                }
                @if planned.failed.is_empty() && planned.moves.is_empty() {
                    p.error role="alert" { "It is not on " (from) " any more." }
                }
            }
        }
    })
}

fn moved(planned: &PlannedMove, to: &PricedPlan) -> Markup {
    let total = |bill: Option<i64>| match bill {
        Some(total) => money(total, to.currency.as_str()),
        None => "none, or not known".to_owned(),
    };
    html! {
        dl {
            dt { "Changes on" } dd { (day(planned.effective)) }
            dt { "Next bill as it is" } dd { (total(planned.next_bill_now)) }
            dt { "Next bill after the change" } dd { (total(planned.next_bill)) }
        }
        @if !planned.over_limit.is_empty() {
            p.error { "Over its new limit at once: " (names(&planned.over_limit).join(", ")) }
        }
    }
}

fn apply(path: &str, body: &str, to: &PricedPlan) -> Markup {
    html! {
        form data-does="apply" data-path=(path) data-body=(body) { button type="submit" { "Change to " (to.id) } }
    }
}

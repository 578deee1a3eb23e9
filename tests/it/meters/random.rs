//! Random reports and plan changes with meters. Each unit is billed once, at the price of the plan on which it was
//! used.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use stripe_sandbox::{Action, Rule, When};

use super::orgs::{app, used};
use crate::harness::{DAY, TestApp};

const ORG: &str = "org:a";
const PLANS: [&str; 3] = ["plan:a@1", "plan:b@1", "plan:free@1"];

#[derive(Clone, Debug)]
enum Step {
    Report(u8),
    Seats(u8),
    /// Changes to one of the plans, or to none.
    Change(usize),
    /// Schedules a change to one of the plans, after this number of hours.
    Schedule(usize, u8),
    /// Lets this number of hours pass.
    Wait(u8),
    /// Makes Stripe fail at the next call to this path, before or after the call takes effect.
    Fail(&'static str, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let endpoint = prop_oneof![
        Just("/v1/billing/meter_events"),
        Just("/v1/subscription_schedules/*"),
        Just("/v1/invoices/create_preview"),
    ];
    let step = prop_oneof![
        6 => (0..50_u8).prop_map(Step::Report),
        2 => (0..9_u8).prop_map(Step::Seats),
        3 => (0..=PLANS.len()).prop_map(Step::Change),
        1 => (0..PLANS.len(), 1..200_u8).prop_map(|(plan, hours)| Step::Schedule(plan, hours)),
        4 => (1..250_u8).prop_map(Step::Wait),
        2 => (endpoint, any::<bool>()).prop_map(|(path, after)| Step::Fail(path, after)),
    ];
    prop::collection::vec(step, 1..24)
}

/// What the org should have, according to the model.
#[derive(Default)]
struct Model {
    plan: Option<usize>,
    /// The time of the scheduled change in hours, and its plan.
    scheduled: Option<(u32, usize)>,
    hours: u32,
    /// The units of `feature:x`, by plan.
    reported: BTreeMap<usize, i64>,
}

impl Model {
    fn wait(&mut self, hours: u32) {
        self.hours += hours;
        if let Some((_, plan)) = self.scheduled.filter(|(at, _)| *at <= self.hours) {
            (self.plan, self.scheduled) = (Some(plan), None);
        }
    }
}

async fn run(steps: &[Step]) {
    let app = app().await;
    let mut model = Model::default();
    app.post_json(
        "/v1/subscribe",
        &json!({ "org": ORG, "phases": [{ "features": ["plan:b@1"] }] }),
    )
    .await
    .ok();
    model.plan = Some(1);
    for step in steps {
        take(&app, &mut model, step).await;
        // No two steps may fall into the same second.
        app.advance(Duration::from_secs(1));
    }
    app.advance(400 * DAY);
    let mut billed: BTreeMap<usize, i64> = BTreeMap::new();
    for (lines, _) in app.bills(ORG).await {
        for (name, quantity) in lines {
            let mut plans = PLANS.iter();
            let plan = plans.position(|plan| name == format!("feature:x@{plan}"));
            if let Some(plan) = plan {
                *billed.entry(plan).or_default() += quantity;
            }
        }
    }
    model.reported.retain(|_, n| *n != 0);
    assert_eq!(billed, model.reported);
}

async fn take(app: &TestApp, model: &mut Model, step: &Step) {
    match step {
        Step::Report(n) => {
            let body = json!({ "org": ORG, "feature": "feature:x", "n": n });
            let answer = app.post_json("/v1/report", &body).await;
            if let Some(plan @ (0 | 1)) = model.plan {
                answer.ok();
                *model.reported.entry(plan).or_default() += i64::from(*n);
            } else {
                answer.fails(400, "feature_not_found");
            }
        }
        Step::Seats(n) => {
            let body = json!({ "org": ORG, "feature": "feature:seats", "n": n });
            let answer = app.post_json("/v1/report", &body).await;
            if matches!(model.plan, Some(0 | 1)) {
                answer.ok();
                let limits = app.limits(ORG).await;
                let seats = ("feature:seats", i64::from(*n));
                assert!(
                    used(&limits)
                        .iter()
                        .any(|row| row.0 == seats.0 && row.1 >= seats.1)
                );
            }
        }
        Step::Change(plan) => {
            let features: Vec<&str> = PLANS.get(*plan).copied().into_iter().collect();
            app.subscribe(ORG, &features).await;
            model.plan = (*plan < PLANS.len()).then_some(*plan);
            model.scheduled = None;
        }
        Step::Schedule(plan, hours) => {
            let Some(now) = model.plan else { return };
            let at = app.sandbox().clock().unix() + i64::from(*hours) * 3_600;
            let at = chrono::DateTime::from_timestamp(at, 0)
                .expect("it is well formed")
                .to_rfc3339();
            let phases = json!([
                { "features": [PLANS[now]] },
                { "features": [PLANS[*plan]], "effective": at },
            ]);
            let body = json!({ "org": ORG, "phases": phases });
            app.post_json("/v1/subscribe", &body).await.ok();
            model.scheduled = Some((model.hours + u32::from(*hours), *plan));
        }
        Step::Wait(hours) => {
            app.advance(Duration::from_secs(u64::from(*hours) * 3_600));
            model.wait(u32::from(*hours));
        }
        Step::Fail(path, after) => {
            let mut rule = Rule::new("POST", path, Action::Status(500, None)).times(1);
            rule.when = if *after { When::After } else { When::Before };
            // Earlier faults are cleared, since a request fails if every attempt meets a fault.
            app.sandbox().clear_faults();
            app.sandbox().add_fault(rule);
        }
    }
}

#[test]
fn each_unit_is_billed_once_at_its_own_price() {
    let runtime = tokio::runtime::Runtime::new().expect("it is well formed");
    let mut runner = TestRunner::new(Config {
        cases: 12,
        ..Config::with_source_file(file!())
    });
    let outcome = runner.run(&steps(), |steps| {
        let run = std::panic::AssertUnwindSafe(|| runtime.block_on(run(&steps)));
        std::panic::catch_unwind(run).map_err(|_| TestCaseError::fail("see above"))
    });
    outcome.expect("it is well formed");
}

#[tokio::test]
async fn a_credit_of_tier_is_of_no_feature() {
    run(&[Step::Change(2), Step::Change(1), Step::Change(0)]).await;
}

//! A year in which the org moves from usage records to meters: nothing is billed twice, and nothing is dropped.

use chrono::{DateTime, Months};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::json;
use tier::domain::{Generation, GenerationSetting};

use super::{START, Settings, WithLedger, billed, ledger_metric};

const YEARS: usize = 4;
const MONTHS: u32 = 12;
const DAY: i64 = 24 * 60 * 60;
/// The prices of the plans, in cents: of a call, and of a unit of the level in each month.
const BEFORE: (i64, i64) = (2, 1000);
const AFTER: (i64, i64) = (3, 2000);

/// What is reported in a month, after so many days: units of a sum, and a level.
#[derive(Clone, Copy, Debug)]
struct Month {
    days: i64,
    calls: i64,
    disk: i64,
}

/// What happens in the year, and when: in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Report {
        calls: i64,
        disk: i64,
    },
    /// At the end of the billing period.
    ScheduledMove,
    PeriodBegins,
    Move,
}

/// When the org moves.
#[derive(Clone, Copy, Debug)]
enum When {
    Now,
    PeriodEnd,
}

/// A year, and when the org moves: the month, counted from 0, and the days into it.
fn years() -> impl Strategy<Value = (Vec<Month>, u32, i64)> {
    let month = (1..27_i64, 0..400_i64, 1..20_i64);
    let month = month.prop_map(|(days, calls, disk)| Month { days, calls, disk });
    let months = prop::collection::vec(month, MONTHS as usize);
    (months, 0..MONTHS - 1, 1..27_i64)
}

/// `months` after `from`, both in Unix seconds.
fn later(from: i64, months: u32) -> i64 {
    let from = DateTime::from_timestamp(from, 0).expect("a time");
    let later = from.checked_add_months(Months::new(months));
    later.expect("a time").timestamp()
}

/// The events in order. Reports are made at noon, and the org is moved in the evening.
fn events(months: &[Month], when: When, move_month: u32, move_days: i64) -> Vec<(i64, Event)> {
    let asked = later(START, move_month) + move_days * DAY - DAY / 4;
    // How many periods end with the old plan.
    let (periods, moved, scheduled) = match when {
        When::Now => (move_month, asked, None),
        When::PeriodEnd => {
            let periods = move_month + 1;
            let scheduled = (asked, Event::ScheduledMove);
            (periods, later(START, periods), Some(scheduled))
        }
    };
    let before = (1..=periods).map(|month| later(START, month));
    let after = (1..=MONTHS - periods).map(|month| later(moved, month));
    let end = later(moved, MONTHS - periods);
    let reports = (0..).zip(months).map(|(month, one)| {
        let at = later(START, month) + one.days * DAY - DAY / 2;
        let Month { calls, disk, .. } = *one;
        (at, Event::Report { calls, disk })
    });
    let begins = before.chain(after).map(|at| (at, Event::PeriodBegins));
    let mut events: Vec<_> = reports
        .chain(begins)
        .chain([(moved, Event::Move)])
        .chain(scheduled)
        .collect();
    events.retain(|(at, _)| *at <= end);
    events.sort_unstable();
    events
}

/// The sum of all invoices, in cents.
fn expected(events: &[(i64, Event)]) -> i64 {
    let (mut level, mut cents, mut prices) = (0, 0, BEFORE);
    for (_, event) in events {
        match event {
            Event::Report { calls, disk } => {
                level = *disk;
                cents += calls * prices.0;
            }
            Event::ScheduledMove => {}
            // The level is billed at the end of a period, by the plan in force.
            Event::Move => prices = AFTER,
            Event::PeriodBegins => cents += level * prices.1,
        }
    }
    cents
}

#[tokio::test]
async fn an_org_that_moves_to_meters_pays_for_what_it_used() {
    years_with_a_move(When::Now).await;
}

#[tokio::test]
async fn an_org_that_moves_at_the_end_of_a_period_pays_for_what_it_used() {
    years_with_a_move(When::PeriodEnd).await;
}

async fn years_with_a_move(when: When) {
    let mut runner = TestRunner::deterministic();
    for _ in 0..YEARS {
        let year = years().new_tree(&mut runner).expect("a year").current();
        let (months, move_month, move_days) = &year;
        let events = events(months, when, *move_month, *move_days);
        let app = WithLedger::start().await;
        let meters = app.app.beside(&Settings {
            generation: GenerationSetting::Fixed(Generation::Meters),
            ..Settings::remembering()
        });
        let plan = json!({"plans": {"plan:pro@3": {"features": {
            "feature:calls": {"tiers": [{"price": AFTER.0}]},
            "feature:disk": {"aggregate": "perpetual", "tiers": [{"price": AFTER.1}]},
        }}}});
        meters.push(&plan).await;
        for (at, event) in &events {
            app.set_clock(*at);
            match event {
                Event::Report { calls, disk } => {
                    app.report_n("calls", *calls).await;
                    let level = json!({"feature": "feature:disk", "n": disk, "clobber": true});
                    app.add(level).await.ok();
                }
                Event::Move if matches!(when, When::Now) => {
                    app.subscribe("org:a", &["plan:pro@3"]).await;
                }
                Event::ScheduledMove => {
                    let at = later(START, move_month + 1);
                    let at = DateTime::from_timestamp(at, 0)
                        .expect("a time")
                        .to_rfc3339();
                    let phase = json!({"features": ["plan:pro@3"], "effective": at});
                    let request = json!({"org": "org:a", "phases": [phase]});
                    app.post_json("/v1/subscribe", &request).await.ok();
                }
                Event::Move | Event::PeriodBegins => {}
            }
            app.settled().await;
            app.deliver_all().await;
        }
        assert_eq!(billed(&app).await, expected(&events), "{year:?}");
        for metric in ["differences_total", "parked", "undelivered"] {
            assert_eq!(ledger_metric(&app, metric).await, 0, "{metric}: {year:?}");
        }
    }
}

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
    Report { calls: i64, disk: i64 },
    Move,
    PeriodBegins,
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

/// The events in order. Reports are made at noon, and the org moves in the evening.
fn events(months: &[Month], move_month: u32, move_days: i64) -> Vec<(i64, Event)> {
    let moved = later(START, move_month) + move_days * DAY - DAY / 4;
    let before = (1..=move_month).map(|month| later(START, month));
    let after = (1..=MONTHS - move_month).map(|month| later(moved, month));
    let end = later(moved, MONTHS - move_month);
    let reports = (0..).zip(months).map(|(month, one)| {
        let at = later(START, month) + one.days * DAY - DAY / 2;
        let Month { calls, disk, .. } = *one;
        (at, Event::Report { calls, disk })
    });
    let begins = before.chain(after).map(|at| (at, Event::PeriodBegins));
    let mut events: Vec<_> = reports
        .chain(begins)
        .chain([(moved, Event::Move)])
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
            // The level is billed at the end of a period, by the plan in force.
            Event::Move => prices = AFTER,
            Event::PeriodBegins => cents += level * prices.1,
        }
    }
    cents
}

#[tokio::test]
async fn an_org_that_moves_to_meters_pays_for_what_it_used() {
    let mut runner = TestRunner::deterministic();
    for _ in 0..YEARS {
        let year = years().new_tree(&mut runner).expect("a year").current();
        let (months, move_month, move_days) = &year;
        let events = events(months, *move_month, *move_days);
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
                Event::Move => app.subscribe("org:a", &["plan:pro@3"]).await,
                Event::PeriodBegins => {}
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

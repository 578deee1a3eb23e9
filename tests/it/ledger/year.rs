//! A year in which orgs move from usage records to meters. Stripe bills nothing twice and misses nothing.

use std::collections::BTreeMap;

use chrono::{DateTime, Months};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::json;
use tier::domain::{Generation, GenerationSetting};

use super::{START, Settings, TestApp, WithLedger, billed, ledger_metric};

const YEARS: usize = 4;
/// The orgs, and when they subscribe.
const ORGS: [(&str, i64); 3] = [
    ("org:a", START),
    ("org:b", START + HOUR),
    ("org:c", START + 2 * HOUR),
];
const HOUR: i64 = 60 * 60;
const MONTHS: u32 = 12;
const DAY: i64 = 24 * HOUR;
/// Each plan's prices, in cents: of one call, and of one unit of the level in each month.
const BEFORE: (i64, i64) = (2, 1000);
const AFTER: (i64, i64) = (3, 2000);

/// The usage that is reported in a month after `days` days: units of a sum, and a level.
#[derive(Clone, Copy, Debug)]
struct Month {
    days: i64,
    calls: i64,
    disk: i64,
}

/// An event in the year of an org. Lists of events have their times in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Report {
        calls: i64,
        disk: i64,
    },
    /// A move is scheduled for the end of the billing period.
    ScheduledMove,
    PeriodBegins,
    Move,
}

/// When a move takes effect.
#[derive(Clone, Copy, Debug)]
enum When {
    Now,
    PeriodEnd,
}

/// The year of an org.
#[derive(Clone, Debug)]
struct Year {
    /// When the year begins, in Unix seconds.
    start: i64,
    months: Vec<Month>,
    when: When,
    /// The month in which the move is requested, counted from 0.
    move_month: u32,
    /// How many days into that month the move is requested.
    move_days: i64,
}

fn year(start: i64) -> impl Strategy<Value = Year> {
    let month = (1..27_i64, 0..400_i64, 1..20_i64);
    let month = month.prop_map(|(days, calls, disk)| Month { days, calls, disk });
    let months = prop::collection::vec(month, MONTHS as usize);
    let when = prop_oneof![Just(When::Now), Just(When::PeriodEnd)];
    (months, when, 0..MONTHS - 1, 1..27_i64).prop_map(
        move |(months, when, move_month, move_days)| Year {
            start,
            months,
            when,
            move_month,
            move_days,
        },
    )
}

/// `months` after `from`, both in Unix seconds.
fn later(from: i64, months: u32) -> i64 {
    let from = DateTime::from_timestamp(from, 0).expect("a time");
    let later = from.checked_add_months(Months::new(months));
    later.expect("a time").timestamp()
}

/// The events of an org in order. Reports are made at noon, and the org is moved in the evening.
fn events(year: &Year) -> Vec<(i64, Event)> {
    let Year {
        start,
        months,
        move_month,
        ..
    } = year;
    let asked = later(*start, *move_month) + year.move_days * DAY - DAY / 4;
    // `periods` is the number of periods that end with the old plan.
    let (periods, moved, scheduled) = match year.when {
        When::Now => (*move_month, asked, None),
        When::PeriodEnd => {
            let periods = move_month + 1;
            let scheduled = (asked, Event::ScheduledMove);
            (periods, later(*start, periods), Some(scheduled))
        }
    };
    let before = (1..=periods).map(|month| later(*start, month));
    let after = (1..=MONTHS - periods).map(|month| later(moved, month));
    let end = later(moved, MONTHS - periods);
    let reports = (0..).zip(months).map(|(month, one)| {
        let at = later(*start, month) + one.days * DAY - DAY / 2;
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

/// The expected sum of an org's invoices, in cents.
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

/// The events of all orgs, by their time.
fn together(years: &[Year]) -> BTreeMap<i64, Vec<(&'static str, &Year, Event)>> {
    let mut all = BTreeMap::<_, Vec<_>>::new();
    for ((org, _), year) in ORGS.into_iter().zip(years) {
        for (at, event) in events(year) {
            all.entry(at).or_default().push((org, year, event));
        }
    }
    all
}

async fn happens(app: &TestApp, org: &str, year: &Year, event: Event) {
    match event {
        Event::Report { calls, disk } => {
            app.report(org, "feature:calls", calls).await;
            let level = json!({"org": org, "feature": "feature:disk", "n": disk, "clobber": true});
            app.post_json("/v1/report", &level).await.ok();
        }
        Event::Move if matches!(year.when, When::Now) => app.subscribe(org, &["plan:pro@3"]).await,
        Event::ScheduledMove => {
            let at = later(year.start, year.move_month + 1);
            let at = DateTime::from_timestamp(at, 0)
                .expect("a time")
                .to_rfc3339();
            let phase = json!({"features": ["plan:pro@3"], "effective": at});
            let request = json!({"org": org, "phases": [phase]});
            app.post_json("/v1/subscribe", &request).await.ok();
        }
        Event::Move | Event::PeriodBegins => {}
    }
}

#[tokio::test]
async fn orgs_that_move_to_meters_pay_for_what_they_used() {
    let mut runner = TestRunner::deterministic();
    for _ in 0..YEARS {
        let years = ORGS.map(|(_, start)| year(start));
        let years = years.new_tree(&mut runner).expect("years").current();
        let app = WithLedger::start().await;
        for (org, at) in &ORGS[1..] {
            app.set_clock(*at);
            app.subscribe(org, &["plan:pro@1"]).await;
        }
        let meters = app.app.second_server_with(&Settings {
            generation: GenerationSetting::Fixed(Generation::Meters),
            ..Settings::remembering()
        });
        let plan = json!({"plans": {"plan:pro@3": {"features": {
            "feature:calls": {"tiers": [{"price": AFTER.0}]},
            "feature:disk": {"aggregate": "perpetual", "tiers": [{"price": AFTER.1}]},
        }}}});
        meters.push(&plan).await;
        for (at, events) in together(&years) {
            app.set_clock(at);
            for (org, year, event) in events {
                happens(&app, org, year, event).await;
            }
            app.settled().await;
            app.deliver_all().await;
        }
        let all = years.iter().map(|year| expected(&events(year)));
        assert_eq!(billed(&app).await, all.sum::<i64>(), "{years:?}");
        for metric in ["differences_total", "parked", "undelivered"] {
            assert_eq!(ledger_metric(&app, metric).await, 0, "{metric}: {years:?}");
        }
    }
}

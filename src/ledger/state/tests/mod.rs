//! Tests of the state machine, with a simple model.

mod cases;
mod delivery;
mod dropped;
mod events;
mod meters;
mod model;
#[cfg(not(feature = "postgres"))]
mod no_database;
mod ops;
mod reservations;
mod stripe;
mod world;

use super::*;
use crate::ledger::values::*;

/// The first instant of the first period.
const START: Time = Time::from_seconds(1_700_000_000);
/// The length of the tests' periods.
const PERIOD: i64 = 72 * HOUR;

fn period(number: i64) -> Period {
    Period {
        start: START.plus(number * PERIOD),
        end: START.plus((number + 1) * PERIOD),
    }
}

fn target(feature: &str, aggregate: Aggregate, item: &str, number: i64) -> Target {
    Target {
        org: "org:a".into(),
        feature: feature.into(),
        item: item.into(),
        meter: None,
        aggregate,
        period: period(number),
        previous: (number > 0).then(|| period(number - 1)),
        item_start: START,
        item_end: None,
        plan: PlanNumber::default(),
        since: Time::default(),
    }
}

fn add(target: &Target, n: i64) -> Report {
    Report {
        target: target.clone(),
        change: Change::Add(n),
        at: None,
        key: None,
        recorded: 0,
    }
}

fn clobber(target: &Target, n: i64) -> Report {
    Report {
        change: Change::SetTotal(n),
        ..add(target, n)
    }
}

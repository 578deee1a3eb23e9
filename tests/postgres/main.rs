//! Several processes that share a ledger in PostgreSQL. `tests/postgres/run` starts the servers.

#![expect(clippy::print_stdout, reason = "figures for the reader of the run")]

mod clocks;
mod commits;
mod delivery;
mod hosts;
mod kept;
mod killed;
mod killed_moves;
mod leases;
mod moving;
mod plans;
mod pooled;
mod proxy;
mod readers;
mod reports;
mod reservations;
mod tls;

use testing::postgres::Schema;
use tier::ledger::state::{Change, Event, Key, Report};
use tier::ledger::store::postgres::{Database, Postgres};
use tier::ledger::values::{Aggregate, Period, PlanNumber, Target, Time};
use tier::ledger::{Ledger, Now, StoreError, Writer};

const ACCOUNT: &str = "acct_1:test";
const START: Time = Time::from_seconds(1_700_006_400);
const SECOND: i64 = 1_000;
const DAY: i64 = 86_400_000;

/// A setting that `tests/postgres/run` has made.
fn setting(name: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "a setting of tests alone")]
    let value = std::env::var(name);
    value.unwrap_or_else(|_| panic!("tests/postgres/run sets {name}"))
}

fn schema() -> Schema {
    Schema::create(&setting("TIER_TEST_POSTGRES"))
}

/// A process that shares the ledger at `url`.
fn process(url: &str) -> (Ledger, Writer) {
    try_process(url, ACCOUNT).expect("a ledger")
}

fn try_process(url: &str, account: &'static str) -> Result<(Ledger, Writer), StoreError> {
    let database = Database::parse(url)?;
    Ledger::start_with(move || Postgres::open(database, account))
}

fn processes(url: &str, count: usize) -> Vec<Ledger> {
    (0..count).map(|_| process(url).0).collect()
}

fn target(org: &str) -> Target {
    Target {
        org: org.into(),
        feature: "feature:f".into(),
        item: format!("si_{org}").as_str().into(),
        since: Time::default(),
        meter: None,
        aggregate: Aggregate::Sum,
        period: Period {
            start: START,
            end: START.plus(30 * DAY),
        },
        previous: None,
        item_start: START,
        item_end: None,
        plan: PlanNumber::default(),
    }
}

fn now() -> Time {
    START.plus(DAY)
}

/// A time that the test chooses.
fn fixed(now: Time) -> Now {
    Now::TestClock(now)
}

fn report(org: &str, n: i64, key: Option<&str>) -> Event {
    Event::Report(Report {
        target: target(org),
        change: Change::Add(n),
        at: None,
        key: key.map(|text| Key {
            text: text.into(),
            body: [0; 16],
        }),
        recorded: 0,
    })
}

fn used(ledger: &Ledger, org: &str) -> i64 {
    let used = ledger.used(org, "feature:f", START);
    used.map_or(0, |used| used.n)
}

/// The sum of all entries, which must equal the sum of all totals.
fn stored(schema: &Schema) -> i64 {
    let entries = schema.number("SELECT coalesce(sum(n), 0)::bigint FROM entries");
    let totals = schema.number("SELECT coalesce(sum(n), 0)::bigint FROM totals");
    assert_eq!(entries, totals);
    let doubled = "SELECT count(*) FROM (SELECT total, after_n - n <> \
         lag(after_n, 1, 0::bigint) OVER (PARTITION BY total ORDER BY id) AS wrong FROM entries) AS all_entries WHERE wrong";
    assert_eq!(
        schema.number(doubled),
        0,
        "an entry does not follow the one before it"
    );
    entries
}

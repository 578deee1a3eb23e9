//! `tier ledger`, with and without a server that has the ledger's file open.

mod migrate;
mod parked;
mod verify;

use serde_json::Value;
use tier::billing::CLASSIC;
use tier::ledger::state::{Answer, Change, Event, Key, Outcome, Report, Reserve, Seal, Sealed};
use tier::ledger::store::sqlite::Sqlite;
use tier::ledger::values::{Aggregate, Period, PlanNumber, Target, Time};
use tier::ledger::{Ledger, Writer};
use tier::stripe::Client;

use super::{Place, cells, json};
use crate::binary::KEY;
use crate::shop;

/// 2030-01-01T00:00:00Z.
const START: Time = Time::from_seconds(1_893_456_000);

const HOUR: i64 = 3_600_000;

/// A ledger to write to.
struct Written {
    ledger: Ledger,
    writer: Writer,
}

impl Written {
    fn open(place: &Place, account: &str) -> Self {
        let store = Sqlite::open(&place.path().join("tier.db"), account).expect("a ledger");
        let (ledger, writer) = Ledger::start(store).expect("a ledger");
        Self { ledger, writer }
    }

    async fn submit(&self, event: Event, now: Time) -> Answer {
        let answers = self.ledger.submit(vec![event], now).await;
        let answer = answers.expect("a disk").pop().expect("an answer");
        answer.expect("accepted")
    }

    async fn report(&self, target: Target, n: i64, at: Time, key: Option<&str>) {
        let report = Report {
            target,
            change: Change::Add(n),
            at: None,
            recorded: 0,
            key: key.map(|text| Key {
                text: text.into(),
                body: [0; 16],
            }),
        };
        self.submit(Event::Report(report), at).await;
    }

    /// Delivers the usage of org:acme with the given outcome. Returns the sealed sets.
    async fn deliver(&self, now: Time, outcome: Outcome) -> Sealed {
        let seal = || {
            Event::Seal(Seal {
                date: now,
                deliver_after: 0,
                org: Some("org:acme".into()),
                max: 100,
            })
        };
        let Answer::Sealed(first) = self.submit(seal(), now).await else {
            panic!("sealed");
        };
        for summary in first.summaries {
            let read = Event::Summary {
                total: summary.total,
                number: summary.number,
                value: 0,
            };
            self.submit(read, now).await;
        }
        let Answer::Sealed(second) = self.submit(seal(), now).await else {
            panic!("sealed");
        };
        for set in &second.sets {
            let (total, number, outcome) = (set.total, set.number, outcome.clone());
            let answered = Event::Answered {
                total,
                number,
                outcome,
            };
            self.submit(answered, now).await;
        }
        second
    }

    fn close(self) {
        drop(self.ledger);
        self.writer.join();
    }
}

fn target(org: &str, item: &str) -> Target {
    Target {
        org: org.into(),
        feature: "feature:convert".into(),
        item: item.into(),
        meter: None,
        aggregate: Aggregate::Sum,
        period: Period {
            start: START,
            end: START.plus(30 * 24 * HOUR),
        },
        previous: None,
        item_start: START,
        item_end: None,
        plan: PlanNumber::default(),
        since: Time::default(),
    }
}

/// Records three reports of two orgs, and a reservation.
async fn some_usage(written: &Written) {
    let noon = START.plus(12 * HOUR);
    let acme = || target("org:acme", "si_1");
    written.report(acme(), 3, noon, Some("key-1")).await;
    written.report(acme(), -1, noon.plus(HOUR), None).await;
    let other = target("org:other", "si_2");
    written.report(other, 5, noon.plus(2 * HOUR), None).await;
    let reserve = Reserve {
        id: "rsv_1".into(),
        target: acme(),
        n: 4,
        ttl: HOUR,
        on_test_clock: false,
        limit: None,
        commit: false,
    };
    written.submit(Event::Reserve(reserve), noon).await;
}

/// Reads from Stripe.
async fn get(stripe: &Client, path: &'static str) -> Value {
    stripe.get(CLASSIC, path).send().await.expect("an answer")
}

fn gone() -> Outcome {
    Outcome::Refused {
        reason: "the subscription is gone".into(),
        next: None,
    }
}

#[tokio::test]
async fn the_status_is_shown_also_while_a_server_writes() {
    let place = Place::offline();
    let written = Written::open(&place, "acct_1:test");
    let status = async || {
        json(
            &place
                .tier(&["ledger", "status", "--ledger", "tier.db", "--json"])
                .ok()
                .await,
        )
    };
    let empty = status().await;
    assert_eq!(
        (&empty["entries"], &empty["lag_seconds"]),
        (&0.into(), &0.into())
    );
    assert_eq!(empty["oldest_undelivered"], Value::Null);
    some_usage(&written).await;
    let full = status().await;
    let counts = ["entries", "totals", "undelivered", "parked", "reservations"];
    assert_eq!(
        counts.map(|name| full[name].as_i64()),
        [3, 2, 2, 0, 1].map(Some)
    );
    assert_eq!(full["account"], "acct_1:test");
    assert_eq!(full["oldest_undelivered"]["org"], "org:acme");
    written.deliver(START.plus(15 * HOUR), gone()).await;

    let shown = place
        .tier(&["ledger", "status"])
        .env("TIER_LEDGER", "tier.db");
    let shown = shown.ok().await;
    let lines: Vec<(&str, &str)> = shown
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(label, value)| (label, value.trim()))
        .collect();
    assert_eq!(
        lines[1..4],
        [("Entries", "3"), ("Totals", "2"), ("Undelivered", "1")]
    );
    assert_eq!(
        lines[5].1,
        "total 2, feature:convert of org:other, since 2030-01-01T14:00:00.000Z"
    );
    assert_eq!(
        lines[6..],
        [("Parked", "1 (2 units)"), ("Reservations", "1")]
    );
    written.close();
}

#[tokio::test]
async fn entries_are_listed_newest_first_and_can_be_filtered() {
    let place = Place::offline();
    let written = Written::open(&place, "acct_1:test");
    some_usage(&written).await;
    let entries = |args: &[&str]| {
        let args = [&["ledger", "entries", "--ledger", "tier.db"], args].concat();
        place.tier(&args).ok()
    };
    let all = entries(&[]).await;
    assert_eq!(
        cells(&all),
        [
            vec!["ENTRY", "AT", "ORG", "FEATURE", "KIND", "N", "TOTAL", "KEY"],
            vec![
                "3",
                "2030-01-01T14:00:00.000Z",
                "org:other",
                "feature:convert",
                "report",
                "5",
                "5",
                "-"
            ],
            vec![
                "2",
                "2030-01-01T13:00:00.000Z",
                "org:acme",
                "feature:convert",
                "report",
                "-1",
                "2",
                "-"
            ],
            vec![
                "1",
                "2030-01-01T12:00:00.000Z",
                "org:acme",
                "feature:convert",
                "report",
                "3",
                "3",
                "key-1"
            ],
        ]
    );
    let ids = async |args: &[&str]| -> Vec<i64> {
        let found = json(&entries(&[args, &["--json"]].concat()).await);
        let found = found.as_array().expect("a list");
        found
            .iter()
            .filter_map(|entry| entry["id"].as_i64())
            .collect()
    };
    assert_eq!(ids(&["--org", "org:acme"]).await, [2, 1]);
    assert_eq!(ids(&["--limit", "1"]).await, [3]);
    assert_eq!(ids(&["--feature", "feature:nope"]).await, [0; 0]);
    let hour = ["--from", "2030-01-01T13:00:00Z", "--to", "1893506400"];
    assert_eq!(ids(&hour).await, [2]);
    for wrong in [["--org", "acme"], ["--from", "tomorrow"], ["--limit", "x"]] {
        let args = [&["ledger", "entries", "--ledger", "tier.db"], &wrong[..]].concat();
        place.tier(&args).misused().await;
    }
    written.close();
}

#[tokio::test]
async fn an_export_is_lines_of_json() {
    let place = Place::offline();
    let written = Written::open(&place, "acct_1:test");
    some_usage(&written).await;
    written.close();
    let exported = place.tier(&["ledger", "export", "--ledger", "tier.db"]);
    let exported = exported.ok().await;
    let lines: Vec<Value> = exported.lines().map(json).collect();
    let kinds: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["type"].as_str())
        .collect();
    assert_eq!(
        kinds,
        ["total", "total", "entry", "entry", "entry", "reservation"]
    );
    let total = &lines[0];
    assert_eq!((&total["total"], &total["told"]), (&2.into(), &0.into()));
    assert_eq!(total["period"]["start"], "2030-01-01T00:00:00.000Z");
    let entry = &lines[2];
    assert_eq!(
        (&entry["key"], &entry["total_id"]),
        (&"key-1".into(), &1.into())
    );
    assert_eq!(
        (&lines[5]["state"], &lines[5]["n"]),
        (&"held".into(), &4.into())
    );
}

#[tokio::test]
async fn files_that_are_not_ledgers_are_reported_as_such() {
    let place = Place::offline();
    let status = |path: &str| place.tier(&["ledger", "status", "--ledger", path]).fault();
    let missing = status("nowhere.db").await;
    assert!(
        missing.contains("there is no file nowhere.db (ledger_unavailable)"),
        "{missing}"
    );
    assert!(!place.path().join("nowhere.db").exists());
    place.write(
        "text",
        &"no database, and longer than a header ".repeat(100),
    );
    place.write("empty", "");
    for path in ["text", "empty", "."] {
        let other = status(path).await;
        assert!(
            other.contains(&format!("{path} is not a ledger")),
            "{other}"
        );
    }
    let written = Written::open(&place, "acct_1:test");
    some_usage(&written).await;
    written.close();
    let whole = std::fs::read(place.path().join("tier.db")).expect("a file");
    std::fs::write(place.path().join("cut.db"), &whole[..8_192]).expect("a file");
    let cut = status("cut.db").await;
    assert!(cut.contains("cut.db: the ledger is damaged"), "{cut}");
    let raw = rusqlite::Connection::open(place.path().join("tier.db")).expect("a file");
    raw.pragma_update(None, "user_version", 99)
        .expect("a version");
    drop(raw);
    let newer = status("tier.db").await;
    assert!(newer.contains("the ledger has version 99"), "{newer}");
    let unnamed = place.tier(&["ledger", "status"]).misused().await;
    assert!(unnamed.contains("TIER_LEDGER"), "{unnamed}");
}

#[tokio::test]
async fn with_a_ledger_only_its_server_writes() {
    let place = Place::pushed().await;
    let with_ledger = |args: &[&str]| place.tier(args).env("TIER_LEDGER", "tier.db");
    for args in [
        &["push", "pricing.json"][..],
        &["subscribe", "org:acme", "plan:free@1"],
        &["subscribe", "--cancel", "org:acme"],
        &["report", "org:acme", "feature:convert", "1"],
        &["fetch", "-d", "{}", "/v1/subscribe"],
        &["--json", "report", "org:acme", "feature:convert", "1"],
    ] {
        let refused = with_ledger(args).misused().await;
        assert!(refused.contains("TIER_BASE_URL"), "{args:?}: {refused}");
    }
    let stripe = shop::client(place.sandbox(), KEY, 0);
    let found = get(&stripe, "/v1/customers").await;
    assert_eq!(found["data"], serde_json::json!([]), "nothing was written");
    for args in [&["ls"][..], &["pull"], &["whoami"]] {
        with_ledger(args).ok().await;
    }
}

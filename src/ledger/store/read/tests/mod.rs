//! Reads of every store. `tests/postgres/run` also runs them with PostgreSQL.

mod test_ledger;
mod usage;

use test_ledger::{TestLedger, on_each_store};

use super::*;
use crate::ledger::state::{Answer, Change, Event, Key, Outcome, Report, Reserve, Seal};
use crate::ledger::values::{Aggregate, Period, PlanNumber, Target};

const ACCOUNT: &str = "acct_1:test";
const START: Time = Time::from_seconds(1_700_006_400);
const DAY: i64 = 86_400_000;
const HOUR: i64 = DAY / 24;

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

fn report(target: Target, n: i64, key: Option<&str>) -> Event {
    Event::Report(Report {
        target,
        change: Change::Add(n),
        at: None,
        recorded: 0,
        key: key.map(|text| Key {
            text: text.into(),
            body: [7; 16],
        }),
    })
}

fn reserve(org: &str, id: &str) -> Event {
    Event::Reserve(Reserve {
        id: id.into(),
        target: target(org),
        n: 5,
        ttl: DAY,
        on_test_clock: false,
        limit: None,
        commit: false,
    })
}

/// Lets Stripe answer the first set of an org's only total.
fn answer(ledger: &mut TestLedger, org: &str, outcome: Outcome) {
    let totals = ledger.reader().totals().expect("a store");
    let total = totals
        .iter()
        .find(|total| total.org.as_str() == org)
        .expect("a total")
        .id;
    let summary = Event::Summary {
        total,
        number: 0,
        value: 0,
    };
    let seal = Event::Seal(Seal {
        date: ledger.now,
        deliver_after: 0,
        org: Some(org.into()),
        max: 10,
    });
    let answered = Event::Answered {
        total,
        number: 1,
        outcome,
    };
    for event in [summary, seal, answered] {
        ledger.submit(event);
    }
}

fn problems(reader: &Reader) -> Vec<Problem> {
    let mut problems = Vec::new();
    reader.verify(|one| problems.push(one)).expect("a store");
    problems
}

#[test]
fn the_status_counts_undelivered_totals() {
    on_each_store(|mut ledger| {
        let reader = ledger.reader();
        let status = || {
            let mut status = reader.status().expect("a store");
            let oldest = status.oldest_undelivered.take();
            (status, oldest.and_then(|total| total.delivery.changed))
        };
        let empty = Status {
            account: ACCOUNT.to_owned(),
            entries: 0,
            totals: 0,
            undelivered: 0,
            oldest_undelivered: None,
            parked: 0,
            parked_units: 0,
            reservations: 0,
        };
        assert_eq!(status(), (empty.clone(), None));
        let first = ledger.now;
        ledger.submit(report(target("a"), 4, None));
        ledger.now = first.plus(1_000);
        ledger.submit(report(target("a"), 3, None));
        ledger.submit(report(target("b"), 1, None));
        let two = Status {
            entries: 3,
            totals: 2,
            undelivered: 2,
            ..empty
        };
        assert_eq!(status(), (two.clone(), Some(first)));
        let refused = Outcome::Refused {
            reason: "gone".into(),
            next: None,
        };
        answer(&mut ledger, "a", refused);
        let parked = Status {
            undelivered: 1,
            parked: 1,
            parked_units: 7,
            ..two
        };
        assert_eq!(status(), (parked, Some(first.plus(1_000))));
        let listed = reader.parked().expect("a store");
        let reason = listed[0].parked.as_ref().map(|parked| &*parked.reason);
        assert_eq!((listed.len(), reason), (1, Some("gone")));
    });
}

#[test]
fn entries_are_filtered_by_org_feature_and_time() {
    on_each_store(|mut ledger| {
        for (org, n) in [("a", 1), ("b", 2), ("a", 3), ("a", 4)] {
            ledger.submit(report(target(org), n, None));
            ledger.now = ledger.now.plus(HOUR);
        }
        let first = START.plus(DAY / 2);
        let reader = ledger.reader();
        let found = |filter: &Filter, max| -> Vec<i64> {
            let found = reader.entries(filter, max).expect("a store");
            assert!(found.iter().all(|(entry, total)| entry.total == total.id));
            found.iter().map(|(entry, _)| entry.n).collect()
        };
        let all = Filter::default();
        assert_eq!(found(&all, 100), [4, 3, 2, 1]);
        assert_eq!(found(&all, 2), [4, 3]);
        let of_a = Filter {
            org: Some("a".into()),
            ..all.clone()
        };
        assert_eq!(found(&of_a, 100), [4, 3, 1]);
        let some = Filter {
            from: Some(first.plus(HOUR)),
            to: Some(first.plus(3 * HOUR)),
            ..of_a
        };
        assert_eq!(found(&some, 100), [3]);
        let other = Filter {
            feature: Some("feature:g".into()),
            ..all
        };
        assert_eq!(found(&other, 100), [0; 0]);
    });
}

#[test]
fn an_export_reads_a_snapshot_taken_at_its_start() {
    on_each_store(|mut ledger| {
        for n in 1..=2 {
            ledger.submit(report(target("a"), n, Some(&format!("key-{n}"))));
        }
        ledger.submit(reserve("a", "rsv_1"));
        let reader = ledger.reader();
        let mut found = Vec::new();
        let exported: Result<(), StoreError> = reader.export(|record| {
            if found.is_empty() {
                ledger.submit(report(target("a"), 4, None));
            }
            found.push(record);
            Ok(())
        });
        exported.expect("a store");
        let kinds: Vec<_> = found
            .iter()
            .map(|record| match record {
                Exported::Total(total) => ("total", total.n),
                Exported::Day { n, .. } => ("day", *n),
                Exported::Entry(entry) => ("entry", entry.n),
                Exported::Reservation(one) => ("reservation", one.n),
            })
            .collect();
        let expected = [("total", 3), ("entry", 1), ("entry", 2), ("reservation", 5)];
        assert_eq!(kinds, expected);
        assert_eq!(reader.status().expect("a store").entries, 3);
    });
}

#[test]
fn an_export_stops_at_an_error_and_the_reader_stays_usable() {
    on_each_store(|mut ledger| {
        for n in 1..=200 {
            ledger.submit(report(target(&format!("org-{n}")), n, None));
        }
        let reader = ledger.reader();
        let mut count = 0;
        let exported: Result<(), StoreError> = reader.export(|_| {
            count += 1;
            if count == 3 {
                return Err(StoreError::Full);
            }
            Ok(())
        });
        assert!(matches!(exported, Err(StoreError::Full)), "{exported:?}");
        assert_eq!((count, reader.totals().expect("a store").len()), (3, 200));
    });
}

/// Writes during `verify` cause no false problems.
#[test]
fn verify_reads_a_snapshot_of_a_ledger_in_use() {
    on_each_store(|mut ledger| {
        for org in ["a", "b"] {
            ledger.submit(report(target(org), 1, None));
        }
        ledger.execute("UPDATE entries SET after_n = 2 WHERE id = (SELECT min(id) FROM entries)");
        let reader = ledger.reader();
        let first = reader.totals().expect("a store")[0].id;
        let mut problems = Vec::new();
        reader
            .verify(|problem| {
                // The second total's entries are read after this.
                ledger.submit(report(target("b"), 1, None));
                problems.push(problem);
            })
            .expect("a store");
        assert!(problems.iter().all(|one| one.total == Some(first)));
        assert!(!problems.is_empty());
    });
}

#[test]
fn verify_reports_every_problem() {
    on_each_store(|mut ledger| {
        for org in ["a", "b", "c"] {
            ledger.submit(report(target(org), 1, None));
        }
        ledger.submit(reserve("d", "rsv_1"));
        let reader = ledger.reader();
        assert_eq!(problems(&reader), []);
        let ids = reader.totals().expect("a store");
        let [first, second, third] = [ids[0].id.0, ids[1].id.0, ids[2].id.0];
        let entries = reader.entries(&Filter::default(), 9).expect("a store");
        let entry = entries[1].0.id.0;
        ledger.execute(&format!("UPDATE totals SET n = 9 WHERE id = {first}"));
        ledger.execute(&format!("UPDATE entries SET n = 9 WHERE total = {second}"));
        ledger.execute(&format!("DELETE FROM totals WHERE id = {third}"));
        ledger.execute("INSERT INTO daily_totals (total, day, n) VALUES (7, 0, 1)");
        ledger.execute("UPDATE reservations SET n = 6");
        let found = problems(&reader);
        let texts: Vec<&str> = found.iter().map(|one| one.what.as_str()).collect();
        let expected = [
            &format!("the row Some(Integer({first})) is not as it was written"),
            &format!("the row Some(Integer({entry})) is not as it was written"),
            "the total is 1, its entries come to 0",
            "the row Some(Text(\"rsv_1\")) is not as it was written",
            "1 entries have no total",
            "1 daily totals have no total",
        ];
        assert_eq!(texts, expected);
    });
}

/// The ledger has more totals than `verify` reads at once.
#[test]
fn verify_reads_all_totals() {
    on_each_store(|mut ledger| {
        let reports = (0..203).map(|n| report(target(&format!("org-{n}")), 1, None));
        ledger.submit_all(reports.collect());
        let reader = ledger.reader();
        assert_eq!(problems(&reader), []);
        ledger.execute("UPDATE totals SET n = 9 WHERE id = (SELECT max(id) FROM totals)");
        assert_eq!(problems(&reader).len(), 1);
    });
}

#[test]
fn the_newest_snapshot_of_an_org_is_read() {
    on_each_store(|mut ledger| {
        let snapshot = |second: i64| Snapshot {
            org: "a".into(),
            read_at: START.plus(second * 1_000),
            text: format!("{{\"second\":{second}}}"),
        };
        for second in [5, 7] {
            ledger.keep(&snapshot(second));
        }
        let reader = ledger.reader();
        let found = |org: &str| reader.snapshot(&org.into()).expect("a store");
        assert_eq!(found("a"), Some(snapshot(7)));
        assert_eq!(found("b"), None);
    });
}

#[test]
fn delivered_totals_of_ended_periods_are_listed_until_they_are_settled() {
    on_each_store(|mut ledger| {
        for org in ["a", "b"] {
            ledger.submit(report(target(org), 3, None));
        }
        answer(&mut ledger, "a", Outcome::Done);
        let reader = ledger.reader();
        let end = START.plus(30 * DAY);
        let unsettled = |before| reader.unsettled(before, 10).expect("a store");
        assert_eq!(unsettled(end), []);
        let due = unsettled(end.plus(1));
        assert_eq!((due.len(), due[0].org.as_str()), (1, "a"));
        assert_eq!(reader.delivered().expect("a store"), due);
        ledger.now = end.plus(DAY);
        let settle = Event::Settle {
            total: due[0].id,
            billed: 2,
            is_final: true,
        };
        let expected = Answer::Settled {
            expected: 3,
            billed: 2,
        };
        assert_eq!(ledger.submit(settle), expected);
        assert_eq!(unsettled(end.plus(1)), []);
        let different = reader.billed_differently().expect("a store");
        assert_eq!((different.len(), different[0].settled), (1, Some(2)));
    });
}

//! Reads.

use super::*;

const HOUR: i64 = DAY / 24;

fn of(org: &str) -> (crate::ledger::values::Org, crate::ledger::values::Feature) {
    (org.into(), "feature:f".into())
}

#[test]
fn the_status_counts_undelivered_totals() {
    let (_folder, path) = folder();
    let mut ledger = Ledger::open(&path);
    let reader = Reader::open(&path).expect("a ledger");
    let status = || {
        let mut status = reader.status().expect("a file");
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
    ledger.report("a", 4, None).expect("room");
    ledger.now = first.plus(1_000);
    ledger.report("a", 3, None).expect("room");
    ledger.report("b", 1, None).expect("room");
    let two = Status {
        entries: 3,
        totals: 2,
        undelivered: 2,
        ..empty
    };
    assert_eq!(status(), (two.clone(), Some(first)));
    refuse(&mut ledger, TotalId(1));
    let parked = Status {
        undelivered: 1,
        parked: 1,
        parked_units: 7,
        ..two
    };
    assert_eq!(status(), (parked, Some(first.plus(1_000))));
    let listed = reader.parked().expect("a file");
    let reason = listed[0].parked.as_ref().map(|parked| &*parked.reason);
    assert_eq!((listed.len(), reason), (1, Some("gone")));
}

/// Makes Stripe refuse the delivery of a total.
fn refuse(ledger: &mut Ledger, total: TotalId) {
    use crate::ledger::state::{Outcome, Seal};
    let summary = Event::Summary {
        total,
        number: 0,
        value: 0,
    };
    let seal = Event::Seal(Seal {
        date: ledger.now,
        deliver_after: 0,
        org: Some("a".into()),
        most: 10,
    });
    let answered = Event::Answered {
        total,
        number: 1,
        outcome: Outcome::Refused {
            reason: "gone".into(),
            next: None,
        },
    };
    for event in [summary, seal, answered] {
        ledger.submit(&event).expect("room").expect("a delivery");
    }
}

#[test]
fn entries_are_filtered_by_org_feature_and_time() {
    let (_folder, path) = folder();
    let mut ledger = Ledger::open(&path);
    for (org, n) in [("a", 1), ("b", 2), ("a", 3), ("a", 4)] {
        ledger.report(org, n, None).expect("room");
        ledger.now = ledger.now.plus(HOUR);
    }
    let first = START.plus(DAY / 2);
    let reader = Reader::open(&path).expect("a ledger");
    let found = |filter: &Filter, most| -> Vec<i64> {
        let found = reader.entries(filter, most).expect("a file");
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
}

#[test]
fn an_export_reads_a_snapshot_taken_at_its_start() {
    let (_folder, path) = folder();
    let mut ledger = Ledger::open(&path);
    ledger.report_each("a", 1..=2);
    ledger.reserve("a", "rsv_1");
    let reader = Reader::open(&path).expect("a ledger");
    let mut found = Vec::new();
    let exported: Result<(), StoreError> = reader.export(|record| {
        if found.is_empty() {
            ledger.report("a", 4, None)?;
        }
        found.push(record);
        Ok(())
    });
    exported.expect("a file");
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
    assert_eq!(entries(&reader), 3);
}

/// Writes during `verify` cause no false problems.
#[test]
fn verify_reads_a_snapshot_of_a_ledger_in_use() {
    let (_folder, path) = folder();
    let mut ledger = Ledger::open(&path);
    for org in ["a", "b"] {
        ledger.report(org, 1, None).expect("room");
    }
    let raw = Connection::open(&path).expect("a file");
    raw.execute("UPDATE entries SET after_n = 2 WHERE id = 1", [])
        .expect("room");
    let reader = Reader::open(&path).expect("a ledger");
    let mut problems = Vec::new();
    reader
        .verify(|problem| {
            // The second total and its entry are read after this.
            ledger.report("b", 1, None).expect("room");
            problems.push(problem);
        })
        .expect("a file");
    assert!(problems.iter().all(|one| one.total == Some(TotalId(1))));
    assert!(!problems.is_empty());
}

#[test]
fn verify_reports_every_problem() {
    let (_folder, path) = folder();
    let mut ledger = Ledger::open(&path);
    for org in ["a", "b", "c"] {
        ledger.report(org, 1, None).expect("room");
    }
    drop(ledger);
    let raw = Connection::open(&path).expect("a file");
    raw.execute_batch(
        "PRAGMA foreign_keys = OFF;
         UPDATE totals SET n = 9 WHERE id = 1;
         UPDATE entries SET n = 9 WHERE id = 2;
         DELETE FROM totals WHERE id = 3;
         INSERT INTO daily_totals (total, day, n) VALUES (7, 0, 1)",
    )
    .expect("room");
    let reader = Reader::open(&path).expect("a ledger");
    let found = problems(&reader);
    let texts: Vec<&str> = found.iter().map(|one| one.what.as_str()).collect();
    let expected = [
        "the row Some(Integer(1)) is not as it was written",
        "the row Some(Integer(2)) is not as it was written",
        "the total is 1, its entries come to 0",
        "1 entries have no total",
        "1 daily totals have no total",
    ];
    assert_eq!(texts, expected);
}

#[test]
fn a_span_ends_with_its_period() {
    let (_folder, path) = folder();
    let mut ledger = Ledger::open(&path);
    let second = Period {
        start: START.plus(3 * DAY + HOUR / 2),
        end: START.plus(6 * DAY),
    };
    let first = Period {
        start: START,
        end: second.start,
    };
    for (period, at, n) in [
        (first, first.end.plus(-1), 5),
        (second, second.start, 7),
        (second, second.start.plus(HOUR), 1),
    ] {
        ledger.now = at;
        let event = Event::Report(Report {
            target: Target {
                period,
                ..target("a")
            },
            change: Change::Add(n),
            at: None,
            recorded: 0,
            key: None,
        });
        ledger.submit(&event).expect("room").expect("accepted");
    }
    let reader = Reader::open(&path).expect("a ledger");
    let (org, feature) = of("a");
    let usage = |span| {
        let all = (START, second.end);
        let usage = reader.usage(&org, &feature, span, all).expect("a file");
        let spans = usage.iter().map(|one| {
            (
                one.from.plus(-START.millis()).millis(),
                one.to.plus(-START.millis()).millis(),
                one.n,
                one.total,
            )
        });
        spans.collect::<Vec<_>>()
    };
    let boundary = 3 * DAY + HOUR / 2;
    let hours = [
        (3 * DAY, boundary, 5, 5),
        (boundary, 3 * DAY + HOUR, 7, 7),
        (3 * DAY + HOUR, 3 * DAY + 2 * HOUR, 1, 8),
    ];
    assert_eq!(usage(Span::Hour), hours);
    let days = [(3 * DAY, boundary, 5, 5), (boundary, 4 * DAY, 8, 8)];
    assert_eq!(usage(Span::Day), days);
    let periods = [(0, boundary, 5, 5), (boundary, 6 * DAY, 8, 8)];
    assert_eq!(usage(Span::Period), periods);
}

#[test]
fn a_reader_refuses_a_file_that_is_not_a_ledger() {
    let (folder, path) = folder();
    let error = |path: &Path| Reader::open(path).expect_err("no ledger");
    assert!(matches!(error(&path), StoreError::File(_)));
    assert!(matches!(error(folder.path()), StoreError::NotALedger));
    std::fs::write(&path, "").expect("a file");
    assert!(matches!(error(&path), StoreError::NotALedger));
    assert_eq!(
        std::fs::read(&path).expect("a file"),
        b"",
        "it is only read"
    );
}

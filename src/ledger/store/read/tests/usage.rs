//! Usage over time.

use super::*;

/// The usage of a feature of org `a`, with times after the start.
fn usage(reader: &Reader, span: Span, end: Time) -> Vec<(i64, i64, i64, i64)> {
    let (org, feature) = ("a".into(), "feature:f".into());
    let usage = reader.usage(&org, &feature, span, (START, end));
    let since_start = |time: Time| time.millis() - START.millis();
    let spans = usage.expect("a store").into_iter();
    spans
        .map(|one| (since_start(one.from), since_start(one.to), one.n, one.total))
        .collect()
}

#[test]
fn a_span_ends_with_its_period() {
    on_each_store(|mut ledger| {
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
            let target = Target {
                period,
                ..target("a")
            };
            ledger.submit(report(target, n, None));
        }
        ledger.submit(report(target("b"), 100, None));
        let reader = ledger.reader();
        let usage = |span| usage(&reader, span, second.end);
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
    });
}

#[test]
fn entries_of_settled_periods_are_compacted_into_daily_totals() {
    on_each_store(|mut ledger| {
        for _ in 0..3 {
            for n in [5, 7, -2] {
                let key = format!("{}", ledger.now.millis() + n);
                ledger.submit(report(target("a"), n, Some(&key)));
            }
            ledger.now = ledger.now.plus(DAY);
        }
        let reader = ledger.reader();
        let days = |length: Span| usage(&reader, length, START.plus(40 * DAY));
        let day = |day: i64| (day * DAY, (day + 1) * DAY, 10, (day + 1) * 10);
        assert_eq!(days(Span::Day), [day(0), day(1), day(2)]);
        assert_eq!(days(Span::Hour).len(), 3);
        assert_eq!(days(Span::Period), [(0, 30 * DAY, 30, 30)]);

        let later = START.plus(500 * DAY);
        assert_eq!(ledger.compact(later), 0, "not settled");
        answer(&mut ledger, "a", Outcome::Done);
        ledger.now = START.plus(31 * DAY);
        let total = reader.totals().expect("a store")[0].id;
        ledger.submit(Event::Settle {
            total,
            billed: 30,
            is_final: true,
        });
        assert_eq!(ledger.compact(START), 0, "too young");
        assert_eq!(ledger.compact(later), 1);
        assert_eq!(ledger.compact(later), 0);
        assert_eq!(reader.status().expect("a store").entries, 0);
        assert_eq!(days(Span::Day), [day(0), day(1), day(2)]);
        assert_eq!(days(Span::Hour), [day(0), day(1), day(2)]);
        assert_eq!(problems(&reader), []);
        assert_eq!(reader.totals().expect("a store")[0].n, 30);
    });
}

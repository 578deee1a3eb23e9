//! What the ledger keeps for a long time: snapshots of orgs, and daily totals that replace old entries.

use futures::future::join_all;
use tier::ledger::Snapshot;
use tier::ledger::state::{Answer, Outcome, Seal};

use super::*;

const MONTH: i64 = 31 * DAY;

pub(super) async fn submit(ledger: &Ledger, event: Event, now: Time) -> Answer {
    let answers = ledger
        .submit(vec![event], fixed(now))
        .await
        .expect("a server");
    answers[0].clone().expect("an answer")
}

/// Delivers usage that Stripe accepts at once.
pub(super) async fn deliver(ledger: &Ledger, now: Time) {
    for round in 0..2 {
        let seal = Event::Seal(Seal {
            date: now,
            deliver_after: 0,
            org: Some("org:a".into()),
            max: 100,
        });
        let Answer::Sealed(sealed) = submit(ledger, seal, now).await else {
            panic!("a seal");
        };
        assert_eq!(sealed.summaries.len() + sealed.sets.len(), 1, "{round}");
        for read in sealed.summaries {
            let summary = Event::Summary {
                total: read.total,
                number: read.number,
                value: 0,
            };
            submit(ledger, summary, now).await;
        }
        for set in sealed.sets {
            let answered = Event::Answered {
                total: set.total,
                number: set.number,
                outcome: Outcome::Done,
            };
            submit(ledger, answered, now).await;
            let settle = Event::Settle {
                total: set.total,
                billed: set.quantity,
                is_final: true,
            };
            submit(ledger, settle, START.plus(MONTH)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_entries_become_daily_totals_once() {
    let schema = schema();
    let ledgers = processes(schema.url(), 3);
    for (day, n) in [(1, 5), (1, -2), (3, 4)] {
        let event = report("org:a", n, Some(&format!("{day}{n}")));
        submit(&ledgers[0], event, START.plus(day * DAY)).await;
    }
    deliver(&ledgers[1], START.plus(4 * DAY)).await;
    submit(&ledgers[0], report("org:b", 9, None), now()).await;
    let early = ledgers[0].compact(START.plus(MONTH - 2 * DAY), 10).await;
    assert_eq!(early.expect("a server"), 0);
    let compacted = ledgers
        .iter()
        .map(|ledger| ledger.compact(START.plus(2 * MONTH), 10));
    let compacted = join_all(compacted).await.into_iter();
    let compacted: usize = compacted.map(|done| done.expect("a server")).sum();
    assert_eq!(compacted, 1);
    let days = schema.query("SELECT day, n FROM daily_totals ORDER BY day", &[]);
    let days: Vec<(i64, i64)> = days.iter().map(|row| (row.get(0), row.get(1))).collect();
    let at = |day: i64| START.plus(day * DAY).millis() / DAY * DAY;
    assert_eq!(days, [(at(1), 3), (at(3), 4)]);
    assert_eq!(schema.number("SELECT count(*) FROM entries"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_snapshot_of_an_org_is_kept() {
    let schema = schema();
    let ledgers = processes(schema.url(), 2);
    let snapshot = |second: i64| Snapshot {
        org: "org:a".into(),
        read_at: START.plus(second * SECOND),
        text: second.to_string(),
    };
    for (process, second) in [(0, 5), (1, 7), (0, 6)] {
        ledgers[process].keep(snapshot(second));
        // The queue is in order, so the snapshot is stored once this is answered.
        ledgers[process].sync().await.expect("a server");
    }
    let kept = schema.query("SELECT snapshot FROM snapshots", &[]);
    let kept: Vec<String> = kept.iter().map(|row| row.get(0)).collect();
    assert_eq!(kept, ["7"]);
}

//! A total never has more than one open set, whichever process sends it.

use std::collections::BTreeSet;

use futures::future::join_all;
use tier::ledger::state::{Answer, Outcome, Seal, Sealed, Set};

use super::*;

const LEASE: i64 = 20 * SECOND;

async fn seal(ledger: &Ledger, now: Time) -> Sealed {
    ledger.sync().await.expect("a server");
    let seal = Event::Seal(Seal {
        date: now,
        deliver_after: 0,
        org: None,
        max: 1_000,
    });
    let answers = ledger
        .submit(vec![seal], fixed(now))
        .await
        .expect("a server");
    match answers.into_iter().next() {
        Some(Ok(Answer::Sealed(sealed))) => sealed,
        other => panic!("{other:?}"),
    }
}

async fn seal_at_all(ledgers: &[Ledger], now: Time) -> Sealed {
    let mut all = Sealed::default();
    for sealed in join_all(ledgers.iter().map(|ledger| seal(ledger, now))).await {
        all.sets.extend(sealed.sets);
        all.summaries.extend(sealed.summaries);
    }
    all
}

async fn answer(ledger: &Ledger, set: &Set, now: Time) -> Answer {
    let answered = Event::Answered {
        total: set.total,
        number: set.number,
        outcome: Outcome::Done,
    };
    let answers = ledger
        .submit(vec![answered], fixed(now))
        .await
        .expect("a server");
    answers[0].clone().expect("an answer")
}

/// Reports usage of many orgs whose summaries have been read.
async fn with_usage(ledgers: &[Ledger], orgs: usize) {
    for org in 0..orgs {
        let event = report(&format!("org:{org}"), 5, None);
        ledgers[org % ledgers.len()]
            .submit(vec![event], fixed(now()))
            .await
            .expect("a server");
    }
    let read = seal_at_all(ledgers, now()).await.summaries;
    assert_eq!(read.len(), orgs, "each org is read once");
    for (number, read) in read.into_iter().enumerate() {
        let summary = Event::Summary {
            total: read.total,
            number: read.number,
            value: 0,
        };
        let ledger = &ledgers[number % ledgers.len()];
        ledger
            .submit(vec![summary], fixed(now()))
            .await
            .expect("a server");
    }
}

fn keys(sets: &[Set]) -> BTreeSet<&str> {
    sets.iter().map(|set| set.key.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_set_is_handed_out_once_and_again_after_the_lease() {
    let schema = schema();
    let ledgers = processes(schema.url(), 4);
    with_usage(&ledgers, 30).await;
    let later = now().plus(LEASE);
    let first = seal_at_all(&ledgers, later).await.sets;
    assert_eq!((first.len(), keys(&first).len()), (30, 30));
    // Newer usage is not sent while the sets are open.
    for org in 0..30 {
        let event = report(&format!("org:{org}"), 1, None);
        ledgers[org % 4]
            .submit(vec![event], fixed(later))
            .await
            .expect("a server");
    }
    assert_eq!(seal_at_all(&ledgers, later.plus(LEASE - 1)).await.sets, []);
    // The process that handed out the sets is gone. The other processes repeat the stored sets, byte for byte.
    let survivors = &ledgers[1..];
    let again = later.plus(LEASE);
    let mut second = seal_at_all(survivors, again).await.sets;
    second.sort_by_key(|set| set.total);
    let mut first = first;
    first.sort_by_key(|set| set.total);
    assert_eq!(first, second);
    // Another process answers each set. Only after that, the next set of the total is made.
    for (number, set) in second.iter().enumerate() {
        let ledger = &ledgers[number % 4];
        assert_eq!(answer(ledger, set, again).await, Answer::Done);
        assert_eq!(answer(&ledgers[0], set, again).await, Answer::Ignored);
    }
    let third = seal_at_all(&ledgers, again.plus(LEASE)).await.sets;
    assert_eq!(third.len(), 30);
    assert!(third.iter().all(|set| set.number == 2 && set.quantity == 6));
    assert_eq!(
        schema.number("SELECT count(*) FROM totals WHERE open_n IS NOT NULL"),
        30
    );
}

/// One process's clock is five minutes ahead. This process may repeat a set too early, but never makes a newer set.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_does_not_make_a_second_open_set() {
    let schema = schema();
    let ledgers = processes(schema.url(), 2);
    with_usage(&ledgers, 5).await;
    let later = now().plus(LEASE);
    let first = seal(&ledgers[0], later).await.sets;
    assert_eq!(first.len(), 5);
    for org in 0..5 {
        let event = report(&format!("org:{org}"), 1, None);
        ledgers[1]
            .submit(vec![event], fixed(later))
            .await
            .expect("a server");
    }
    let ahead = seal(&ledgers[1], later.plus(300 * SECOND)).await.sets;
    assert_eq!(keys(&first), keys(&ahead));
    assert!(ahead.iter().all(|set| set.quantity == 5));
}

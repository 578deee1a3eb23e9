//! Reservations never exceed the limit, however many processes grant them.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use tier::ledger::state::{Answer, Reserve};

use super::*;

const LIMIT: i64 = 500;

fn reserve(id: &str, n: i64, ttl: i64) -> Event {
    Event::Reserve(Reserve {
        id: id.into(),
        target: target("org:a"),
        n,
        ttl,
        on_test_clock: false,
        limit: Some(LIMIT),
        commit: false,
    })
}

async fn submit(ledger: &Ledger, event: Event, now: Time) -> Result<Answer, String> {
    let answers = ledger
        .submit(vec![event], fixed(now))
        .await
        .expect("a server");
    answers[0].clone().map_err(|refusal| refusal.to_string())
}

async fn is_granted(ledger: &Ledger, event: Event, now: Time) -> bool {
    let answer = submit(ledger, event, now).await.expect("an answer");
    matches!(
        answer,
        Answer::Reserved {
            expires: Some(_),
            ..
        }
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_reservations_of_75_against_500_grant_six() {
    for count in [2, 4, 8] {
        let schema = schema();
        let ledgers = processes(schema.url(), count);
        let all = (0..20).map(|number| {
            let ledger = &ledgers[number % count];
            let event = reserve(&format!("rsv_{number}"), 75, DAY);
            is_granted(ledger, event, now())
        });
        let granted = join_all(all).await.into_iter().filter(|granted| *granted);
        assert_eq!(granted.count(), 6, "with {count} processes");
    }
}

/// Many callers reserve, commit, release and let reservations expire at all processes. The clock of one process is five
/// minutes ahead.
#[tokio::test(flavor = "multi_thread")]
async fn granted_is_committed_released_expired_and_held() {
    for count in [2, 4, 8] {
        let schema = schema();
        let ledgers = processes(schema.url(), count);
        let granted = AtomicUsize::new(0);
        let callers = (0..16).map(|caller| {
            let (ledgers, granted) = (&ledgers, &granted);
            async move {
                for step in 0..12 {
                    let number = caller * 12 + step;
                    let at = |which: usize| {
                        let process = (number + which) % count;
                        let ahead = if process == 0 { 300 * SECOND } else { 0 };
                        let now = now().plus(i64::try_from(step).expect("few") * 20 * SECOND);
                        (&ledgers[process], now.plus(ahead))
                    };
                    let id = format!("rsv_{number}");
                    let (ledger, now) = at(0);
                    if !is_granted(ledger, reserve(&id, 60, 90 * SECOND), now).await {
                        continue;
                    }
                    granted.fetch_add(60, Ordering::Relaxed);
                    let (ledger, now) = at(1);
                    let end = match number % 4 {
                        0 => Event::Commit {
                            id: id.as_str().into(),
                            n: Some(2),
                            target: target("org:a"),
                        },
                        1 => Event::Release(id.as_str().into()),
                        2 => Event::Expire,
                        _ => continue,
                    };
                    // Another process may have let the reservation expire.
                    let _ = submit(ledger, end, now).await;
                }
            }
        });
        join_all(callers).await;
        let sum = |state: &str| {
            let sql = format!(
                "SELECT coalesce(sum(n), 0)::bigint FROM reservations WHERE state = '{state}'"
            );
            schema.number(&sql)
        };
        let ends = [
            sum("committed"),
            sum("released"),
            sum("expired"),
            sum("held"),
        ];
        let all = i64::try_from(granted.into_inner()).expect("few");
        assert_eq!(ends.iter().sum::<i64>(), all, "{ends:?}");
        assert!(ends.iter().filter(|n| **n > 0).count() >= 3, "{ends:?}");
        let committed = schema.number(
            "SELECT coalesce(sum(committed), 0)::bigint FROM reservations WHERE state = 'committed'",
        );
        assert_eq!(stored(&schema), committed);
        assert!(committed + sum("held") <= LIMIT);
        println!("{count} processes: {all} granted = {ends:?} committed, released, expired, held");
    }
}

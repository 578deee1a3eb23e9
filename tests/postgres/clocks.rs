//! Processes whose clocks are wrong. The clock of the database decides.

use std::time::Duration;

use tier::ledger::Notice;
use tier::ledger::state::{Answer, Outcome, Refusal, Reserve, Seal, Sealed};

use super::*;

const MINUTE: i64 = 60 * SECOND;

/// The time on the clock of a process that is five minutes ahead.
fn ahead(time: Time) -> Now {
    Now::Process(time.plus(5 * MINUTE))
}

/// The time on the clock of a process that is five minutes behind.
fn behind(time: Time) -> Now {
    Now::Process(time.plus(-5 * MINUTE))
}

/// Sets the clock of the database. The processes have read it when this returns.
async fn set_clock(schema: &Schema, ledgers: &[Ledger], time: Time) {
    schema.execute(&format!(
        "CREATE OR REPLACE FUNCTION ledger_now() RETURNS BIGINT LANGUAGE SQL VOLATILE \
         AS 'SELECT {}::BIGINT'",
        time.millis()
    ));
    for ledger in ledgers {
        ledger.sync().await.expect("a server");
    }
}

async fn submit(ledger: &Ledger, event: Event, now: Now) -> Result<Answer, Refusal> {
    let answers = ledger.submit(vec![event], now).await.expect("a server");
    answers[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn reservations_end_by_the_clock_of_the_database() {
    let schema = schema();
    let ledgers = processes(schema.url(), 2);
    let [first, second] = [&ledgers[0], &ledgers[1]];
    set_clock(&schema, &ledgers, now()).await;
    let reserve = |id: &str| {
        Event::Reserve(Reserve {
            id: id.into(),
            target: target("org:a"),
            n: 75,
            ttl: MINUTE,
            on_test_clock: false,
            limit: Some(100),
            commit: false,
        })
    };
    let granted = |expires, used| Ok(Answer::Reserved { expires, used });
    let made = submit(first, reserve("rsv_1"), behind(now())).await;
    assert_eq!(made, granted(Some(now().plus(MINUTE)), 75));
    // A process that is ahead does not expire the reservation early, has no room for another reservation, and may
    // commit the first.
    let last = now().plus(MINUTE - 1);
    set_clock(&schema, &ledgers, last).await;
    let expired = submit(second, Event::Expire, ahead(last)).await;
    assert_eq!(expired, Ok(Answer::Expired(0)));
    let refused = submit(second, reserve("rsv_2"), ahead(last)).await;
    assert_eq!(refused, granted(None, 75));
    // A process that is behind expires the reservation in time.
    set_clock(&schema, &ledgers, now().plus(MINUTE)).await;
    let expired = submit(first, Event::Expire, behind(now())).await;
    assert_eq!(expired, Ok(Answer::Expired(1)));
    let late = Event::Commit {
        id: "rsv_1".into(),
        n: None,
        target: target("org:a"),
    };
    let late = submit(first, late, behind(now())).await;
    assert_eq!(late, Err(Refusal::ReservationEnded));
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_happens_at_the_time_of_the_database() {
    let schema = schema();
    let ledgers = processes(schema.url(), 2);
    set_clock(&schema, &ledgers, now()).await;
    for (ledger, now) in [(&ledgers[0], ahead(now())), (&ledgers[1], behind(now()))] {
        let accepted = submit(ledger, report("org:a", 1, None), now).await;
        accepted.expect("accepted");
    }
    let times = schema.query("SELECT DISTINCT at, accepted FROM entries", &[]);
    let times: Vec<(i64, i64)> = times.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(times, [(now().millis(), now().millis())]);
    // The period ends when the database's clock says so.
    let end = START.plus(30 * DAY);
    set_clock(&schema, &ledgers, end.plus(5 * MINUTE)).await;
    let late = submit(&ledgers[1], report("org:a", 1, None), behind(end)).await;
    assert_eq!(late, Err(Refusal::OutsidePeriod));
}

/// A failover may lead to a machine whose clock is behind.
#[tokio::test(flavor = "multi_thread")]
async fn changes_are_found_after_the_clock_was_set_back() {
    let schema = schema();
    let ledgers = processes(schema.url(), 2);
    let [first, second] = [&ledgers[0], &ledgers[1]];
    set_clock(&schema, &ledgers, now()).await;
    // The second process reads nothing in the meantime.
    set_clock(&schema, &ledgers[..1], now().plus(-10 * MINUTE)).await;
    let accepted = submit(first, report("org:a", 5, None), behind(now())).await;
    accepted.expect("accepted");
    assert_eq!(used(second, "org:a"), 0);
    second.sync().await.expect("a server");
    assert_eq!(used(second, "org:a"), 5);
}

/// A commit that waited for a standby becomes visible after other processes have read past its times.
#[tokio::test(flavor = "multi_thread")]
async fn changes_are_found_that_show_late() {
    let schema = schema();
    let (first, _writer) = process(schema.url());
    let url = schema.url().to_owned();
    let second = Ledger::start_with(move || {
        let database = Database::parse(&url)?.comparing_all_every(Duration::ZERO);
        Postgres::open(database, ACCOUNT)
    });
    let (second, _writer) = second.expect("a ledger");
    let ledgers = [first, second];
    set_clock(&schema, &ledgers, now()).await;
    set_clock(&schema, &[], now().plus(-10 * MINUTE)).await;
    let accepted = submit(&ledgers[0], report("org:a", 5, None), behind(now())).await;
    accepted.expect("accepted");
    let notice = Notice {
        id: "evt_1".to_owned(),
        text: "it has changed".to_owned(),
    };
    ledgers[0]
        .send_notice(notice.clone())
        .await
        .expect("a server");
    set_clock(&schema, &[], now()).await;
    let told = ledgers[1].sync().await.expect("a server");
    assert_eq!(used(&ledgers[1], "org:a"), 5);
    assert_eq!(told, [notice]);
    let told = ledgers[1].sync().await.expect("a server");
    assert_eq!(told, [], "once");
}

/// A process repeats a set once the set's sender is certainly gone by the database's clock, whatever the clocks of the
/// processes show.
#[tokio::test(flavor = "multi_thread")]
async fn a_set_is_repeated_by_the_clock_of_the_database() {
    let schema = schema();
    let ledgers = processes(schema.url(), 2);
    let [first, second] = [&ledgers[0], &ledgers[1]];
    set_clock(&schema, &ledgers, now()).await;
    let accepted = submit(first, report("org:a", 5, None), ahead(now())).await;
    accepted.expect("accepted");
    let sealed = seal(first, ahead(now()), now()).await;
    let read = &sealed.summaries[0];
    let summary = Event::Summary {
        total: read.total,
        number: read.number,
        value: 0,
    };
    submit(first, summary, behind(now())).await.expect("read");
    let sent = now().plus(20 * SECOND);
    set_clock(&schema, &ledgers, sent).await;
    let first_sets = seal(first, behind(sent), sent).await.sets;
    assert_eq!(first_sets.len(), 1);
    let before = sent.plus(20 * SECOND - 1);
    set_clock(&schema, &ledgers, before).await;
    assert_eq!(seal(second, ahead(before), before).await.sets, []);
    let after = sent.plus(20 * SECOND);
    set_clock(&schema, &ledgers, after).await;
    assert_eq!(seal(second, behind(after), after).await.sets, first_sets);
    let answered = Event::Answered {
        total: first_sets[0].total,
        number: first_sets[0].number,
        outcome: Outcome::Done,
    };
    assert_eq!(
        submit(second, answered, behind(after)).await,
        Ok(Answer::Done)
    );
}

/// `date` is Stripe's time.
async fn seal(ledger: &Ledger, now: Now, date: Time) -> Sealed {
    let seal = Event::Seal(Seal {
        date,
        deliver_after: 0,
        org: None,
        max: 10,
    });
    match submit(ledger, seal, now).await {
        Ok(Answer::Sealed(sealed)) => sealed,
        other => panic!("{other:?}"),
    }
}

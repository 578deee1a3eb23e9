//! A lease has one holder at a time, in whichever process. A successor replaces a holder that is gone.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tier::ledger::store::postgres::Leases;
use tokio::time::timeout;

use super::proxy::{Fate, Proxy};
use super::*;

/// A lease that lasts longer than any of these tests.
const LONG: Duration = Duration::from_secs(600);

/// Makes the tables, and the leases of `count` processes.
async fn leases(url: &str, count: usize, length: Duration) -> Vec<Leases> {
    let database = Database::parse(url).expect("a URL");
    let url = url.to_owned();
    let opened = tokio::task::spawn_blocking(move || process(&url)).await;
    drop(opened.expect("a ledger"));
    (0..count)
        .map(|_| Leases::new(database.clone(), length))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_holds_a_lease_at_a_time() {
    let schema = schema();
    let all = leases(schema.url(), 4, LONG).await;
    let (inside, entered) = (&AtomicI64::new(0), &AtomicI64::new(0));
    let callers = (0..40).map(|caller| {
        let leases = &all[caller % all.len()];
        async move {
            let name = format!("org:{}", caller % 2);
            let lease = leases.take(&name).await.expect("a server");
            assert!(lease.is_held());
            // Each name may have one holder.
            let mine = if caller % 2 == 0 { 1 } else { 1_000 };
            let others = inside.fetch_add(mine, Ordering::SeqCst);
            assert_eq!(others / mine % 1_000, 0, "{others}");
            tokio::task::yield_now().await;
            entered.fetch_add(1, Ordering::SeqCst);
            inside.fetch_sub(mine, Ordering::SeqCst);
        }
    });
    join_all(callers).await;
    assert_eq!(entered.load(Ordering::SeqCst), 40);
    let is_released = async || (schema.number("SELECT count(*) FROM leases") == 0).then_some(());
    testing::time::until("all are released", is_released).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_held_is_not_given_away_and_one_that_is_dropped_is() {
    let schema = schema();
    let all = leases(schema.url(), 2, LONG).await;
    let held = all[0].try_take("push").await.expect("a server");
    let held = held.expect("it is free");
    for leases in &all {
        let second = leases.try_take("push").await.expect("a server");
        assert!(second.is_none());
    }
    assert!(
        all[1]
            .try_take("migrate")
            .await
            .expect("a server")
            .is_some()
    );
    // A caller that stops waiting leaves nothing behind.
    let waiting = timeout(Duration::from_millis(50), all[1].take("push")).await;
    assert!(waiting.is_err());
    drop(held);
    all[1].take("push").await.expect("a server");
}

/// The holder disappears without releasing its lease. Its successor waits until the lease ends by the database's clock.
#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_has_died_is_replaced_when_its_lease_ends() {
    let schema = schema();
    let all = leases(schema.url(), 2, LONG).await;
    set_clock(&schema, 1_000_000);
    // A killed process leaves this row behind.
    schema.execute("INSERT INTO leases (name, holder, until) VALUES ('push', 'dead', 1600000)");
    set_clock(&schema, 1_599_999);
    assert!(all[0].try_take("push").await.expect("a server").is_none());
    set_clock(&schema, 1_600_000);
    let taken = all[0].try_take("push").await.expect("a server");
    assert!(taken.expect("it has ended").is_held());
}

fn set_clock(schema: &Schema, millis: i64) {
    schema.execute(&format!(
        "CREATE OR REPLACE FUNCTION ledger_now() RETURNS BIGINT LANGUAGE SQL VOLATILE \
         AS 'SELECT {millis}::BIGINT'"
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_extended_while_it_is_held() {
    let schema = schema();
    let all = leases(schema.url(), 2, Duration::from_millis(600)).await;
    let held = all[0].take("push").await.expect("a server");
    let until = || schema.number("SELECT until FROM leases");
    let first = until();
    let is_extended = async || (until() > first + 1_200).then_some(());
    testing::time::until("it is extended twice over", is_extended).await;
    assert!(all[1].try_take("push").await.expect("a server").is_none());
    assert!(held.is_held());
}

/// A holder that cannot reach the database stops before another one starts.
#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_is_cut_off_notices_it_before_its_successor_starts() {
    let schema = schema();
    let length = Duration::from_millis(900);
    let proxy = Proxy::start(schema.url(), |_| Fate::Passes).await;
    let others = leases(schema.url(), 1, length).await;
    let through = Leases::new(Database::parse(proxy.url()).expect("a URL"), length);
    let held = through.take("push").await.expect("a server");
    assert!(held.is_held());
    drop(proxy);
    let successor = others[0].take("push").await.expect("a server");
    assert!(!held.is_held() && successor.is_held());
    held.ended().await;
}

/// The holder's row is gone, as after a failover of a database that has lost it.
#[tokio::test(flavor = "multi_thread")]
async fn a_holder_notices_that_another_one_has_its_lease() {
    let schema = schema();
    let all = leases(schema.url(), 1, Duration::from_millis(300)).await;
    let held = all[0].take("push").await.expect("a server");
    schema.execute("UPDATE leases SET holder = 'another'");
    held.ended().await;
    assert!(!held.is_held());
    drop(held);
    assert_eq!(schema.number("SELECT count(*) FROM leases"), 1);
}

/// A server restart loses no lease.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_does_not_end_a_lease() {
    let schema = schema();
    let all = leases(schema.url(), 1, Duration::from_secs(3)).await;
    let held = all[0].take("push").await.expect("a server");
    let first = schema.number("SELECT until FROM leases");
    schema.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE application_name = 'tier' AND query LIKE 'INSERT INTO leases%'",
    );
    let is_extended = async || (schema.number("SELECT until FROM leases") > first).then_some(());
    testing::time::until("it is extended", is_extended).await;
    assert!(held.is_held());
}

/// A ledger of the version without leases gets the table of leases, and keeps its usage.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_the_first_version_becomes_one_of_the_latest() {
    let schema = schema();
    let (ledger, writer) = process(schema.url());
    let answers = ledger
        .submit(vec![report("org:a", 5, None)], fixed(now()))
        .await;
    answers.expect("a server")[0].clone().expect("accepted");
    drop(ledger);
    tokio::task::spawn_blocking(|| writer.join())
        .await
        .expect("no panic");
    schema.execute(
        "DROP TABLE leases, notices; ALTER TABLE orgs DROP COLUMN plan; \
         ALTER TABLE totals DROP COLUMN meter, DROP COLUMN customer, DROP COLUMN in_minute, \
         DROP COLUMN attempts, DROP COLUMN compared, DROP COLUMN compared_value; \
         CREATE TABLE sealed_batches (total BIGINT); \
         UPDATE ledger_version SET version = 1",
    );
    let all = leases(schema.url(), 1, LONG).await;
    assert!(all[0].try_take("push").await.expect("a server").is_some());
    let (ledger, _writer) = process(schema.url());
    assert_eq!(used(&ledger, "org:a"), 5);
}

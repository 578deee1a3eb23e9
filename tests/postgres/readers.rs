//! A server's connections for reading: their number is limited, and none waits for another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use testing::time::until;
use tier::ledger::store::read::{Reader, Span};
use tier::ledger::{Location, Readers};
use tokio::task::JoinSet;

use super::*;

const MOST: usize = 3;

/// The number of the database's connections that have the schema's name.
fn connections(schema: &Schema) -> i64 {
    let name = schema.name();
    schema.number(&format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'"
    ))
}

/// Readers of a schema's ledger. Their connections have the schema's name.
fn readers(schema: &Schema) -> Readers {
    let url = format!("{}&application_name={}", schema.url(), schema.name());
    let place = Location::named(url.as_ref()).expect("a URL");
    place.readers(MOST)
}

fn entries(reader: &Reader) -> Result<u64, StoreError> {
    Ok(reader.status()?.entries)
}

#[tokio::test(flavor = "multi_thread")]
async fn many_readers_share_few_connections() {
    let schema = schema();
    let (ledger, _writer) = process(schema.url());
    let accepted = ledger.submit(vec![report("org:a", 3, None)], fixed(now()));
    accepted.await.expect("a server");
    let readers = readers(&schema);
    let (at_once, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let looks = (0..40).map(|_| {
        let (at_once, most) = (at_once.clone(), most.clone());
        readers.read(move |reader| {
            let others = at_once.fetch_add(1, Ordering::SeqCst);
            most.fetch_max(others + 1, Ordering::SeqCst);
            let found = entries(reader);
            at_once.fetch_sub(1, Ordering::SeqCst);
            found
        })
    });
    for found in join_all(looks).await {
        assert_eq!(found.expect("a server"), 1);
    }
    assert!(most.load(Ordering::SeqCst) <= MOST);
    let open = connections(&schema);
    assert!(
        0 < open && open <= i64::try_from(MOST).expect("few"),
        "{open}"
    );
}

/// A report that waits for a lock does not delay a request for past usage.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_does_not_wait_for_a_write() {
    let schema = schema();
    let name = format!("{}_writer", schema.name());
    let (ledger, _writer) = process(&format!("{}&application_name={name}", schema.url()));
    let submit = |n, key| ledger.submit(vec![report("org:a", n, Some(key))], fixed(now()));
    submit(3, "first").await.expect("a server");
    schema.execute("BEGIN; SELECT FROM orgs FOR UPDATE");
    let waits = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}' AND wait_event_type = 'Lock'"
    );
    let readers = readers(&schema);
    let write = submit(4, "second");
    let meanwhile = async {
        until("the report waits", async || {
            // Within a transaction, PostgreSQL shows other sessions as they were at the first look.
            schema.execute("SELECT pg_stat_clear_snapshot()");
            (schema.number(&waits) > 0).then_some(())
        })
        .await;
        let range = (START, now().plus(SECOND));
        let usage = readers.read(move |reader| {
            reader.usage(&"org:a".into(), &"feature:f".into(), Span::Period, range)
        });
        let totals: Vec<i64> = usage
            .await
            .expect("a server")
            .iter()
            .map(|one| one.total)
            .collect();
        assert_eq!((totals, used(&ledger, "org:a")), (vec![3], 3));
        schema.execute("COMMIT");
    };
    // On a busy machine, the report may have waited for too long, so it is repeated.
    let (_, ()) = tokio::join!(write, meanwhile);
    let written = submit(4, "second").await;
    written.expect("a server")[0].clone().expect("accepted");
    assert_eq!(used(&ledger, "org:a"), 7);
}

/// Connections that are of no use any more are replaced, whether a reader has failed or the server has closed them.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_have_failed_are_replaced() {
    let schema = schema();
    let (ledger, _writer) = process(schema.url());
    let accepted = ledger.submit(vec![report("org:a", 3, None)], fixed(now()));
    accepted.await.expect("a server");
    let readers = readers(&schema);
    assert_eq!(readers.read(entries).await.expect("a server"), 1);
    assert_eq!(connections(&schema), 1);
    // The next reader finds the connection closed, or gets no answer on it.
    let end =
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name =";
    schema.number(&format!("{end} '{}'", schema.name()));
    assert_eq!(readers.read(entries).await.expect("a server"), 1);
    assert_eq!(connections(&schema), 1);
    schema.execute("ALTER TABLE entries RENAME TO hidden");
    readers.read(entries).await.expect_err("there is no table");
    schema.execute("ALTER TABLE hidden RENAME TO entries");
    until("it is closed", async || {
        (connections(&schema) == 0).then_some(())
    })
    .await;
    assert_eq!(readers.read(entries).await.expect("a server"), 1);
    // This reader panics in the middle of a transaction.
    let panics = readers.read(|reader| -> Result<(), StoreError> {
        reader.export(|_| -> Result<(), StoreError> { panic!("of the test") })
    });
    panics.await.expect_err("it has panicked");
    until("it is closed", async || {
        (connections(&schema) == 0).then_some(())
    })
    .await;
    assert_eq!(readers.read(entries).await.expect("a server"), 1);
}

/// While all connections are in use, other readers wait only for a limited time.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_readers_are_refused() {
    let schema = schema();
    let _process = process(schema.url());
    let readers = readers(&schema);
    let (ends, wait) = std::sync::mpsc::channel::<()>();
    let wait = Arc::new(std::sync::Mutex::new(wait));
    let mut busy = JoinSet::new();
    for _ in 0..MOST {
        let (readers, wait) = (readers.clone(), wait.clone());
        let look = move |_: &Reader| {
            let _ = wait.lock().expect("no panic").recv();
            Ok(())
        };
        busy.spawn(async move { readers.read(look).await });
    }
    let all = i64::try_from(MOST).expect("few");
    until("all are in use", async || {
        (connections(&schema) == all).then_some(())
    })
    .await;
    let refused = readers.read(entries).await;
    assert!(
        matches!(refused, Err(StoreError::ManyReaders)),
        "{refused:?}"
    );
    drop(ends);
    for looked in busy.join_all().await {
        looked.expect("a server");
    }
    assert_eq!(readers.read(entries).await.expect("a server"), 0);
}

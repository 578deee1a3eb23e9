//! Commits whose answer is lost, that conflict, or that never arrive. Whatever is acknowledged is stored exactly once.

use futures::future::join_all;

use super::proxy::{Fate, Proxy};
use super::*;

/// Reports one unit after another, without keys.
async fn report_each(ledger: &Ledger, org: &str, count: usize) {
    for _ in 0..count {
        let answers = ledger
            .submit(vec![report(org, 1, None)], fixed(now()))
            .await;
        answers.expect("its outcome is found")[0]
            .clone()
            .expect("accepted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_cut_in_commits_loses_and_doubles_nothing() {
    let schema = schema();
    // No process meets more than two cuts in a row.
    let fate = |commit| match commit % 7 {
        1 | 5 => Fate::CutAfter,
        2 => Fate::CutBefore,
        _ => Fate::Passes,
    };
    let (mut proxies, mut ledgers) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let proxy = Proxy::start(schema.url(), fate).await;
        let url = proxy.url().to_owned();
        let ledger = tokio::task::spawn_blocking(move || process(&url).0).await;
        ledgers.push(ledger.expect("no panic"));
        proxies.push(proxy);
    }
    // Each process has two callers, and they share orgs with the callers of other processes.
    let callers = (0..6).map(|caller| async move { (caller % 3, format!("org:{}", caller % 2)) });
    let callers = join_all(callers).await;
    join_all(
        callers
            .iter()
            .map(|(process, org)| report_each(&ledgers[*process], org, 20)),
    )
    .await;
    assert_eq!(stored(&schema), 120);
    let commits: usize = proxies.iter().map(Proxy::commits).sum();
    println!("{commits} commits, three of seven cut: 120 acknowledged = 120 stored");
    assert!(commits > 60, "{commits}");
}

/// The database ends the transaction of a process that has gone silent, and other processes go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_never_arrives_holds_its_locks_for_seconds() {
    let schema = schema();
    let fate = |commit| match commit {
        2 => Fate::Hangs,
        _ => Fate::Passes,
    };
    let proxy = Proxy::start(schema.url(), fate).await;
    let url = proxy.url().to_owned();
    let through = tokio::task::spawn_blocking(move || process(&url)).await;
    let (through, _writer) = through.expect("no panic");
    let (other, _writer) = process(schema.url());
    report_each(&through, "org:a", 1).await;
    tokio::join!(
        report_each(&through, "org:a", 1),
        report_each(&other, "org:a", 1)
    );
    assert_eq!(stored(&schema), 3);
    // These commits are the tables, the first report, the report that hangs, and its repetition.
    assert_eq!(proxy.commits(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_is_repeated_until_it_passes() {
    let schema = schema();
    let (ledger, _writer) = process(schema.url());
    schema.execute(
        "CREATE SEQUENCE faults; \
         CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF nextval('faults') % 3 <> 0 THEN \
                 RAISE EXCEPTION 'injected' USING ERRCODE = 'serialization_failure'; \
             END IF; RETURN NEW; END $$; \
         CREATE TRIGGER fail BEFORE UPDATE ON orgs FOR EACH ROW EXECUTE FUNCTION fail()",
    );
    report_each(&ledger, "org:a", 15).await;
    assert_eq!(stored(&schema), 15);
    assert_eq!(schema.number("SELECT last_value FROM faults"), 45);
}

/// A request that cannot be stored fails without affecting other requests.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_at_fault_does_not_fail_the_others() {
    let schema = schema();
    let (ledger, _writer) = process(schema.url());
    let bad = "key\0";
    let reports = (0..20).map(|number| {
        let key = if number == 7 { Some(bad) } else { None };
        ledger.submit(vec![report("org:a", 1, key)], fixed(now()))
    });
    let answers = join_all(reports).await;
    let failed = answers.iter().filter(|answers| answers.is_err()).count();
    assert_eq!((failed, stored(&schema)), (1, 19));
    assert!(answers[7].is_err());
}

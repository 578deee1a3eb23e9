//! A database server or a process that is killed under load.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tier::ledger::{StoreError, Unavailable};
use tokio::task::JoinSet;

use super::*;

fn run(script: &str) {
    let ended = Command::new(setting(script)).status().expect("a script");
    assert!(ended.success());
}

/// Reports usage with keys, and repeats each report until it is acknowledged.
async fn report_until(
    ledger: Ledger,
    caller: usize,
    ends: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
) {
    for number in 0.. {
        if ends.load(Ordering::Relaxed) {
            return;
        }
        let key = format!("{caller}-{number}");
        let org = format!("org:{}", number % 3);
        loop {
            match ledger
                .submit(vec![report(&org, 1, Some(&key))], fixed(now()))
                .await
            {
                Ok(answers) => break drop(answers[0].clone().expect("accepted")),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
}

async fn until_acknowledged(count: &AtomicUsize, more: usize) {
    let goal = count.load(Ordering::Relaxed) + more;
    let is_reached = async || (count.load(Ordering::Relaxed) >= goal).then_some(());
    testing::time::until("more reports", is_reached).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_loses_and_doubles_nothing() {
    let mut schema = Schema::create(&setting("TIER_TEST_POSTGRES_VICTIM"));
    let ledgers = processes(schema.url(), 3);
    let (ends, count) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut callers = JoinSet::new();
    for caller in 0..12 {
        let ledger = ledgers[caller % 3].clone();
        callers.spawn(report_until(ledger, caller, ends.clone(), count.clone()));
    }
    for _ in 0..5 {
        until_acknowledged(&count, 100).await;
        run("TIER_TEST_POSTGRES_KILL");
        // Reports fail while the database is gone, and checks are answered from memory.
        let failed = loop {
            match ledgers[0]
                .submit(vec![report("org:a", 0, None)], fixed(now()))
                .await
            {
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => break error,
            }
        };
        let Unavailable::Store(cause) = failed else {
            panic!("{failed}");
        };
        assert!(
            matches!(
                *cause,
                StoreError::Unreachable(_) | StoreError::OutcomeUnknown(_)
            ),
            "{cause}"
        );
        assert!(used(&ledgers[0], "org:0") > 0);
        let restarted = Instant::now();
        run("TIER_TEST_POSTGRES_RESTART");
        let up = restarted.elapsed();
        let back = Instant::now();
        until_acknowledged(&count, 1).await;
        println!(
            "the server was back after {up:?}, and reports {:?} later",
            back.elapsed()
        );
    }
    ends.store(true, Ordering::Relaxed);
    callers.join_all().await;
    schema.reconnect();
    let acknowledged = i64::try_from(count.load(Ordering::Relaxed)).expect("few");
    assert_eq!(stored(&schema), acknowledged);
    let keys = schema.number("SELECT count(DISTINCT (key, key_org)) FROM entries WHERE n = 1");
    assert_eq!(keys, acknowledged);
    println!("5 kills of the server: {acknowledged} acknowledged = {keys} stored");
}

/// The environment variable with which this test binary runs as the process to be killed.
const CHILD: &str = "POSTGRES_TEST_CHILD";

/// Reports one unit under each of many keys, and prints the acknowledged keys.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    #[expect(clippy::disallowed_methods, reason = "a setting of this test alone")]
    let Ok(url) = std::env::var(CHILD) else {
        return;
    };
    let opened = tokio::task::spawn_blocking(move || process(&url)).await;
    let (ledger, _writer) = opened.expect("no panic");
    let callers = (0..8).map(|caller| {
        let ledger = ledger.clone();
        async move {
            for number in 0.. {
                let key = format!("{}-{caller}-{number}", std::process::id());
                let event = report(&format!("org:{}", number % 3), 1, Some(&key));
                let answers = ledger
                    .submit(vec![event], fixed(now()))
                    .await
                    .expect("a server");
                answers[0].clone().expect("accepted");
                println!("acknowledged {key}");
            }
        }
    });
    futures::future::join_all(callers).await;
}

/// Starts a process, and kills it after `most` acknowledged reports. Returns the keys of all acknowledged reports.
fn killed_after(url: &str, most: usize) -> Vec<String> {
    let exe = std::env::current_exe().expect("a test");
    let mut child = Command::new(exe)
        .args(["--exact", "--nocapture", "killed::child"])
        .env(CHILD, url)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let stdout = child.stdout.take().expect("a pipe");
    let mut keys = Vec::new();
    for line in BufReader::new(stdout).lines() {
        // The test runner may have printed something at the beginning of the first line.
        if let Some((_, key)) = line.expect("text").split_once("acknowledged ") {
            keys.push(key.to_owned());
            if keys.len() == most {
                child.kill().expect("a process");
            }
        }
    }
    child.wait().expect("a process");
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_loses_no_acknowledged_report_and_holds_up_no_other() {
    let schema = schema();
    let (survivor, _writer) = process(schema.url());
    let (ends, count) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut callers = JoinSet::new();
    callers.spawn(report_until(
        survivor.clone(),
        0,
        ends.clone(),
        count.clone(),
    ));
    let mut acknowledged = Vec::new();
    for round in 1..=5 {
        let url = schema.url().to_owned();
        let killed = tokio::task::spawn_blocking(move || killed_after(&url, 60 * round)).await;
        acknowledged.extend(killed.expect("no panic"));
        let since = Instant::now();
        until_acknowledged(&count, 3).await;
        println!(
            "three reports at the other process {:?} after a kill",
            since.elapsed()
        );
    }
    ends.store(true, Ordering::Relaxed);
    callers.join_all().await;
    let rows = schema.query("SELECT key FROM entries", &[]);
    let keys: HashSet<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(keys.len(), rows.len(), "doubled");
    assert!(acknowledged.iter().all(|key| keys.contains(key)));
    assert_eq!(stored(&schema), i64::try_from(keys.len()).expect("few"));
    println!(
        "5 kills of a process: {} acknowledged are all stored",
        acknowledged.len()
    );
}

//! The writer: group commits, faults, and killed processes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use super::state::{Answer, Batch, Change, Event, Key, Recalled, Refusal, Report, Stored};
use super::store::Names;
use super::store::read::Filter;
use super::store::sqlite::{self, Sqlite};
use super::values::{Aggregate, Period, PlanNumber, Target, Time};
use super::{Ledger, Snapshot, Store, StoreError, Unavailable};

const ACCOUNT: &str = "acct_1:test";
const START: Time = Time::from_seconds(1_700_006_400);

fn report(n: i64, key: Option<&str>) -> Event {
    Event::Report(Report {
        target: Target {
            org: "org:a".into(),
            feature: "feature:f".into(),
            item: "si_1".into(),
            since: Time::default(),
            meter: None,
            aggregate: Aggregate::Sum,
            period: Period {
                start: START,
                end: START.plus(86_400_000),
            },
            previous: None,
            item_start: START,
            item_end: None,
            plan: PlanNumber::default(),
        },
        change: Change::Add(n),
        at: None,
        recorded: 0,
        key: key.map(|text| Key {
            text: text.into(),
            body: [0; 16],
        }),
    })
}

fn used(ledger: &Ledger) -> i64 {
    let used = ledger.used("org:a", "feature:f", START);
    used.map_or(0, |used| used.n)
}

/// A store whose commits wait for their scripted outcome.
struct ScriptedStore {
    store: Sqlite,
    /// The error of each commit; `None`: it succeeds.
    outcomes: mpsc::Receiver<Option<StoreError>>,
    /// The number of entries of each attempted commit.
    attempts: mpsc::Sender<usize>,
}

impl Store for ScriptedStore {
    fn load(&mut self) -> Result<Stored, StoreError> {
        self.store.load()
    }

    fn recall(&mut self, names: &Names) -> Result<Recalled, StoreError> {
        self.store.recall(names)
    }

    fn append(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        self.attempts.send(batch.entries.len()).expect("a test");
        match self.outcomes.recv().expect("a test") {
            Some(error) => Err(error),
            None => self.store.append(batch),
        }
    }

    fn keep(&mut self, snapshots: &[Snapshot]) -> Result<(), StoreError> {
        self.store.keep(snapshots)
    }

    fn compact(&mut self, before: Time, max: usize) -> Result<usize, StoreError> {
        self.store.compact(before, max)
    }
}

struct Fixture {
    ledger: Ledger,
    outcomes: mpsc::Sender<Option<StoreError>>,
    attempts: mpsc::Receiver<usize>,
    _folder: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Sqlite::open(&folder.path().join("tier.db"), ACCOUNT).expect("a ledger");
    let (outcomes, scripted) = mpsc::channel();
    let (sizes, attempts) = mpsc::channel();
    let store = ScriptedStore {
        store,
        outcomes: scripted,
        attempts: sizes,
    };
    let (ledger, _writer) = Ledger::start(store).expect("a ledger");
    Fixture {
        ledger,
        outcomes,
        attempts,
        _folder: folder,
    }
}

#[tokio::test]
async fn reports_that_arrive_during_a_commit_share_the_next_one() {
    let Fixture {
        ledger,
        outcomes,
        attempts,
        _folder,
    } = fixture();
    let submit = |n| ledger.submit(vec![report(n, None)], START);
    let mut first = std::pin::pin!(submit(1));
    assert!(futures::poll!(&mut first).is_pending());
    assert_eq!(attempts.recv(), Ok(1));
    // The first commit is in progress: its report is not visible, and reads do not wait for it.
    let mut others: Vec<_> = (0..99).map(|_| Box::pin(submit(1))).collect();
    for other in &mut others {
        assert!(futures::poll!(other).is_pending());
    }
    assert_eq!(used(&ledger), 0);
    outcomes.send(None).expect("a writer");
    first.await.expect("a disk");
    assert_eq!(attempts.recv(), Ok(99));
    assert_eq!(used(&ledger), 1);
    outcomes.send(None).expect("a writer");
    for other in others {
        other.await.expect("a disk")[0].clone().expect("accepted");
    }
    assert_eq!(used(&ledger), 100);
}

#[tokio::test]
async fn a_failed_commit_acknowledges_nothing_and_the_next_one_works() {
    let Fixture {
        ledger,
        outcomes,
        attempts,
        _folder,
    } = fixture();
    for error in [StoreError::Full, StoreError::ReadOnly] {
        outcomes.send(Some(error)).expect("a writer");
        let failed = ledger.submit(vec![report(5, Some("k"))], START).await;
        assert!(matches!(failed, Err(Unavailable::Store(_))), "{failed:?}");
        assert_eq!(used(&ledger), 0);
    }
    for repeated in [false, true] {
        outcomes.send(None).expect("a writer");
        let answers = ledger.submit(vec![report(5, Some("k"))], START).await;
        let answers = answers.expect("a disk");
        let Ok(Answer::Accepted {
            repeated: is_repeated,
            ..
        }) = answers[0]
        else {
            panic!("{answers:?}");
        };
        assert_eq!(is_repeated, repeated);
        assert_eq!(used(&ledger), 5);
    }
    // A repeated report stores nothing.
    assert_eq!(attempts.try_iter().count(), 3);
}

#[tokio::test]
async fn a_request_that_cannot_be_stored_fails_alone() {
    let Fixture {
        ledger,
        outcomes,
        attempts,
        _folder,
    } = fixture();
    let mut first = std::pin::pin!(ledger.submit(vec![report(1, None)], START));
    assert!(futures::poll!(&mut first).is_pending());
    assert_eq!(attempts.recv(), Ok(1));
    let mut second = std::pin::pin!(ledger.submit(vec![report(2, None)], START));
    let mut third = std::pin::pin!(ledger.submit(vec![report(4, None)], START));
    assert!(futures::poll!(&mut second).is_pending());
    assert!(futures::poll!(&mut third).is_pending());
    let fault = || Some(StoreError::Database("a fault".into()));
    for end in [None, fault(), fault(), None] {
        outcomes.send(end).expect("a writer");
    }
    first.await.expect("a disk");
    second.await.expect_err("the fault of this request");
    third.await.expect("a disk");
    assert_eq!(used(&ledger), 5);
}

#[tokio::test]
async fn a_refused_event_does_not_stop_the_others_of_its_request() {
    let Fixture {
        ledger,
        outcomes,
        attempts: _attempts,
        _folder,
    } = fixture();
    outcomes.send(None).expect("a writer");
    let events = vec![report(5, None), report(-6, None), report(-2, None)];
    let answers = ledger.submit(events, START).await.expect("a disk");
    assert_eq!(answers[1], Err(Refusal::TooLow { least: 0 }));
    assert!(answers[0].is_ok() && answers[2].is_ok());
    assert_eq!(used(&ledger), 3);
}

/// The environment variable that makes the test run as the process to be killed.
const CHILD: &str = "LEDGER_TEST_FILE";

/// Reports one unit under each of many keys, and prints the acknowledged keys.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    #[expect(clippy::disallowed_methods, reason = "a setting of this test alone")]
    let Ok(path) = std::env::var(CHILD) else {
        return;
    };
    let store = Sqlite::open(Path::new(&path), ACCOUNT).expect("a ledger");
    let (ledger, _writer) = Ledger::start(store).expect("a ledger");
    let tasks = (0..16).map(|task| {
        let ledger = ledger.clone();
        async move {
            for number in 0.. {
                let key = format!("{}-{task}-{number}", std::process::id());
                let event = report(1, Some(&key));
                let answers = ledger.submit(vec![event], START).await.expect("a disk");
                answers[0].clone().expect("accepted");
                #[expect(clippy::print_stdout, reason = "the parent reads it")]
                {
                    println!("acknowledged {key}");
                }
            }
        }
    });
    futures::future::join_all(tasks).await;
}

#[test]
fn a_killed_process_loses_no_acknowledged_report() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tier.db");
    let mut acknowledged = Vec::new();
    for round in 1..=5 {
        let exe = std::env::current_exe().expect("a test");
        let mut child = Command::new(exe)
            .args(["--exact", "--nocapture", "ledger::tests::child"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let stdout = child.stdout.take().expect("a pipe");
        let mut count = 0;
        for line in BufReader::new(stdout).lines() {
            let line = line.expect("text");
            // The test runner may have printed to the first line.
            if let Some((_, key)) = line.split_once("acknowledged ") {
                acknowledged.push(key.to_owned());
                count += 1;
                if count == 40 * round {
                    child.kill().expect("a process");
                }
            }
        }
        child.wait().expect("a process");
    }
    let store = Sqlite::open(&path, ACCOUNT).expect("a ledger");
    drop(store);
    let reader = sqlite::read(&path).expect("a ledger");
    let fault = |problem| panic!("{problem:?}");
    reader.verify(fault).expect("a file");
    let mut keys = std::collections::HashSet::new();
    let all = reader.entries(&Filter::default(), usize::MAX);
    for (entry, _) in all.expect("a file") {
        let (_, key) = entry.key.expect("a key");
        assert!(keys.insert(key.text.to_string()), "doubled");
    }
    assert!(acknowledged.iter().all(|key| keys.contains(key)));
    let total = reader.totals().expect("a file")[0].n;
    assert_eq!(usize::try_from(total), Ok(keys.len()));
}

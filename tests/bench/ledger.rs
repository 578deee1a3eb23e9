//! What the ledger acknowledges, every report of it on disk: reports a second without HTTP.
//!
//! `cargo bench --bench ledger [-- FOLDER]` writes a ledger of its own for each line, in FOLDER or where temporary files are.
//! Half of the reports have idempotency keys, over 5,000 orgs. Keys are random, or ascend with time, as ULIDs do.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tier::ledger::Ledger;
use tier::ledger::state::{Change, Event, Key, Report};
use tier::ledger::store::sqlite::Sqlite;
use tier::ledger::values::{Aggregate, Period, PlanNumber, Target, Time};

const ORGS: u64 = 5_000;
const TIME: Duration = Duration::from_secs(5);
const START: Time = Time::from_seconds(1_700_006_400);

#[derive(Clone, Copy)]
enum Keys {
    Random,
    Ascending,
}

fn report(number: u64, keys: Keys) -> Event {
    let org = number % ORGS;
    let key = || match keys {
        Keys::Random => uuid::Uuid::new_v4().to_string(),
        Keys::Ascending => format!("{number:026}"),
    };
    Event::Report(Report {
        target: Target {
            org: format!("org:{org}").as_str().into(),
            feature: "feature:calls".into(),
            item: format!("si_{org}").as_str().into(),
            since: Time::default(),
            meter: None,
            aggregate: Aggregate::Sum,
            period: Period {
                start: START,
                end: START.plus(30 * 86_400_000),
            },
            previous: None,
            item_start: START,
            item_end: None,
            plan: PlanNumber::default(),
        },
        change: Change::Add(1),
        at: None,
        recorded: 0,
        key: number.is_multiple_of(2).then(|| Key {
            text: key().into(),
            body: [0; 16],
        }),
    })
}

/// Reports from `writers` tasks at once, each waiting for its answer, in requests of `size` reports.
async fn run(folder: &Path, writers: u64, size: u64, keys: Keys) -> u64 {
    let folder = tempfile::tempdir_in(folder).expect("a folder");
    let store = Sqlite::open(&folder.path().join("tier.db"), "acct_bench").expect("a ledger");
    let (ledger, writer) = Ledger::start(store).expect("a ledger");
    let numbers = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..writers {
        let (ledger, numbers) = (ledger.clone(), numbers.clone());
        tasks.spawn(async move {
            let mut acknowledged = 0;
            while start.elapsed() < TIME {
                let first = numbers.fetch_add(size, Ordering::Relaxed);
                let events = (first..first + size).map(|number| report(number, keys));
                let answers = ledger.submit(events.collect(), START).await;
                let answers = answers.expect("a disk");
                assert!(answers.iter().all(Result::is_ok));
                acknowledged += size;
            }
            acknowledged
        });
    }
    let acknowledged: u64 = tasks.join_all().await.into_iter().sum();
    let rate = u128::from(acknowledged) * 1_000 / start.elapsed().as_millis();
    drop(ledger);
    writer.join();
    rate.try_into().expect("a rate")
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the figures are the output")]
async fn main() {
    let folder = std::env::args().skip(1).find(|text| !text.starts_with('-'));
    let folder = folder.map_or_else(std::env::temp_dir, PathBuf::from);
    println!("writers  reports a request  keys       acknowledged/s");
    for (writers, size) in [(1, 1), (64, 1), (256, 1), (4, 1_000)] {
        for (name, keys) in [("random", Keys::Random), ("ascending", Keys::Ascending)] {
            let rate = run(&folder, writers, size, keys).await;
            println!("{writers:>7}  {size:>17}  {name:<9}  {rate:>14}");
        }
    }
}

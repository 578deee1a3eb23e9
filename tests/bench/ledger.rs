//! How many reports the ledger acknowledges in a second, without HTTP. Every acknowledged report is on disk.
//!
//! `cargo bench --bench ledger [-- PLACE]` writes a new ledger for each line of its output. PLACE is a folder; without
//! it, the ledgers are among the temporary files. With the feature `postgres`, PLACE may be the `postgres://` URL of a
//! database (`tests/bench/run replicas` starts one). Half of the reports have idempotency keys, over 5,000 orgs. Keys
//! are random, or ascend with time, as ULIDs do.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tier::ledger::state::{Change, Event, Key, Report};
use tier::ledger::values::{Aggregate, Period, PlanNumber, Target, Time};
use tier::ledger::{Ledger, Location, Writer};

const ORGS: u64 = 5_000;
const TIME: Duration = Duration::from_secs(5);
/// The period is long, since a database uses its own clock.
const START: Time = Time::from_seconds(1_700_006_400);
const YEARS: i64 = 20 * 365 * 86_400_000;

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
                end: START.plus(YEARS),
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

/// A new ledger, which is deleted once the last of these values is dropped.
async fn open(place: &str) -> (Ledger, Writer, Box<dyn Any>) {
    let (place, kept) = new_place(place);
    let ledger = place.open().expect("a place").claim("acct_bench", "a key");
    let (ledger, writer) = ledger.await.expect("a ledger");
    (ledger, writer, kept)
}

fn new_place(place: &str) -> (Location, Box<dyn Any>) {
    #[cfg(feature = "postgres")]
    if place.starts_with("postgres://") {
        let schema = testing::postgres::Schema::create(place);
        let place = Location::named(Path::new(schema.url())).expect("a URL");
        return (place, Box::new(schema));
    }
    let folder = tempfile::tempdir_in(Path::new(place)).expect("a folder");
    let file = folder.path().join("tier.db");
    (Location::File(file), Box::new(folder))
}

/// Reports usage from `writers` concurrent tasks, in requests of `size` reports. Each task waits for its answer.
async fn run(place: &str, writers: u64, size: u64, keys: Keys) -> u64 {
    let (ledger, writer, _kept) = open(place).await;
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
    let place = std::env::args().skip(1).find(|text| !text.starts_with('-'));
    let place = place.unwrap_or_else(|| std::env::temp_dir().display().to_string());
    println!("writers  reports a request  keys       acknowledged/s");
    for (writers, size) in [(1, 1), (64, 1), (256, 1), (4, 1_000)] {
        for (name, keys) in [("random", Keys::Random), ("ascending", Keys::Ascending)] {
            let rate = run(&place, writers, size, keys).await;
            println!("{writers:>7}  {size:>17}  {name:<9}  {rate:>14}");
        }
    }
}

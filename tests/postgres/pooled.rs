//! A pooler in transaction mode (pgbouncer) between the processes and their database. Each transaction may get a
//! connection that another process has just used.

use std::path::Path;

use futures::future::join_all;
use tier::ledger::Location;
use tier::ledger::store::read::Reader;

use super::kept::{deliver, submit};
use super::*;

/// More processes than the pooler has connections. Each process has one connection for writing.
const PROCESSES: usize = 6;

/// How many connections `tests/postgres/run` lets the pooler have to a database.
const CONNECTIONS: i64 = 3;

/// A separate database, since poolers do not pass on a session's settings.
struct Pooled {
    admin: Schema,
    direct: Schema,
    name: String,
    url: String,
}

impl Pooled {
    fn create() -> Self {
        let server = setting("TIER_TEST_POSTGRES");
        let (server, _) = server.rsplit_once('/').expect("a URL of the test");
        let admin = schema();
        let name = format!("pooled_{}", admin.name());
        admin.execute(&format!("CREATE DATABASE {name}"));
        let direct = Schema::create(&format!("{server}/{name}"));
        let path = direct.name();
        admin.execute(&format!("ALTER DATABASE {name} SET search_path TO {path}"));
        let url = format!("{}/{name}", setting("TIER_TEST_POSTGRES_POOLER"));
        Self {
            admin,
            direct,
            name,
            url,
        }
    }
}

async fn read<T: Send + 'static>(
    url: &str,
    look: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
) -> T {
    let place = Location::named(Path::new(url)).expect("a URL");
    let looked = tokio::task::spawn_blocking(move || place.read().and_then(|reader| look(&reader)));
    looked.await.expect("no panic").expect("a server")
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_depends_on_whose_connection_it_is() {
    let pooled = Pooled::create();
    let ledgers = processes(&pooled.url, PROCESSES);
    // All processes write to shared orgs at the same time, and each also reads what other processes have written.
    let works = ledgers
        .iter()
        .enumerate()
        .map(|(number, ledger)| async move {
            for round in 0..20 {
                let org = format!("org:{}", (number + round) % 2);
                submit(
                    ledger,
                    report(&org, 1, Some(&format!("{number}-{round}"))),
                    now(),
                )
                .await;
                if round % 5 == 0 {
                    ledger.sync().await.expect("a server");
                }
            }
        });
    join_all(works).await;
    let sent = i64::try_from(PROCESSES * 20).expect("few");
    assert_eq!(stored(&pooled.direct), sent);
    // Every process knows every key.
    for (number, ledger) in ledgers.iter().enumerate() {
        let org = format!("org:{}", (number + 2) % 2);
        submit(ledger, report(&org, 1, Some(&format!("{number}-0"))), now()).await;
        ledger.sync().await.expect("a server");
        assert_eq!(used(ledger, "org:0") + used(ledger, "org:1"), sent);
    }
    assert_eq!(stored(&pooled.direct), sent);

    submit(&ledgers[0], report("org:a", 4, None), now()).await;
    deliver(&ledgers[1], START.plus(4 * DAY)).await;
    let compacted = ledgers[2].compact(START.plus(62 * DAY), 10).await;
    assert_eq!(compacted.expect("a server"), 1);
    let status = read(&pooled.url, Reader::status).await;
    assert_eq!(
        (status.totals, i64::try_from(status.entries)),
        (3, Ok(sent))
    );
    let problems = read(&pooled.url, |reader| {
        let mut problems = Vec::new();
        reader.verify(|problem| problems.push(problem))?;
        Ok(problems)
    });
    assert_eq!(problems.await, []);

    let name = &pooled.name;
    let connections = pooled.admin.number(&format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'"
    ));
    println!("{PROCESSES} processes over {} connections", connections - 1);
    assert!(
        connections <= CONNECTIONS + 1,
        "{connections}, one of which is the test's"
    );
    drop(ledgers);
    drop(pooled.direct);
    pooled
        .admin
        .execute(&format!("DROP DATABASE {name} WITH (FORCE)"));
}

//! `tier ledger migrate` moves a ledger from a file to a database, completely and only once.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use tier::ledger::moving::{Moved, move_ledger};
use tier::ledger::state::{Answer, Reserve};
use tier::ledger::store::postgres::{self, Counts};
use tier::ledger::store::read::{Exported, Reader};
use tier::ledger::store::sqlite::{self, Sqlite};
use tier::ledger::{Location, Snapshot};

use super::kept::{deliver, submit};
use super::proxy::{Fate, Proxy};
use super::*;

/// What the file contains.
const COUNTS: Counts = Counts {
    totals: 2,
    entries: 3_002,
    days: 1,
    reservations: 1,
};

/// A file with entries, daily totals of older ones, a reservation, a snapshot, and usage that is being sent.
pub(super) async fn file() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tier.db");
    let store = Sqlite::open(&path, ACCOUNT).expect("a file");
    let (ledger, writer) = Ledger::start(store).expect("a ledger");
    submit(&ledger, report("org:a", 7, Some("old")), now()).await;
    deliver(&ledger, START.plus(4 * DAY)).await;
    let compacted = ledger.compact(START.plus(62 * DAY), 10).await;
    assert_eq!(compacted.expect("a disk"), 1);
    let many = (0..3_000).map(|_| report("org:b", 1, None)).collect();
    let answers = ledger.submit(many, fixed(now())).await;
    answers.expect("a disk")[2_999].clone().expect("accepted");
    submit(&ledger, report("org:b", 30, Some("first")), now()).await;
    submit(&ledger, report("org:b", -5, Some("second")), now()).await;
    let reserve = Event::Reserve(Reserve {
        id: "rsv_1".into(),
        target: target("org:b"),
        n: 4,
        ttl: DAY,
        on_test_clock: true,
        limit: None,
        commit: false,
    });
    submit(&ledger, reserve, now()).await;
    ledger.keep(Snapshot {
        org: "org:a".into(),
        read_at: now(),
        text: "{}".into(),
    });
    ledger.sync().await.expect("a disk");
    drop(ledger);
    blocking(|| writer.join()).await;
    (folder, path)
}

/// Everything that a ledger contains.
fn exported(reader: &Reader) -> Vec<Exported> {
    let mut all = Vec::new();
    let exported = reader.export(|record| {
        all.push(record);
        Ok::<_, StoreError>(())
    });
    exported.expect("sound rows");
    reader
        .verify(|problem| panic!("{problem:?}"))
        .expect("it is read");
    all
}

/// Runs `work` on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

pub(super) async fn of_file(path: &Path) -> Vec<Exported> {
    let path = path.to_owned();
    blocking(move || exported(&sqlite::read(&path).expect("a file"))).await
}

pub(super) async fn of_database(url: &str) -> Vec<Exported> {
    let database = Database::parse(url).expect("a URL");
    blocking(move || exported(&postgres::read(&database).expect("a ledger"))).await
}

async fn move_to(path: &Path, url: &str) -> Result<Moved, StoreError> {
    let (path, database) = (path.to_owned(), Database::parse(url).expect("a URL"));
    blocking(move || move_ledger(&path, &database)).await
}

/// The error with which a server refuses the file, if it does.
pub(super) fn refusal(path: &Path) -> Option<StoreError> {
    let opened = sqlite::Unclaimed::open(path).expect("it is free");
    assert_eq!(opened.account_of_key("digest").expect("a file"), None);
    opened.claim(ACCOUNT).err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_ledger_is_moved_once() {
    let (_folder, path) = file().await;
    let opened = sqlite::Unclaimed::open(&path).expect("a file");
    opened.remember_key(ACCOUNT, "digest").expect("a disk");
    let in_use = move_to(&path, schema().url()).await;
    assert!(matches!(in_use, Err(StoreError::InUse)), "{in_use:?}");
    drop(opened);
    let before = of_file(&path).await;
    let schema = schema();
    // A server that starts too early has claimed the database, but has recorded no usage.
    let (early, _writer) = process(schema.url());
    let moved = move_to(&path, schema.url()).await.expect("it is moved");
    assert_eq!(moved.counts, Some(COUNTS));
    assert_eq!(of_database(schema.url()).await, before);
    assert_eq!(schema.number("SELECT count(*) FROM account_keys"), 1);
    assert_eq!(schema.number("SELECT count(*) FROM snapshots"), 1);
    let refused = refusal(&path);
    assert!(
        matches!(refused, Some(StoreError::Moved { .. })),
        "{refused:?}"
    );
    assert_eq!(of_file(&path).await, before, "the file can still be read");

    // The moved keys still count, and new numbers are above the moved ones.
    early.sync().await.expect("a server");
    assert_eq!(used(&early, "org:b"), 3_025);
    submit(&early, report("org:b", 30, Some("first")), now()).await;
    submit(&early, report("org:b", 1, Some("third")), now()).await;
    let (late, _writer) = process(schema.url());
    assert_eq!(used(&late, "org:b"), 3_026);
    let release = submit(&late, Event::Release("rsv_1".into()), now()).await;
    assert!(matches!(release, Answer::Done), "{release:?}");
    assert_eq!(
        schema.number("SELECT count(*) FROM entries WHERE total NOT IN (SELECT id FROM totals)"),
        0
    );

    // Another move to the same database changes nothing, and a move to another database is refused.
    let again = move_to(&path, schema.url()).await.expect("it is there");
    assert_eq!((again.account.as_str(), again.counts), (ACCOUNT, None));
    assert_eq!(used(&late, "org:b"), 3_026);
    let other = super::schema();
    let elsewhere = move_to(&path, other.url()).await;
    assert!(
        matches!(elsewhere, Err(StoreError::Moved { .. })),
        "{elsewhere:?}"
    );
    assert_eq!(other.number("SELECT count(*) FROM totals"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_is_cut_off_in_its_commit_is_repeated() {
    // The first commit makes the tables.
    for (fate, is_there) in [
        (
            (|n| {
                if n == 1 {
                    Fate::CutBefore
                } else {
                    Fate::Passes
                }
            }) as fn(usize) -> Fate,
            false,
        ),
        (|n| if n == 1 { Fate::CutAfter } else { Fate::Passes }, true),
    ] {
        let (_folder, path) = file().await;
        let before = of_file(&path).await;
        let schema = schema();
        let proxy = Proxy::start(schema.url(), fate).await;
        let cut = move_to(&path, proxy.url()).await;
        assert!(matches!(cut, Err(StoreError::OutcomeUnknown(_))), "{cut:?}");
        let refused = refusal(&path);
        assert!(
            matches!(refused, Some(StoreError::Moved { .. })),
            "{refused:?}"
        );
        assert_eq!(schema.number("SELECT count(*) FROM totals") > 0, is_there);
        let moved = move_to(&path, proxy.url()).await.expect("it is moved");
        assert_eq!(moved.counts.is_none(), is_there);
        assert_eq!(moved.account, ACCOUNT);
        assert_eq!(of_database(schema.url()).await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_moved_stays_where_it_is() {
    let (_folder, path) = file().await;
    let before = of_file(&path).await;
    let (others, full, broken) = (schema(), schema(), schema());
    try_process(others.url(), "acct_2:test").expect("a ledger");
    let (ledger, _writer) = process(full.url());
    submit(&ledger, report("org:z", 1, None), now()).await;
    process(broken.url());
    broken.execute("ALTER TABLE entries ADD CONSTRAINT fails CHECK (n > 0)");
    let results = [
        move_to(&path, others.url()).await,
        move_to(&path, full.url()).await,
        move_to(&path, broken.url()).await,
        move_to(&path, "postgres://tier@127.0.0.1:1/none?sslmode=disable").await,
    ];
    assert!(
        matches!(
            results,
            [
                Err(StoreError::OtherAccount { .. }),
                Err(StoreError::NotEmpty),
                Err(StoreError::Database(_)),
                Err(StoreError::Unreachable(_)),
            ]
        ),
        "{results:?}"
    );
    for schema in [&others, &broken] {
        assert_eq!(schema.number("SELECT count(*) FROM totals"), 0);
    }
    assert_eq!(stored(&full), 1);
    assert_eq!(of_file(&path).await, before);
    assert!(refusal(&path).is_none(), "a server may go on with the file");

    // The server would never have written this row.
    let file = rusqlite::Connection::open(&path).expect("a file");
    let change = "UPDATE entries SET n = n + 1 WHERE key = 'first'";
    file.execute(change, []).expect("a row");
    drop(file);
    let empty = schema();
    let damaged = move_to(&path, empty.url()).await;
    assert!(
        matches!(damaged, Err(StoreError::Damaged(_))),
        "{damaged:?}"
    );
    assert_eq!(empty.number("SELECT count(*) FROM totals"), 0);
    assert!(refusal(&path).is_none());
}

pub(super) async fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tier"));
    command.args(["ledger", "migrate"]).args(arguments);
    blocking(move || command.output().expect("the program")).await
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_moves_and_says_what() {
    let (_folder, path) = file().await;
    let schema = schema();
    let (from, to) = (path.to_str().expect("a name"), schema.url());
    let moved = run(&["--from", from, "--ledger", to]).await;
    let said = text(&moved.stdout);
    let expected = "moved 2 totals, 3002 entries, 1 daily total and 1 reservation of acct_1:test to postgres://";
    assert!(said.starts_with(expected), "{said}{}", text(&moved.stderr));
    let again = run(&["--json", "--from", from, "--ledger", to]).await;
    let said = text(&again.stdout);
    assert!(
        again.status.success() && said.contains("\"moved\": null"),
        "{said}"
    );
    let reversed = run(&["--from", from, "--ledger", from]).await;
    assert_eq!(reversed.status.code(), Some(2), "{reversed:?}");
    let absent = run(&["--from", "/none/tier.db", "--ledger", to]).await;
    let said = text(&absent.stderr);
    assert!(
        !absent.status.success() && said.contains("there is no file"),
        "{said}"
    );
}

/// An operator may keep the right to make tables from the servers. The command then makes the tables.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_needs_no_right_to_make_tables() {
    let schema = schema();
    let role = format!("{}_server", schema.name());
    let name = schema.name();
    schema.execute(&format!(
        "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {name} TO {role}"
    ));
    let url = schema.url().replace("tier@", &format!("{role}@"));
    let refused = try_process(&url, ACCOUNT);
    assert!(refused.is_err(), "no tables, and the server makes none");
    let made = run(&["--ledger", schema.url()]).await;
    assert!(made.status.success() && made.stdout.is_empty(), "{made:?}");
    schema.execute(&format!(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {name} TO {role}; \
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA {name} TO {role}"
    ));
    let (ledger, writer) = process(&url);
    submit(&ledger, report("org:a", 3, None), now()).await;
    ledger.sync().await.expect("a server");
    assert_eq!(stored(&schema), 3);
    let place = Location::named(Path::new(&url)).expect("a URL");
    let entries = blocking(move || place.read().and_then(|reader| reader.status()));
    assert_eq!(entries.await.expect("it is read").entries, 1);
    drop((ledger, writer));
    schema.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

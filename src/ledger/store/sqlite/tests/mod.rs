//! The store with real files.

mod damage;

use std::path::{Path, PathBuf};

use super::*;
use crate::ledger::state::{Answer, Change, Event, Key, Refusal, Report, Reserve, State, Total};
use crate::ledger::store::read::{Problem, Reader};
use crate::ledger::values::{Aggregate, Period, PlanNumber, Target};

const ACCOUNT: &str = "acct_1:test";
const START: Time = Time::from_seconds(1_700_006_400);
const DAY: i64 = 86_400_000;

struct Ledger {
    store: Sqlite,
    state: State,
    now: Time,
}

impl Ledger {
    fn open(path: &Path) -> Self {
        Self::try_open(path).expect("a ledger")
    }

    fn try_open(path: &Path) -> Result<Self, StoreError> {
        let mut store = Sqlite::open(path, ACCOUNT)?;
        let state = State::load(store.load()?);
        let now = START.plus(DAY / 2);
        Ok(Self { store, state, now })
    }

    fn submit(&mut self, event: &Event) -> Result<Result<Answer, Refusal>, StoreError> {
        let mut names = Names::default();
        names.add(event);
        self.state.recall(self.store.recall(&names)?);
        let answer = self.state.apply(event, self.now);
        match self.store.append(&self.state.pending()) {
            Ok(()) => self.state.commit(),
            Err(error) => {
                self.state.rollback();
                return Err(error);
            }
        }
        Ok(answer)
    }

    fn report(&mut self, org: &str, n: i64, key: Option<&str>) -> Result<(), StoreError> {
        let event = Event::Report(Report {
            target: target(org),
            change: Change::Add(n),
            at: None,
            recorded: 0,
            key: key.map(|key| Key {
                text: key.into(),
                body: [7; 16],
            }),
        });
        self.submit(&event)?.expect("usage that is accepted");
        Ok(())
    }

    /// Reports each of these figures, with the key `key-FIGURE`.
    fn report_each(&mut self, org: &str, figures: impl IntoIterator<Item = i64>) {
        for n in figures {
            let key = format!("key-{n}");
            self.report(org, n, Some(&key)).expect("room");
        }
    }

    /// Reserves 5 units for a day.
    fn reserve(&mut self, org: &str, id: &str) {
        let reserve = Event::Reserve(Reserve {
            id: id.into(),
            target: target(org),
            n: 5,
            ttl: DAY,
            on_test_clock: false,
            limit: None,
            commit: false,
        });
        self.submit(&reserve).expect("room").expect("granted");
    }

    fn used(&self, org: &str) -> i64 {
        let feature = "feature:f".into();
        self.state.used(&org.into(), &feature, START).n
    }
}

fn target(org: &str) -> Target {
    Target {
        org: org.into(),
        feature: "feature:f".into(),
        item: format!("si_{org}").as_str().into(),
        since: Time::default(),
        meter: None,
        aggregate: Aggregate::Sum,
        period: Period {
            start: START,
            end: START.plus(30 * DAY),
        },
        previous: None,
        item_start: START,
        item_end: None,
        plan: PlanNumber::default(),
    }
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tier.db");
    (folder, path)
}

fn problems(reader: &Reader) -> Vec<Problem> {
    let mut problems = Vec::new();
    reader.verify(|one| problems.push(one)).expect("a file");
    problems
}

fn entries(reader: &Reader) -> u64 {
    reader.status().expect("a file").entries
}

/// Copies the files as a killed process leaves them: never closed.
fn copy(path: &Path, to: &Path) {
    for end in ["", "-wal"] {
        let name = |path: &Path| PathBuf::from(format!("{}{end}", path.display()));
        if name(path).exists() {
            std::fs::copy(name(path), name(to)).expect("a copy");
        }
    }
}

#[test]
fn stored_records_survive_a_kill() {
    let (folder, path) = folder();
    let mut ledger = Ledger::open(&path);
    ledger.report_each("a", 1..=10);
    ledger.reserve("a", "rsv_1");
    let killed = folder.path().join("killed.db");
    copy(&path, &killed);
    let mut again = Ledger::open(&killed);
    assert_eq!(again.used("a"), 55);
    let before: Vec<Total> = ledger.state.totals().cloned().collect();
    let after: Vec<Total> = again.state.totals().cloned().collect();
    assert_eq!(before, after);
    let (org, feature) = ("a".into(), "feature:f".into());
    let used = again.state.used(&org, &feature, START);
    assert_eq!(used.reserved(again.now), 5);
    // Keys and ended reservations are not in memory, but are recalled from the store.
    again.report("a", 1, Some("key-3")).expect("room");
    assert_eq!(again.used("a"), 55);
    let release = Event::Release("rsv_1".into());
    for _ in 0..2 {
        assert_eq!(again.submit(&release).expect("room"), Ok(Answer::Done));
    }
    let reader = read(&killed).expect("a ledger");
    assert_eq!(problems(&reader), []);
    assert_eq!(entries(&reader), 10);
}

#[test]
fn one_process_writes_while_others_read() {
    let (folder, path) = folder();
    let mut ledger = Ledger::open(&path);
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    for path in [&path, &link] {
        let second = Sqlite::open(path, ACCOUNT).expect_err("it is in use");
        assert!(matches!(second, StoreError::InUse), "{second}");
    }
    let reader = read(&path).expect("a ledger");
    ledger.report("a", 4, None).expect("room");
    assert_eq!(reader.totals().expect("a file")[0].n, 4);
    drop(ledger);
    assert_eq!(Ledger::open(&path).used("a"), 4);
}

#[test]
fn a_file_belongs_to_one_account_and_has_a_known_version() {
    let (folder, path) = folder();
    drop(Ledger::open(&path));
    let other = Sqlite::open(&path, "acct_2:test").expect_err("of another account");
    let text = "the ledger belongs to acct_1:test, not to acct_2:test";
    assert_eq!(other.to_string(), text);
    let raw = Connection::open(&path).expect("a file");
    raw.pragma_update(None, "user_version", 99)
        .expect("a version");
    drop(raw);
    let newer = Sqlite::open(&path, ACCOUNT).expect_err("newer");
    assert!(matches!(
        newer,
        StoreError::Newer {
            found: 99,
            known: 6
        }
    ));
    let newer = read(&path).expect_err("newer");
    assert!(matches!(newer, StoreError::Newer { .. }));

    let other = folder.path().join("other.db");
    let raw = Connection::open(&other).expect("a file");
    raw.execute_batch("CREATE TABLE t (x)").expect("a table");
    drop(raw);
    let text = folder.path().join("text");
    std::fs::write(
        &text,
        "no database, but more bytes than a header has ".repeat(100),
    )
    .expect("a file");
    for path in [other, text] {
        let refused = Sqlite::open(&path, ACCOUNT).expect_err("not a ledger");
        assert!(matches!(refused, StoreError::NotALedger), "{refused:?}");
        assert!(read(&path).is_err());
    }
}

#[test]
fn a_full_disk_stores_nothing_and_damages_nothing() {
    let (_folder, path) = folder();
    let mut ledger = Ledger::open(&path);
    ledger.store.limit_pages(24).expect("a limit");
    let mut acknowledged = 0;
    let full = loop {
        match ledger.report(
            &format!("org-{acknowledged}"),
            1,
            Some(&format!("{acknowledged}")),
        ) {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, StoreError::Full), "{full:?}");
    assert_eq!(ledger.state.totals().count(), acknowledged);
    ledger.store.limit_pages(1_000).expect("a limit");
    // The same request is accepted once there is room, and its key with it.
    for _ in 0..2 {
        let org = format!("org-{acknowledged}");
        ledger
            .report(&org, 1, Some(&acknowledged.to_string()))
            .expect("room");
    }
    drop(ledger);
    let reader = read(&path).expect("a ledger");
    assert_eq!(problems(&reader), []);
    assert_eq!(reader.totals().expect("a file").len(), acknowledged + 1);
    assert_eq!(entries(&reader), acknowledged as u64 + 1);
}

#[test]
fn a_read_only_file_accepts_nothing() {
    let (_folder, path) = folder();
    let mut ledger = Ledger::open(&path);
    ledger.report("a", 4, None).expect("room");
    ledger
        .store
        .connection
        .pragma_update(None, "query_only", true)
        .expect("a setting");
    let error = ledger.report("a", 1, None).expect_err("read-only");
    assert!(matches!(error, StoreError::ReadOnly), "{error:?}");
    assert_eq!(ledger.used("a"), 4);
    ledger
        .store
        .connection
        .pragma_update(None, "query_only", false)
        .expect("a setting");
    ledger.report("a", 1, None).expect("writable");
    assert_eq!(ledger.used("a"), 5);
}

#[test]
fn a_reader_refuses_a_file_that_is_not_a_ledger() {
    let (folder, path) = folder();
    let error = |path: &Path| read(path).expect_err("no ledger");
    assert!(matches!(error(&path), StoreError::File(_)));
    assert!(matches!(error(folder.path()), StoreError::NotALedger));
    std::fs::write(&path, "").expect("a file");
    assert!(matches!(error(&path), StoreError::NotALedger));
    assert_eq!(
        std::fs::read(&path).expect("a file"),
        b"",
        "it is only read"
    );
}

/// So a server with this file can start again while Stripe cannot be reached.
#[test]
fn a_move_that_did_not_happen_leaves_the_known_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tier.db");
    drop(Ledger::open(&path));
    let file = Unclaimed::open(&path).expect("free");
    file.remember_key(ACCOUNT, "digest").expect("its account");
    drop(file);
    let begun = Move {
        id: "move".to_owned(),
        place: "postgres://database".to_owned(),
        account: ACCOUNT.to_owned(),
        is_done: false,
    };
    let mut moving = MovingFile::open(&path).expect("a ledger");
    moving.begin(&begun).expect("a move");
    assert_eq!(moving.keys().expect("they are kept"), ["digest"]);
    drop(moving);
    let file = Unclaimed::open(&path).expect("free");
    assert_eq!(file.account_of_key("digest").expect("readable"), None);
    drop(file);
    let mut moving = MovingFile::open(&path).expect("a ledger");
    moving.undo(&begun).expect("no move");
    drop(moving);
    let file = Unclaimed::open(&path).expect("free");
    let known = file.account_of_key("digest").expect("readable");
    assert_eq!(known.as_deref(), Some(ACCOUNT));
}

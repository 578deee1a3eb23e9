//! The parts of `tier ledger migrate` that need no database. `tests/postgres` tests the rest.

use tier::ledger::StoreError;
use tier::ledger::store::sqlite::{Move, MovingFile, Sqlite};

use super::super::Place;
use super::{Written, some_usage};

const ACCOUNT: &str = "acct_1:test";

#[tokio::test]
async fn a_file_is_brought_to_the_latest_version_and_moved_to_databases_alone() {
    let place = Place::offline();
    let migrate = |more: &[&str]| {
        let arguments = [&["ledger", "migrate"], more].concat();
        place.tier(&arguments).end()
    };
    let absent = migrate(&["--ledger", "tier.db"]).await;
    assert_eq!(absent.code, Some(1), "{absent:?}");
    assert!(absent.stderr.contains("there is no file"), "{absent:?}");
    assert!(!place.path().join("tier.db").exists());
    let written = Written::open(&place, ACCOUNT);
    some_usage(&written).await;
    let in_use = migrate(&["--ledger", "tier.db"]).await;
    assert!(in_use.stderr.contains("in use"), "{in_use:?}");
    written.close();
    let done = migrate(&["--ledger", "tier.db"]).await;
    assert_eq!((done.code, &*done.stdout), (Some(0), ""), "{done:?}");
    let to_a_file = migrate(&["--from", "tier.db", "--ledger", "other.db"]).await;
    assert_eq!(to_a_file.code, Some(2), "{to_a_file:?}");
    let nowhere = migrate(&["--from", "tier.db"]).await;
    assert_eq!(nowhere.code, Some(2), "{nowhere:?}");
}

/// Once a database may have the ledger, no server may write the file, or usage would be in two places.
#[tokio::test]
async fn a_file_that_was_moved_is_refused() {
    let place = Place::offline();
    let path = place.path().join("tier.db");
    let written = Written::open(&place, ACCOUNT);
    some_usage(&written).await;
    written.close();
    let before = place.tier(&["ledger", "export", "--ledger", "tier.db"]);
    let before = before.ok().await;
    let this = Move {
        id: "1".to_owned(),
        place: "postgres://db.example/tier".to_owned(),
        account: ACCOUNT.to_owned(),
        is_done: false,
    };
    let refusal = |account: &str| Sqlite::open(&path, account).expect_err("refused");
    for is_done in [false, true] {
        let mut file = MovingFile::open(&path).expect("the file is free");
        assert_eq!(file.begun_move().expect("a file"), None);
        file.begin(&this).expect("a disk");
        if is_done {
            file.finish().expect("a disk");
        }
        drop(file);
        let mut file = MovingFile::open(&path).expect("the file is free");
        let begun = file.begun_move().expect("a file");
        let expected = Move {
            is_done,
            ..this.clone()
        };
        assert_eq!(begun, Some(expected));
        assert!(matches!(
            Sqlite::open(&path, ACCOUNT),
            Err(StoreError::InUse)
        ));
        if !is_done {
            file.undo(&this).expect("a disk");
            drop(file);
            Sqlite::open(&path, ACCOUNT).expect("the file is the account's again");
        }
    }
    let refused = refusal(ACCOUNT);
    assert!(
        matches!(&refused, StoreError::Moved { to } if *to == this.place),
        "{refused:?}"
    );
    for other in ["acct_2:test", "acct_1:test, moved", ""] {
        assert!(
            matches!(refusal(other), StoreError::OtherAccount { .. }),
            "{other}"
        );
    }
    let after = place.tier(&["ledger", "export", "--ledger", "tier.db"]);
    assert_eq!(after.ok().await, before);
}

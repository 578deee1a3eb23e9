//! Kills `tier ledger migrate --from`. The ledger is then either as before or completely moved, and a repeated command
//! completes the move.

use std::process::{Child, Command, Stdio};

use testing::time::until;

use super::moving::{blocking, file, of_database, of_file, refusal, run, text};
use super::proxy::{Fate, Proxy};
use super::*;

fn start(from: &str, to: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_tier"))
        .args(["ledger", "migrate", "--from", from, "--ledger", to])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program")
}

/// Kills the command with SIGKILL.
async fn kill(mut moving: Child) {
    moving.kill().expect("it runs");
    blocking(move || moving.wait()).await.expect("it has ended");
}

/// Repeats the move twice. Returns what each of the two commands prints.
async fn repeat(from: &str, to: &str) -> [String; 2] {
    let mut said = [String::new(), String::new()];
    for text_of in &mut said {
        let moved = run(&["--json", "--from", from, "--ledger", to]).await;
        assert!(moved.status.success(), "{}", text(&moved.stderr));
        *text_of = text(&moved.stdout);
    }
    said
}

const NOTHING: &str = "\"moved\": null";

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_is_killed_while_it_copies_has_moved_nothing() {
    let (_folder, path) = file().await;
    let before = of_file(&path).await;
    let schema = schema();
    let made = run(&["--ledger", schema.url()]).await;
    assert!(made.status.success(), "{made:?}");
    // The command has copied nearly everything when it waits for this lock.
    schema.execute("BEGIN; LOCK TABLE snapshots IN EXCLUSIVE MODE");
    let (from, to) = (path.to_str().expect("a name"), schema.url());
    let moving = start(from, &format!("{to}&application_name={}", schema.name()));
    let waits = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{}' AND wait_event_type = 'Lock'",
        schema.name()
    );
    until("it waits", async || {
        schema.execute("SELECT pg_stat_clear_snapshot()");
        (schema.number(&waits) > 0).then_some(())
    })
    .await;
    kill(moving).await;
    schema.execute("COMMIT");
    assert!(refusal(&path).is_none(), "a server may go on with the file");
    let [first, second] = repeat(from, to).await;
    assert!(
        !first.contains(NOTHING) && second.contains(NOTHING),
        "{first}{second}"
    );
    assert_eq!(of_database(to).await, before);
}

/// The command is killed before its commit arrives, or after the commit but before it has noted in the file that the
/// move is done.
#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_is_killed_in_its_commit_is_brought_to_an_end() {
    // The first commit makes the tables, and the second one has the ledger.
    let before_it: fn(usize) -> Fate = |n| {
        if n == 1 {
            Fate::HeldBefore
        } else {
            Fate::Passes
        }
    };
    let after_it: fn(usize) -> Fate = |n| {
        if n == 1 {
            Fate::HeldAfter
        } else {
            Fate::Passes
        }
    };
    for (fate, is_there) in [(before_it, false), (after_it, true)] {
        let (_folder, path) = file().await;
        let before = of_file(&path).await;
        let schema = schema();
        let proxy = Proxy::start(schema.url(), fate).await;
        let from = path.to_str().expect("a name");
        let moving = start(from, proxy.url());
        until("it commits", async || {
            let has_it = || schema.number("SELECT count(*) FROM totals") > 0;
            (proxy.commits() == 2 && (!is_there || has_it())).then_some(())
        })
        .await;
        kill(moving).await;
        // The outcome of the commit is unknown, so no server may write the file.
        let refused = refusal(&path);
        assert!(
            matches!(refused, Some(StoreError::Moved { .. })),
            "{refused:?}"
        );
        let [first, second] = repeat(from, proxy.url()).await;
        assert_eq!(first.contains(NOTHING), is_there, "{first}");
        assert!(second.contains(NOTHING), "{second}");
        assert_eq!(of_database(schema.url()).await, before);
        let counts = ["totals", "entries", "daily_totals", "reservations"]
            .map(|table| schema.number(&format!("SELECT count(*) FROM {table}")));
        assert_eq!(counts, [2, 3_002, 1, 1]);
    }
}

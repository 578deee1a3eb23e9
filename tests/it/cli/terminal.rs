//! What changes when a person looks: colours, and a spinner for what takes long.

use std::process::Command;
use std::time::Duration;

use rexpect::session::spawn_command;
use tier::sandbox::Options;

use super::{KEY, PRICING, Place, TIER};

/// Long enough for a machine that does ten other things.
const TIMEOUT_MS: u64 = 60_000;

/// All that a run prints on a terminal of its own.
async fn on_terminal(place: &Place, args: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(TIER);
    command
        .args(args)
        .env_clear()
        .env("TERM", "xterm-256color")
        .env("HOME", place.path())
        .env("STRIPE_API_KEY", KEY)
        .env("STRIPE_BASE_API_URL", place.stripe_url())
        .envs(variables.iter().copied())
        .current_dir(place.path());
    let run = tokio::task::spawn_blocking(move || {
        let mut session = spawn_command(command, Some(TIMEOUT_MS)).expect("a terminal");
        session.exp_eof().expect("it ends")
    });
    let text = run.await.expect("it did not panic");
    assert!(!super::shows_a_key(&text), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_are_for_terminals() {
    let place = Place::pushed().await;
    let table = on_terminal(&place, &["ls"], &[]).await;
    assert!(table.starts_with("\x1b[1mPLAN "), "{table:?}");
    let fault = on_terminal(&place, &["limits", "org:none"], &[]).await;
    assert!(
        fault.contains("\x1b[31m") && fault.contains("(org_not_found)"),
        "{fault:?}"
    );
    for plain in [
        on_terminal(&place, &["ls"], &[("NO_COLOR", "1")]).await,
        on_terminal(&place, &["limits", "org:none"], &[("NO_COLOR", "1")]).await,
        on_terminal(&place, &["ls"], &[("TERM", "dumb")]).await,
        place.tier(&["ls"]).ok().await,
        place.tier(&["limits", "org:none"]).fault().await,
    ] {
        assert!(!plain.contains('\x1b'), "{plain:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_push_shows_that_it_goes_on() {
    let slow = Options {
        latency: Some(Duration::from_millis(400)),
        ..Options::default()
    };
    let place = Place::with(slow).await;
    place.write("pricing.json", PRICING);
    let seen = on_terminal(&place, &["push", "pricing.json"], &[]).await;
    assert!(seen.contains("pushing to Stripe 00:0"), "{seen:?}");
    assert!(seen.contains("[created]"), "{seen:?}");
    // Nobody looks at a pipe.
    let piped = place.tier(&["push", "pricing.json"]).ok().await;
    assert_eq!(piped.lines().count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_prompt_gets_a_line_of_its_own() {
    let place = Place::pushed().await;
    let pulled = on_terminal(&place, &["pull"], &[]).await;
    assert!(pulled.ends_with("}\r\n"), "{pulled:?}");
    assert!(!place.tier(&["pull"]).ok().await.ends_with('\n'));
}

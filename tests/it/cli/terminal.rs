//! Output on a terminal: colours, and a spinner for slow commands.

use std::process::Command;
use std::time::Duration;

use rexpect::session::spawn_command;
use stripe_sandbox::Options;

use super::{KEY, PRICING, Place, TIER};

/// A time-out that is long enough for a busy machine.
const TIMEOUT_MS: u64 = 60_000;

/// A key that moves real money.
const LIVE: &[(&str, &str)] = &[("STRIPE_API_KEY", "sk_live_secret")];

/// Everything that a run prints on its terminal.
async fn on_terminal(place: &Place, args: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(TIER);
    command.args(args);
    on_terminal_by(place, command, variables).await
}

async fn on_terminal_by(place: &Place, mut command: Command, variables: &[(&str, &str)]) -> String {
    command
        .env_clear()
        .env("TERM", "xterm-256color")
        .env("HOME", place.path())
        .env("STRIPE_API_KEY", KEY)
        .env("STRIPE_BASE_API_URL", place.stripe_url())
        .envs(variables.iter().copied())
        .current_dir(place.path());
    let run = tokio::task::spawn_blocking(move || {
        let mut session = spawn_command(command, Some(TIMEOUT_MS)).expect("a terminal");
        session.exp_eof().expect("the command ends")
    });
    let text = run.await.expect("the thread did not panic");
    assert!(!super::shows_a_key(&text), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sees_which_sandbox_a_command_acts_in() {
    let place = Place::start().await;
    let url = place.stripe_url().to_owned();
    let shown = on_terminal(&place, &["--sandbox", "ls"], &[("TIER_SANDBOX_URL", &url)]).await;
    assert!(
        shown.contains(&format!("in the sandbox at {url}")),
        "{shown}"
    );
    let piped = place.tier(&["--sandbox", "ls"]);
    let piped = piped.env("TIER_SANDBOX_URL", &url).ok().await;
    assert!(!piped.contains(&url), "{piped}");
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
async fn a_slow_push_shows_progress() {
    let slow = Options {
        latency: Some(Duration::from_millis(400)),
        ..Options::default()
    };
    let place = Place::with(slow).await;
    // These are more features than `push` creates in parallel.
    let features = (0..30).map(|i| format!("\"feature:f{i}\": {{}}"));
    let features = features.collect::<Vec<_>>().join(",");
    place.write(
        "pricing.json",
        &format!("{{\"plans\": {{\"plan:a@1\": {{\"features\": {{{features}}}}}}}}}"),
    );
    let seen = on_terminal(&place, &["push", "pricing.json"], &[]).await;
    assert!(seen.contains("pushing to Stripe 0/30 00:0"), "{seen:?}");
    let counts = seen.split("pushing to Stripe ").skip(1);
    let counts = counts.filter_map(|text| text.split('/').next()?.parse::<u32>().ok());
    assert!(counts.clone().any(|count| count > 0), "{seen:?}");
    assert!(counts.is_sorted(), "{seen:?}");
    assert!(seen.ends_with("30 features: 30 created, 0 already there\r\n"));
    assert!(seen.contains("[created]"), "{seen:?}");
    // Output to a pipe has no spinner.
    let piped = place.tier(&["push", "pricing.json"]).ok().await;
    assert_eq!(piped.lines().count(), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_total_is_shown_when_the_results_are_redirected() {
    let place = Place::start().await;
    place.write("pricing.json", PRICING);
    let to_file = |script: &str| {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script, TIER]);
        shell
    };
    for (script, seen) in [
        (
            "\"$0\" push pricing.json > results",
            "3 features: 3 created, 0 already there\r\n",
        ),
        (
            "\"$0\" push pricing.json | cat > results",
            "3 features: 0 created, 3 already there\r\n",
        ),
        ("\"$0\" push --json pricing.json > machine", ""),
        ("\"$0\" push pricing.json > results 2> others", ""),
    ] {
        let said = on_terminal_by(&place, to_file(script), &[]).await;
        assert_eq!(said, seen, "{script}");
    }
    assert_eq!(place.read("results").lines().count(), 3);
    assert_eq!(place.read("others"), "");
    let machine = super::json(&place.read("machine"));
    assert_eq!(machine["results"].as_array().map(Vec::len), Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_prompt_gets_a_line_of_its_own() {
    let place = Place::pushed().await;
    let pulled = on_terminal(&place, &["pull"], &[]).await;
    assert!(pulled.ends_with("}\r\n"), "{pulled:?}");
    let piped = place.tier(&["pull"]).ok().await;
    assert!(piped.ends_with("}\n") && !piped.ends_with("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_says_what_it_did() {
    let place = Place::start().await;
    place.write("pricing.json", PRICING);
    for (args, said) in [
        (
            &["push", "pricing.json"][..],
            "3 features: 3 created, 0 already there",
        ),
        (
            &["push", "pricing.json"],
            "3 features: 0 created, 3 already there",
        ),
        (
            &["subscribe", "org:acme", "plan:free@1"],
            "org:acme is subscribed to plan:free@1",
        ),
        (
            &["report", "org:acme", "feature:convert", "3"],
            "3 of feature:convert recorded for org:acme",
        ),
        (
            &["report", "--clobber", "org:acme", "feature:convert", "5"],
            "feature:convert of org:acme is set to 5",
        ),
        (
            &["subscribe", "--email", "a@acme.example", "org:acme"],
            "org:acme is written to Stripe",
        ),
        (
            &["subscribe", "--trial", "7", "org:acme", "plan:pro@1"],
            "org:acme is on trial of plan:pro@1",
        ),
        (
            &["subscribe", "--cancel", "org:acme"],
            "org:acme has no subscription any more",
        ),
        (&["clean", "--switchaccounts", "0s"], "0 accounts deleted"),
    ] {
        let seen = on_terminal(&place, args, &[]).await;
        assert!(seen.ends_with(&format!("{said}\r\n")), "{args:?}: {seen:?}");
    }
    let silent = ["report", "org:new", "feature:convert", "1"];
    place
        .tier(&["subscribe", "org:new", "plan:free@1"])
        .ok()
        .await;
    assert_eq!(place.tier(&silent).ok().await, "");
}

/// The output of a run with a live key on a terminal, on which `answer` is typed.
async fn asked(place: &Place, args: &[&str], answer: &'static str) -> (String, String) {
    let mut command = Command::new(TIER);
    command.args(args);
    asked_by(place, command, answer).await
}

async fn asked_by(place: &Place, mut command: Command, answer: &'static str) -> (String, String) {
    command
        .env_clear()
        .env("TERM", "dumb")
        .env("HOME", place.path())
        .env("STRIPE_API_KEY", "sk_live_secret")
        .env("STRIPE_BASE_API_URL", place.stripe_url())
        .current_dir(place.path());
    let run = tokio::task::spawn_blocking(move || {
        let mut session = spawn_command(command, Some(TIMEOUT_MS)).expect("a terminal");
        let question = session.exp_string("[y/N]").expect("a question");
        session.send_line(answer).expect("an open terminal");
        (question, session.exp_eof().expect("the command ends"))
    });
    run.await.expect("the thread did not panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn live_data_is_changed_only_after_confirmation() {
    let place = Place::start().await;
    place.write("pricing.json", PRICING);
    let push = ["--live", "push", "pricing.json"];
    let cancel = ["--live", "subscribe", "--cancel", "org:acme"];
    for (args, question) in [
        (
            &push[..],
            "Push 2 plans with 3 features to the live account?",
        ),
        (&cancel, "End the subscription of org:acme in live mode?"),
    ] {
        for no in ["n", "", "nope"] {
            let (asked, end) = asked(&place, args, no).await;
            assert!(asked.contains(question), "{asked:?}");
            assert!(end.contains("tier: nothing was done"), "{end:?}");
        }
        assert_eq!(place.sandbox().sandbox().requests(None).len(), 0);
        // The sandbox accepts no live keys.
        let (_, end) = asked(&place, args, "y").await;
        assert!(end.contains("(invalid_api_key)"), "{end:?}");
        let calls = place.sandbox().sandbox().requests(None).len();
        assert!(calls > 0, "{end:?}");
        place.sandbox().sandbox().reset();
        for unasked in [
            on_terminal(&place, &[args, &["--yes"]].concat(), LIVE).await,
            place
                .tier(args)
                .env("STRIPE_API_KEY", "sk_live_secret")
                .fault()
                .await,
        ] {
            assert!(unasked.contains("(invalid_api_key)"), "{unasked:?}");
            assert!(!unasked.contains("[y/N]"), "{unasked:?}");
        }
        place.sandbox().sandbox().reset();
    }
    // The question goes to the terminal, even if the outputs are redirected.
    let mut shell = Command::new("sh");
    shell.args([
        "-c",
        r#""$0" --live push pricing.json 2> log; cat log"#,
        TIER,
    ]);
    let (_, end) = asked_by(&place, shell, "n").await;
    assert!(end.contains("tier: nothing was done"), "{end:?}");
    assert_eq!(place.sandbox().sandbox().requests(None).len(), 0);
    let seen = on_terminal(&place, &["push", "pricing.json"], &[]).await;
    assert!(
        !seen.contains("[y/N]"),
        "a test key needs no question: {seen:?}"
    );
    let clean = ["--live", "clean", "--yes", "--switchaccounts", "0s"];
    let seen = on_terminal(&place, &clean, LIVE).await;
    assert!(seen.contains("does not work in live mode"), "{seen:?}");
}

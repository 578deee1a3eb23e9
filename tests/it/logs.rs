//! Checks that no secret is ever logged. Every line that the tests of this binary log, at the most verbose level, is
//! checked when it is written. A line with a key, an e-mail address or a card number ends the run.

use std::io::{self, Write};
use std::sync::Once;

use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Starts to check every line.
pub(crate) fn watch() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let lines = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("trace,hyper=debug,h2=info,hyper_util=debug"))
            .with_writer(Watch)
            .json()
            .finish();
        tracing::subscriber::set_global_default(lines).expect("nobody else sets one");
    });
}

/// Leaves the log lines of this thread unchecked while the guard lives. Tests that repeat common steps thousands of
/// times use it, since checking their lines would take longer than the tests themselves.
pub(crate) fn unwatched() -> DefaultGuard {
    tracing::subscriber::set_default(NoSubscriber::default())
}

#[derive(Clone, Copy)]
struct Watch;

impl<'a> MakeWriter<'a> for Watch {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

impl Write for Watch {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(secret) = secret(&String::from_utf8_lossy(line)) {
            // The line may be from a task whose panic would go unnoticed.
            let _ = writeln!(
                io::stderr(),
                "a log line holds {secret:?}:\n{}",
                String::from_utf8_lossy(line)
            );
            std::process::exit(101);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The beginnings of keys, also in Base64. Each has at most 4 bytes and is rare in other words, so that lines without
/// them are checked quickly: the tests write millions of lines.
const BEGINNINGS: [&str; 4] = ["sk_", "rk_", "c2tf", "cmtf"];

/// The first word in `line` that must not be logged.
pub(crate) fn secret(line: &str) -> Option<&str> {
    let may_have_key = BEGINNINGS.iter().any(|begin| line.contains(begin));
    let inside =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '-' | '@' | '%');
    line.split(|c| !inside(c))
        .find(|word| may_have_key && is_key(word) || is_email(word) || is_card(word))
}

fn is_key(word: &str) -> bool {
    ["sk_test_", "sk_live_", "rk_test_", "rk_live_"]
        .iter()
        .any(|kind| {
            let rest = word.split_once(kind).map_or("", |(_, rest)| rest);
            !rest.is_empty()
        })
        // The same beginnings in Base64.
        || ["c2tfdGVzdF9", "c2tfbGl2ZV9", "cmtfdGVzdF9", "cmtfbGl2ZV9"]
            .iter()
            .any(|kind| word.contains(kind))
}

/// Names of features and plans also have an `@`, but no dot after it.
fn is_email(word: &str) -> bool {
    let is_host = |host: &str| {
        let parts = host.trim_end_matches('.').split_once('.');
        parts.is_some_and(|(first, rest)| !first.is_empty() && !rest.is_empty())
    };
    ["@", "%40"].iter().any(|at| {
        let parts = word.split_once(at);
        parts.is_some_and(|(name, host)| !name.is_empty() && is_host(host))
    })
}

/// Whether a word has as many digits as a card number, and a correct check digit.
fn is_card(word: &str) -> bool {
    if !matches!(word.len(), 15 | 16)
        || !word.bytes().all(|byte| byte.is_ascii_digit())
        || !word.starts_with(['3', '4', '5'])
    {
        return false;
    }
    let digits = word.bytes().rev().map(|byte| u32::from(byte - b'0'));
    let sum: u32 = digits
        .enumerate()
        .map(|(i, digit)| match (i % 2, digit * 2) {
            (0, _) => digit,
            (_, double) if double > 9 => double - 9,
            (_, double) => double,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[test]
fn the_check_finds_secrets_and_nothing_else() {
    for line in [
        r#"{"key":"sk_test_51abc"}"#,
        "Bearer rk_live_x",
        "customer jo@acme.example, new",
        "email=jo%40acme.example&x",
        "card 4242424242424242 declined",
    ] {
        assert!(secret(line).is_some(), "{line}");
    }
    for line in [
        r#"{"request_id":"5f3759df5f3759df5f3759df5f3759df","micros":4242}"#,
        "metadata[tier.feature]=feature:x@plan:p@1&sk_test_",
        "req_4242424242424242 tier 1.0.0",
    ] {
        assert_eq!(secret(line), None, "{line}");
    }
}

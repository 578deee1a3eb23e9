//! Hints for words that are not commands but that people try as commands.

use std::ffi::OsString;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{Cli, suggest};

/// Words that people try, and the hint for each.
const HINTS: &[(&[&str], &str)] = &[
    (
        &["cancel", "unsubscribe", "stop", "end"],
        "`tier subscribe --cancel ORG` ends the subscription of an org",
    ),
    (
        &["upgrade", "downgrade", "change"],
        "`tier subscribe ORG PLAN` moves an org to another plan",
    ),
    (
        &["checkout", "pay"],
        "`tier subscribe --checkout URL ORG PLAN` prints the address of a checkout page",
    ),
    (
        &["trial"],
        "`tier subscribe --trial DAYS ORG PLAN` begins with a trial",
    ),
    (
        &["subscription", "subscriptions", "schedule"],
        "`tier phases ORG` shows what an org is subscribed to, `tier subscribe ORG PLAN` changes it",
    ),
    (
        &["status"],
        "`tier phases ORG` shows what an org is subscribed to, `tier whoami` the account, \
         `tier healthcheck` whether a server is healthy",
    ),
    (
        &["org", "customer", "customers", "user", "users"],
        "`tier orgs` lists all; `tier whois ORG`, `tier limits ORG` and `tier phases ORG` are about one",
    ),
    (
        &["entitlements"],
        "`tier limits ORG` shows what an org has used",
    ),
    (
        &["record", "track", "meter"],
        "`tier report ORG FEATURE N` records usage",
    ),
    (
        &["invoice", "invoices"],
        "invoices are in Stripe; `tier whois ORG` prints the org's customer",
    ),
    (
        &[
            "plan", "plans", "price", "prices", "product", "products", "feature", "features",
            "list", "model",
        ],
        "`tier ls` lists the features of all plans, `tier pull` prints the model",
    ),
    (
        &["export", "download", "backup"],
        "`tier pull > pricing.json` saves the model that is in Stripe",
    ),
    (
        &["deploy", "apply", "import", "publish", "sync", "upload"],
        "`tier push FILE` pushes a pricing.json to Stripe",
    ),
    (
        &["new", "create", "example", "pricing"],
        "`tier init` writes a first pricing.json, `tier pull` prints the model that is in Stripe",
    ),
    (
        &["check", "lint"],
        "`tier validate FILE` checks a pricing.json",
    ),
    (
        &["edit", "editor", "gui"],
        "`tier builder` is an editor in the browser; `tier schema` lets other editors complete a pricing.json",
    ),
    (
        &["unarchive", "delete", "remove"],
        "pushed plans stay; `tier archive PLAN` takes a plan off sale, and with --undo puts it back",
    ),
    (
        &["move"],
        "`tier migrate FROM TO` moves all orgs of a plan, `tier subscribe ORG PLAN` moves one",
    ),
    (
        &["login", "auth", "signin", "signup"],
        "`tier connect` gets keys from your Stripe account",
    ),
    (
        &["logout", "signout", "disconnect"],
        "the keys that `tier connect` got are in ~/.config/tier/config.json; remove that file",
    ),
    (
        &["account", "accounts"],
        "`tier whoami` prints the account that commands use, `tier switch` changes it",
    ),
    (
        &["open", "dashboard"],
        "`tier whoami` prints the address of the account's page in Stripe's dashboard",
    ),
    (
        &["env", "environment", "config", "keys"],
        "`tier help environment` lists variables and files",
    ),
    (
        &["debug", "diagnose"],
        "`tier doctor` checks the key and the account, -v and STRIPE_DEBUG=1 log what is done",
    ),
    (
        &["start", "run", "server", "up"],
        "`tier serve` starts the server, `tier dev` starts one for trying things out",
    ),
    (
        &["mock", "simulator"],
        "`tier serve --sandbox` starts a server with a simulated Stripe, `tier sandbox` only that Stripe",
    ),
    (
        &["clocks", "advance"],
        "`tier clock advance` advances the test clock of an org",
    ),
    (
        &["webhooks", "events"],
        "`tier webhook create` makes Stripe send its events to a server of yours, `tier listen` makes a sandbox do so",
    ),
    (
        &["api", "curl", "request"],
        "`tier fetch PATH` sends any request to the API",
    ),
];

/// The minimum length of a word that may have a typo. Too many words are one typo away from a shorter one.
const MIN_LENGTH_WITH_TYPO: usize = 4;

/// `clean` deletes accounts, so it is never suggested.
const NEVER_SUGGESTED: &str = "clean";

/// Replaces clap's suggestion, a command with a similar name, which may do something else entirely.
pub(super) fn add(mut error: clap::Error) -> clap::Error {
    let typed = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(typed)) if error.kind() == ErrorKind::InvalidSubcommand => typed,
        _ => return error,
    };
    let guess = guess(typed);
    error.remove(ContextKind::SuggestedSubcommand);
    match guess {
        Some(Guess::Command(name)) => {
            let name = ContextValue::Strings(vec![name]);
            error.insert(ContextKind::SuggestedSubcommand, name);
        }
        Some(Guess::Hint(hint)) => {
            let hint = ContextValue::StyledStrs(vec![hint.into()]);
            error.insert(ContextKind::Suggested, hint);
        }
        None => {}
    }
    error
}

/// The probable meaning of a word.
enum Guess {
    Command(String),
    Hint(&'static str),
}

/// The probable meaning of a word: a known word, the beginning of one, or one with a typo. Case does not matter.
fn guess(typed: &str) -> Option<Guess> {
    let typed = typed.to_lowercase();
    if typed.len() < 2 {
        return None;
    }
    if let Some(hint) = hint(&typed) {
        return Some(Guess::Hint(hint));
    }
    let commands = Cli::command();
    let commands = commands.get_subcommands().map(clap::Command::get_name);
    let commands: Vec<String> = commands.map(str::to_owned).collect();
    let known = |word: String| match hint(&word) {
        Some(hint) => Some(Guess::Hint(hint)),
        None => (word != NEVER_SUGGESTED).then_some(Guess::Command(word)),
    };
    if commands.contains(&typed) {
        return known(typed);
    }
    let mut completions = commands.iter().filter(|name| name.starts_with(&typed));
    if let (Some(name), None, true) = (completions.next(), completions.next(), typed.len() > 2) {
        return known(name.clone());
    }
    let words = HINTS.iter().flat_map(|(words, _)| *words);
    let words = words.filter(|word| word.len().min(typed.len()) >= MIN_LENGTH_WITH_TYPO);
    let all: Vec<String> = (commands.iter().cloned())
        .chain(words.map(|word| (*word).to_owned()))
        .collect();
    suggest::nearest(&typed, &all).and_then(known)
}

fn hint(word: &str) -> Option<&'static str> {
    let found = HINTS.iter().find(|(words, _)| words.contains(&word));
    found.map(|(_, hint)| *hint)
}

/// The hint for a word that is not a command.
pub(super) fn about(word: &str) -> Option<&'static str> {
    hint(&word.to_lowercase())
}

/// Whether a command line that cannot be parsed asks for JSON.
pub(super) fn wants_json(args: &[OsString]) -> bool {
    args.iter()
        .take_while(|arg| *arg != "--")
        .any(|arg| arg == "--json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_text(word: &str) -> String {
        let error = Cli::command()
            .try_get_matches_from(["tier", word])
            .unwrap_err();
        add(error).to_string()
    }

    #[test]
    fn hints_are_for_unknown_commands_and_name_existing_ones() {
        let mut seen = Vec::new();
        for (words, hint) in HINTS {
            for word in *words {
                let known = Cli::command().find_subcommand(word).is_some();
                assert!(!known, "{word} is a command now");
                assert!(!seen.contains(word), "{word} has two hints");
                seen.push(word);
            }
            for command in hint.split("`tier ").skip(1) {
                let name = command.split([' ', '`']).next().unwrap_or_default();
                assert!(Cli::command().find_subcommand(name).is_some(), "{hint}");
            }
            assert!(!hint.contains("clean"), "{hint}");
        }
    }

    #[test]
    fn common_guesses_have_a_fitting_hint() {
        for (word, expected) in [
            ("cancel", "tier subscribe --cancel"),
            ("cancle", "tier subscribe --cancel"),
            ("CANCEL", "tier subscribe --cancel"),
            ("checkout", "tier subscribe --checkout"),
            ("Login", "tier connect"),
            ("logout", "config.json"),
            ("new", "tier init"),
            ("customers", "tier whois"),
            ("subscriptions", "tier phases"),
            ("status", "tier phases"),
            ("entitlements", "tier limits"),
            ("plans", "tier ls"),
            ("open", "tier whoami"),
            ("move", "tier migrate FROM TO"),
            ("webhooks", "tier webhook create"),
            ("advance", "tier clock advance"),
            ("debug", "tier doctor"),
            ("editor", "tier builder"),
            ("mock", "tier serve --sandbox"),
            ("delete", "tier archive PLAN"),
        ] {
            let text = error_text(word);
            assert!(text.contains(expected), "{word}: {text}");
            assert!(!text.contains("a similar subcommand"), "{word}: {text}");
        }
    }

    #[test]
    fn misspelt_commands_are_recognized() {
        for (word, command) in [
            ("pus", "push"),
            ("psuh", "push"),
            ("Push", "push"),
            ("LS", "ls"),
            ("sub", "subscribe"),
            ("Subscrib", "subscribe"),
            ("whoami2", "whoami"),
            ("health", "healthcheck"),
            ("lst", "ls"),
        ] {
            let text = error_text(word);
            let expected = format!("a similar subcommand exists: '{command}'");
            assert!(text.contains(&expected), "{word}: {text}");
        }
    }

    #[test]
    fn clean_is_never_suggested() {
        for word in [
            "clear", "cleanup", "clone", "clen", "cleans", "Clean", "CLEAN", "cle", "clan",
        ] {
            let text = error_text(word);
            assert!(!text.contains("'clean'"), "{word}: {text}");
        }
        for word in ["xyzzy", "use", "s", ""] {
            let text = error_text(word);
            assert!(!text.contains("tip:"), "{word}: {text}");
        }
    }
}

//! What to say of words that are typed like commands, and are none: what does the same here.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::suggest;

/// Words that people try, and what they are looking for.
const HINTS: &[(&str, &str)] = &[
    (
        "cancel",
        "`tier subscribe --cancel ORG` ends the subscription of an org",
    ),
    (
        "unsubscribe",
        "`tier subscribe --cancel ORG` ends the subscription of an org",
    ),
    (
        "checkout",
        "`tier subscribe --checkout URL ORG PLAN` prints the address of a checkout page",
    ),
    ("login", "`tier connect` gets keys from your Stripe account"),
    (
        "logout",
        "the keys that `tier connect` got are in ~/.config/tier/config.json; remove that file",
    ),
    (
        "init",
        "`tier help pricing` shows a pricing.json to begin with, `tier pull` prints the model that is in Stripe",
    ),
    (
        "orgs",
        "there is no list of orgs yet; `tier whois ORG`, `tier limits ORG` and `tier phases ORG` tell about one",
    ),
    (
        "open",
        "`tier whoami` prints the address of the account's page in Stripe's dashboard",
    ),
    (
        "plans",
        "`tier ls` lists the features of all plans, `tier pull` prints the model",
    ),
    ("usage", "`tier limits ORG` shows what an org has used"),
    ("start", "`tier serve` starts the server"),
];

/// Puts the hint for a word in the place of whatever command is spelt like it, which may do something else entirely:
/// `clean`, which deletes accounts, is spelt like `cancel`.
pub(super) fn add(mut error: clap::Error) -> clap::Error {
    let typed = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(typed)) if error.kind() == ErrorKind::InvalidSubcommand => typed,
        _ => return error,
    };
    let Some(hint) = hint(typed) else {
        return without_clean(error);
    };
    error.remove(ContextKind::SuggestedSubcommand);
    let hint = ContextValue::StyledStrs(vec![hint.into()]);
    error.insert(ContextKind::Suggested, hint);
    error
}

/// `clean` deletes accounts: whoever did not type it is not sent there.
fn without_clean(mut error: clap::Error) -> clap::Error {
    let suggested = ContextKind::SuggestedSubcommand;
    if let Some(ContextValue::Strings(mut names)) = error.remove(suggested) {
        names.retain(|name| name != "clean");
        if !names.is_empty() {
            error.insert(suggested, ContextValue::Strings(names));
        }
    }
    error
}

fn hint(typed: &str) -> Option<&'static str> {
    let words: Vec<String> = HINTS.iter().map(|(word, _)| (*word).to_owned()).collect();
    let meant = suggest::nearest(typed, &words).unwrap_or_else(|| typed.to_owned());
    let found = HINTS.iter().find(|(word, _)| *word == meant);
    found.map(|(_, hint)| *hint)
}

/// Whether errors are to be told in JSON, on a command line that is wrong.
pub(super) fn wants_json(args: &[OsString]) -> bool {
    args.iter()
        .take_while(|arg| *arg != "--")
        .any(|arg| arg == "--json")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn told(word: &str) -> String {
        let command = super::super::Cli::command();
        let error = command.try_get_matches_from(["tier", word]).unwrap_err();
        add(error).to_string()
    }

    #[test]
    fn words_that_people_try_have_a_hint_of_what_they_look_for() {
        for (word, _) in HINTS {
            let known = super::super::Cli::command().find_subcommand(word).is_some();
            assert!(!known, "{word} is a command now");
        }
        for (word, expected) in [
            ("cancel", "tier subscribe --cancel"),
            ("cancle", "tier subscribe --cancel"),
            ("checkout", "tier subscribe --checkout"),
            ("login", "tier connect"),
            ("init", "tier help pricing"),
            ("orgs", "tier whois"),
            ("open", "tier whoami"),
        ] {
            let text = told(word);
            assert!(text.contains(expected), "{word}: {text}");
            assert!(!text.contains("clean"), "{word}: {text}");
        }
        assert!(told("pus").contains("push"));
        for word in ["listen", "clear", "cleanup", "clone"] {
            let text = told(word);
            assert!(!text.contains("'clean'"), "{word}: {text}");
        }
    }
}

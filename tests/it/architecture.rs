//! The architecture's import rules, which say which part may name which. The tests read the sources.

mod source;

use source::{begins_word, grouped, names, sources, statements, without_tests};

/// The parts that are stacked on each other, from the top.
const STACK: [&str; 10] = [
    "crate::cli",
    "crate::config",
    "crate::server",
    "crate::background",
    "crate::api",
    "crate::web",
    "crate::domain",
    "crate::billing",
    "crate::ledger",
    "crate::stripe",
];

/// For each part of the crate: its name, the parts of the stack that it may name besides itself, and the crates that it
/// must not name.
const RULES: &[(&str, &[&str], &[&str])] = &[
    (
        "cli",
        &[
            "crate::config",
            "crate::server",
            "crate::background",
            "crate::api",
            "crate::web",
            "crate::domain",
            "crate::ledger",
            "crate::stripe",
        ],
        &[],
    ),
    // The sandbox must not share code with its callers. A wrong field name in shared code would cancel out, and every
    // test would pass.
    ("stripe", &[], &["axum", "stripe_sandbox"]),
    (
        "billing",
        &["crate::stripe"],
        &["axum", "reqwest", "stripe_sandbox"],
    ),
    // The ledger knows neither how usage is reported nor how it is billed.
    (
        "ledger",
        &[],
        &["axum", "http", "hyper", "reqwest", "stripe_sandbox"],
    ),
    (
        "domain",
        &["crate::billing", "crate::ledger", "crate::stripe"],
        &["axum", "http", "hyper", "reqwest", "stripe_sandbox"],
    ),
    (
        "api",
        &["crate::domain", "crate::stripe", "crate::web"],
        &["reqwest", "stripe_sandbox"],
    ),
    ("web", &["crate::domain"], &["reqwest", "stripe_sandbox"]),
    ("server", &[], &["reqwest", "stripe_sandbox"]),
    (
        "background",
        &["crate::domain"],
        &["axum", "reqwest", "stripe_sandbox"],
    ),
    (
        "config",
        &["crate::server", "crate::api", "crate::stripe"],
        &["axum", "reqwest"],
    ),
    ("admission", &[], &[]),
    ("metrics", &[], &[]),
    ("net", &[], &[]),
    ("num", &[], &[]),
    ("position", &[], &[]),
];

#[test]
fn every_part_names_only_parts_below_it() {
    let mut offences = Vec::new();
    for (part, below, crates) in RULES {
        let own = format!("crate::{part}");
        let above = STACK
            .iter()
            .filter(|name| !below.contains(name) && **name != own);
        let forbidden: Vec<&str> = above.chain(*crates).copied().collect();
        for file in sources(part) {
            let text = std::fs::read_to_string(&file).expect("a readable source");
            for (number, code) in statements(&text) {
                for name in &forbidden {
                    if names(&code, name) || grouped(&code, name) {
                        let place = format!("{}:{number}", file.display());
                        offences.push(format!("{place}: {}", code.trim()));
                    }
                }
            }
        }
    }
    assert!(
        offences.is_empty(),
        "imports against the architecture. Ask the part right below for it; what is `billing`'s, `domain` re-exports or says \
         in a type of its own:\n{}",
        offences.join("\n")
    );
}

/// Words that only `billing` may use: Stripe's paths and parameters, and the functions that build them.
const REQUEST_WORDS_OF_BILLING: &[&str] = &[
    "/v1/",
    "metadata[",
    "\"items[",
    "recurring[",
    "default_settings[",
    "invoice_settings[",
    "subscription_data[",
    "created[",
    "expand[",
    "\"data.",
    ".param(",
    "Form::new",
    "stripe::Form",
    "stripe::Request",
];

/// The parts of Stripe's answers that only `billing` may use: their envelopes and their decoding.
const RESPONSE_TYPES_OF_BILLING: &[&str] = &[
    "Expandable",
    "Identified",
    "Page<",
    "stripe::Page",
    ".items.data",
    ".lines.data",
    "from_value(",
    ".send::<",
];

/// The lines of a part, outside its tests, in which `find` finds a violation.
fn offences<'a>(part: &str, find: impl Fn(&str) -> Option<&'a str>) -> Vec<String> {
    let mut offences = Vec::new();
    let files = sources(part).into_iter();
    for file in files.filter(|file| !file.ends_with("tests.rs")) {
        let text = std::fs::read_to_string(&file).expect("a readable source");
        for (number, code) in statements(without_tests(&text)) {
            if let Some(said) = find(&code) {
                let place = format!("{}:{number}", file.display());
                offences.push(format!("{place}: {said} in {}", code.trim()));
            }
        }
    }
    offences
}

/// The first of these words that begins in `code`.
fn one_of<'a>(words: &[&'a str], code: &str) -> Option<&'a str> {
    let begins = |word: &&str| {
        code.match_indices(word)
            .any(|(at, _)| begins_word(code, at))
    };
    words.iter().copied().find(begins)
}

#[test]
fn the_domain_names_nothing_of_stripes_calls() {
    let offences = offences("domain", |code| one_of(REQUEST_WORDS_OF_BILLING, code));
    assert!(
        offences.is_empty(),
        "`domain` says what it wants in Tier's terms. Give `billing` a method for it, in the file of the thing of \
         Stripe's that it is about, and call that:\n{}",
        offences.join("\n")
    );
}

#[test]
fn the_domain_reads_nothing_of_stripes_envelopes() {
    let offences = offences("domain", |code| one_of(RESPONSE_TYPES_OF_BILLING, code));
    assert!(
        offences.is_empty(),
        "`domain` gets flat values. Decode it in `billing`: a list as `Vec`, or as `ListPage` if it may go on; an object that may \
         be only an id as a private field, with a method for the id and one for the object:\n{}",
        offences.join("\n")
    );
}

#[test]
fn billing_hands_out_no_envelope() {
    let envelopes = ["Page<", "Expandable<", "Object"];
    let offences = offences("billing", |code| {
        let code = code.trim();
        let handed_out = match code.split_once("->") {
            Some((_, returned)) => returned,
            None if code.starts_with("pub ") => code,
            None => return None,
        };
        one_of(&envelopes, handed_out)
    });
    assert!(
        offences.is_empty(),
        "what leaves `billing` is a flat value. Decode it as `Vec`, `ListPage` or an id (see src/billing/object.rs), or keep it in \
         a private field:\n{}",
        offences.join("\n")
    );
}

/// The crate's map lists every part and nothing else.
#[test]
fn every_part_is_on_the_map() {
    let map = include_str!("../../src/lib.rs");
    let parts = map.lines().filter_map(|line| {
        let part = line.trim_start_matches("pub ").strip_prefix("mod ")?;
        part.strip_suffix(';')
    });
    // Parts for benchmarks and fuzzing are not part of the product.
    for part in parts.filter(|part| *part != "internals") {
        let row = [format!("//! | [`{part}`] |"), format!("//! | `{part}` |")];
        assert!(
            row.iter().any(|row| map.contains(row)),
            "{part} is not on the map in src/lib.rs"
        );
        let has_rule = RULES.iter().any(|(name, ..)| *name == part);
        assert!(has_rule, "{part} may name everything");
    }
}

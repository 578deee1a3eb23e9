//! The architecture's import rules, read from the sources: which part may name which.

use std::path::{Path, PathBuf};

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

/// Each part of the crate, the parts of the stack that it may name besides itself, and the crates that it must not
/// name.
const RULES: &[(&str, &[&str], &[&str])] = &[
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

fn sources(part: &str) -> Vec<PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![src.join(part)];
    files.extend(Some(src.join(format!("{part}.rs"))).filter(|file| file.exists()));
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    assert!(!files.is_empty(), "no sources of {part}: was it renamed?");
    files
}

/// Whether `line` names the module or crate `name` as a path, e.g. `crate::api` or `axum`.
fn names(line: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = &line[at + name.len()..];
        let starts = !before.is_some_and(|c| is_word(c) || c == ':');
        let is_crate = !name.contains("::");
        let path_follows = after.starts_with("::");
        let ends = if is_crate {
            path_follows || (line.trim_start().starts_with("use ") && after.starts_with(';'))
        } else {
            !after.chars().next().is_some_and(is_word)
        };
        starts && ends
    })
}

/// `use crate::{a, b::c}` names parts behind a brace.
fn grouped(statement: &str, name: &str) -> bool {
    let Some(part) = name.strip_prefix("crate::") else {
        return false;
    };
    let Some((_, group)) = statement.split_once("use crate::{") else {
        return false;
    };
    let mut depth = 0;
    let outermost = group.split(|c| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    let mut firsts = outermost.map(|item| item.trim().split(|c| " :};".contains(c)).next());
    firsts.any(|first| first == Some(part))
}

/// The lines of a source without comments, each with its number; an import that goes over several lines is one.
fn statements(text: &str) -> Vec<(usize, String)> {
    let mut statements: Vec<(usize, String)> = Vec::new();
    let mut is_open = false;
    for (number, line) in (1..).zip(text.lines()) {
        let code = line.split("//").next().unwrap_or_default();
        match statements.last_mut() {
            Some((_, import)) if is_open => *import += code.trim(),
            _ => statements.push((number, code.to_owned())),
        }
        let start = code.trim_start();
        let is_import =
            start.starts_with("use ") || start.starts_with("pub") && start.contains(" use ");
        is_open = (is_open || is_import) && !code.contains(';');
    }
    statements
}

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
        "imports against the architecture:\n{}",
        offences.join("\n")
    );
}

/// Words that only `billing` may use: Stripe's paths and parameters, and the functions that build them.
const SAID_BY_BILLING: &[&str] = &[
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

/// The lines of a source before its tests, since tests read what was sent.
fn without_tests(text: &str) -> &str {
    let tests = text.find("#[cfg(test)]\nmod ");
    &text[..tests.unwrap_or(text.len())]
}

#[test]
fn the_domain_names_nothing_of_stripes_calls() {
    let mut offences = Vec::new();
    let files = sources("domain").into_iter();
    for file in files.filter(|file| !file.ends_with("tests.rs")) {
        let text = std::fs::read_to_string(&file).expect("a readable source");
        for (number, code) in statements(without_tests(&text)) {
            for said in SAID_BY_BILLING.iter().filter(|said| code.contains(**said)) {
                let place = format!("{}:{number}", file.display());
                offences.push(format!("{place}: {said} in {}", code.trim()));
            }
        }
    }
    assert!(
        offences.is_empty(),
        "`domain` says what it wants in Tier's terms. Give `billing` a method for it, in the file of the thing of \
         Stripe's that it is about, and call that:\n{}",
        offences.join("\n")
    );
}

/// The crate's map has every part, and only those.
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
        assert!(has_rule || part == "cli", "{part} may name everything");
    }
}

#[test]
fn the_reader_of_imports_sees_all_forms() {
    for text in [
        "use crate::api;",
        "    crate::api::Error",
        "use crate::{api, clock};",
        "use crate::{clock, api::json};",
        "use crate::{\n    clock,\n    api,\n};",
        "pub use crate::{\n    clock::{self, Clock},\n    api::json,\n};",
        "use crate::{clock, api as other};",
    ] {
        let read = statements(text);
        let sees = |code: &str| names(code, "crate::api") || grouped(code, "crate::api");
        assert!(read.iter().any(|(_, code)| sees(code)), "{text}");
    }
    for text in [
        "use crate::apis;",
        "use super::api;",
        "use crate::{clock, num};",
        "use crate::{clock::{self, api}, num};",
        "// crate::api is above",
        "use crate::{clock, num};\nlet x = api(1, 2);",
    ] {
        let read = statements(text);
        let sees = |code: &str| names(code, "crate::api") || grouped(code, "crate::api");
        assert!(!read.iter().any(|(_, code)| sees(code)), "{text}");
    }
    assert!(names("use axum::Router;", "axum") && names("let x = http::StatusCode::OK", "http"));
    assert!(!names("\"https://x\"", "http") && !names("fn http(&self)", "http"));
}

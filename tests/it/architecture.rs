//! The architecture's import rules, read from the sources: which part may name which.

use std::path::{Path, PathBuf};

/// Each part of the crate, and the parts and crates that it must not name.
const FORBIDDEN: &[(&str, &[&str])] = &[
    // The sandbox shares nothing with the client: a wrong field name in shared code would cancel
    // out, and every test would pass.
    (
        "sandbox",
        &[
            "crate::stripe",
            "crate::domain",
            "crate::api",
            "crate::server",
            "crate::cli",
            "reqwest",
        ],
    ),
    (
        "stripe",
        &[
            "crate::domain",
            "crate::api",
            "crate::server",
            "crate::cli",
            "crate::sandbox",
            "axum",
        ],
    ),
    (
        "domain",
        &[
            "crate::api",
            "crate::server",
            "crate::cli",
            "crate::sandbox",
            "axum",
            "http",
            "hyper",
            "reqwest",
        ],
    ),
    (
        "api",
        &["crate::server", "crate::cli", "crate::sandbox", "reqwest"],
    ),
    ("server", &["crate::cli"]),
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
fn grouped(line: &str, name: &str) -> bool {
    let Some(part) = name.strip_prefix("crate::") else {
        return false;
    };
    let Some((_, group)) = line.split_once("use crate::{") else {
        return false;
    };
    group.split(',').any(|item| {
        let first = item.trim().split("::").next().unwrap_or_default();
        first.trim_end_matches(['}', ';']) == part
    })
}

#[test]
fn every_part_names_only_what_lies_below_it() {
    let mut offences = Vec::new();
    for (part, forbidden) in FORBIDDEN {
        for file in sources(part) {
            let text = std::fs::read_to_string(&file).expect("a readable source");
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                for name in *forbidden {
                    if names(code, name) || grouped(code, name) {
                        offences.push(format!(
                            "{}:{}: {}",
                            file.display(),
                            number + 1,
                            line.trim()
                        ));
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

#[test]
fn the_reader_of_imports_sees_what_it_must() {
    for line in [
        "use crate::api;",
        "    crate::api::Error",
        "use crate::{api, clock};",
        "use crate::{clock, api::json};",
    ] {
        assert!(
            names(line, "crate::api") || grouped(line, "crate::api"),
            "{line}"
        );
    }
    for line in [
        "use crate::apis;",
        "use super::api;",
        "use crate::{clock, num};",
    ] {
        assert!(
            !names(line, "crate::api") && !grouped(line, "crate::api"),
            "{line}"
        );
    }
    assert!(names("use axum::Router;", "axum") && names("let x = http::StatusCode::OK", "http"));
    assert!(!names("\"https://x\"", "http") && !names("fn http(&self)", "http"));
}

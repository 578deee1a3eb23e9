//! Reads the sources of a part, and which names its code has.

use std::path::{Path, PathBuf};

pub(super) fn sources(part: &str) -> Vec<PathBuf> {
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

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether what begins at `at` is not the rest of a longer name.
pub(super) fn begins_word(line: &str, at: usize) -> bool {
    let before = line[..at].chars().next_back();
    let first = line[at..].chars().next();
    !(before.is_some_and(is_word) && first.is_some_and(is_word))
}

/// Whether `line` names the module or crate `name` as a path, e.g. `crate::api` or `axum`.
pub(super) fn names(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let after = &line[at + name.len()..];
        let starts = begins_word(line, at) && !line[..at].ends_with(':');
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
pub(super) fn grouped(statement: &str, name: &str) -> bool {
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
pub(super) fn statements(text: &str) -> Vec<(usize, String)> {
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

/// The lines of a source before its tests, since tests read what was sent.
pub(super) fn without_tests(text: &str) -> &str {
    let tests = text.find("#[cfg(test)]\nmod ");
    &text[..tests.unwrap_or(text.len())]
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
    assert!(begins_word("Option<Page<T>>", 7) && !begins_word("ListPage<T>", 4));
    assert!(names("use axum::Router;", "axum") && names("let x = http::StatusCode::OK", "http"));
    assert!(!names("\"https://x\"", "http") && !names("fn http(&self)", "http"));
}

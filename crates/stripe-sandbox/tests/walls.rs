//! The dependency rules of this crate: which module may use which. They are checked by parsing the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The layers, from the bottom. A module may use its own layer and those below. The files of a resource belong to
/// several layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    /// Errors, the API version, and JSON helpers.
    Ground,
    Money,
    Params,
    /// Ids, tables, pages.
    Store,
    /// The state of a resource.
    State,
    /// An account with all its tables, and its users.
    Account,
    /// The JSON of a resource.
    View,
    Engine,
    /// The reading of requests, and the endpoints.
    Routes,
    /// The list of all resources, and `expand`.
    Table,
    /// The delivery of events.
    Webhook,
    /// HTTP, pages, and the sandbox with its server.
    Outside,
}

fn layer(module: &[String]) -> Layer {
    let words: Vec<&str> = module.iter().map(String::as_str).collect();
    match &*words {
        ["error"] | ["version", ..] | ["resource", "json"] => Layer::Ground,
        ["money", ..] => Layer::Money,
        ["params", ..] => Layer::Params,
        ["store", "account" | "accounts" | "context" | "due_queue"] => Layer::Account,
        ["store", ..] => Layer::Store,
        ["engine", ..] => Layer::Engine,
        ["resource"] | ["resource", "expand"] => Layer::Table,
        ["resource", "route"] => Layer::Routes,
        ["resource", _] => Layer::State,
        ["resource", _, file, ..] => match *file {
            "card" | "cycle" | "pause" | "previews" | "search" | "search_query"
            | "tax_location" | "types" => Layer::State,
            "view" | "events" => Layer::View,
            _ => Layer::Routes,
        },
        ["webhook", ..] => Layer::Webhook,
        [] | ["http" | "internals" | "pages" | "sandbox" | "server", ..] => Layer::Outside,
        other => panic!("{other:?} is in no layer: add it to one"),
    }
}

/// A source without comments and tests.
struct Source {
    file: PathBuf,
    code: String,
}

fn sources() -> BTreeMap<Vec<String>, Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let file = entry.expect("an entry").path();
            if file.is_dir() {
                folders.push(file);
                continue;
            }
            if file.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let inside = file.strip_prefix(&root).expect("it was found there");
            let inside = inside.with_extension("");
            let words = inside
                .iter()
                .map(|word| word.to_string_lossy().into_owned());
            let module = words
                .filter(|word| word != "mod" && word != "lib")
                .collect();
            let text = fs::read_to_string(&file).expect("a readable source");
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            let lines = text.lines().map(|line| match line.find("//") {
                Some(at) if !line[..at].contains('"') => &line[..at],
                _ => line,
            });
            let code = lines.collect::<Vec<_>>().join("\n");
            all.insert(module, Source { file, code });
        }
    }
    all
}

/// The rest of a line that begins with `use`.
fn import(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = match line.strip_prefix("pub") {
        Some(rest) => rest
            .trim_start_matches("(crate)")
            .trim_start_matches("(super)")
            .trim_start(),
        None => line,
    };
    line.strip_prefix("use ")
}

/// The paths of a `use`, each with its local name.
fn imports(tree: &str) -> Vec<(String, String)> {
    let tree = tree.trim();
    let Some((start, group)) = tree.split_once('{') else {
        let (path, name) = match tree.split_once(" as ") {
            Some((path, name)) => (path.trim(), name.trim()),
            None => (tree, tree.rsplit("::").next().unwrap_or(tree)),
        };
        return vec![(path.to_owned(), name.to_owned())];
    };
    let group = group.strip_suffix('}').expect("a group is closed");
    let mut depth = 0;
    let parts = group.split(|c| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    let parts = parts.map(str::trim).filter(|part| !part.is_empty());
    let inner = parts.flat_map(|part| {
        if part == "self" {
            return imports(start.trim_end_matches("::"));
        }
        imports(&format!("{start}{part}"))
    });
    inner.collect()
}

/// A path from the crate's root; `None` for a path of another crate.
fn resolved(path: &str, module: &[String]) -> Option<Vec<String>> {
    let mut words: Vec<&str> = path.split("::").map(str::trim).collect();
    let mut from = module.to_vec();
    match words.remove(0) {
        "crate" => from.clear(),
        "self" => {}
        "super" => {
            from.pop();
            while words.first() == Some(&"super") {
                from.pop();
                words.remove(0);
            }
        }
        _ => return None,
    }
    from.extend(words.into_iter().map(str::to_owned));
    Some(from)
}

/// All paths `a::b::c` in a source.
fn paths(code: &str) -> impl Iterator<Item = &str> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    code.split(move |c| !is_path(c))
        .map(|word| word.trim_matches(':'))
        .filter(|word| word.contains("::"))
}

/// The modules that a source uses.
fn used_modules(
    module: &[String],
    source: &Source,
    all: &BTreeMap<Vec<String>, Source>,
) -> BTreeSet<Vec<String>> {
    let mut here: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut paths_here: Vec<Vec<String>> = Vec::new();
    for child in all.keys() {
        if let Some((name, parent)) = child.split_last()
            && parent == module
        {
            here.insert(name.clone(), child.clone());
        }
    }
    let mut rest = String::new();
    let mut lines = source.code.lines();
    while let Some(line) = lines.next() {
        let Some(tree) = import(line) else {
            rest.push_str(line);
            rest.push('\n');
            continue;
        };
        let mut tree = tree.to_owned();
        while !tree.contains(';') {
            tree.push_str(lines.next().expect("an import ends").trim());
        }
        let tree = tree.split(';').next().unwrap_or_default();
        for (path, name) in imports(tree) {
            let Some(path) = resolved(&path, module) else {
                continue;
            };
            if all.contains_key(&path) {
                here.insert(name, path);
            } else {
                paths_here.push(path);
            }
        }
    }
    for path in paths(&rest) {
        if let Some(path) = resolved(path, module) {
            paths_here.push(path);
        } else if let Some((first, more)) = path.split_once("::")
            && let Some(start) = here.get(first)
        {
            let more = more.split("::").map(str::to_owned);
            paths_here.push(start.iter().cloned().chain(more).collect());
        }
    }
    let module_of = |path: &Vec<String>| {
        let mut lengths = (0..=path.len()).rev();
        let found = lengths.find(|length| all.contains_key(&path[..*length]));
        path[..found.unwrap_or(0)].to_vec()
    };
    let mut found: BTreeSet<Vec<String>> = paths_here.iter().map(module_of).collect();
    found.remove(module);
    found
}

#[test]
fn every_module_uses_only_its_own_layer_and_those_below() {
    let all = sources();
    assert!(all.len() > 100, "the sources are read");
    let mut offences = Vec::new();
    for (module, source) in &all {
        for other in used_modules(module, source, &all) {
            if layer(&other) > layer(module) {
                let file = source.file.display();
                offences.push(format!("{file}: uses {}", other.join("::")));
            }
        }
    }
    assert!(
        offences.is_empty(),
        "imports against the direction:\n{}",
        offences.join("\n")
    );
}

/// No two modules depend on each other, directly or indirectly.
#[test]
fn modules_do_not_depend_on_each_other_in_circles() {
    let all = sources();
    let edges: BTreeMap<&Vec<String>, BTreeSet<Vec<String>>> = all
        .iter()
        .map(|(module, source)| (module, used_modules(module, source, &all)))
        .collect();
    let reach = |start: &Vec<String>| {
        let mut seen: BTreeSet<Vec<String>> = BTreeSet::new();
        let mut open = vec![start.clone()];
        while let Some(module) = open.pop() {
            for next in &edges[&module] {
                if seen.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&Vec<String>, BTreeSet<Vec<String>>> =
        all.keys().map(|module| (module, reach(module))).collect();
    let top_module = |module: &[String]| match module {
        [] => String::new(),
        [top_module, resource, ..] if top_module == "resource" => resource.clone(),
        [top_module, ..] => top_module.clone(),
    };
    let mut circles = Vec::new();
    for (module, below) in &reached {
        for other in below {
            if reached[other].contains(*module) && top_module(module) != top_module(other) {
                circles.push(format!("{} and {}", module.join("::"), other.join("::")));
            }
        }
    }
    assert!(
        circles.is_empty(),
        "these depend on each other, not all directly:\n{}",
        circles.join("\n")
    );
}

#[test]
fn the_arithmetic_and_the_engine_know_no_json() {
    for (module, source) in sources() {
        if matches!(layer(&module), Layer::Money | Layer::Engine) {
            let file = source.file.display();
            assert!(!source.code.contains("serde_json"), "{file} uses JSON");
            assert!(!source.code.contains("json!"), "{file} makes JSON");
        }
    }
}

#[test]
fn the_reader_finds_every_form_of_import() {
    let module = vec!["engine".to_owned(), "change".to_owned()];
    let find = |code: &str| {
        let mut all = sources();
        let file = PathBuf::from("change.rs");
        let code = code.to_owned();
        let source = Source { file, code };
        all.remove(&module);
        let found = used_modules(&module, &source, &all);
        found.iter().map(|path| path.join("::")).collect::<Vec<_>>()
    };
    for code in [
        "use crate::http::call;\nfn a() { call::run() }",
        "use crate::http::call::run;",
        "use crate::http::{self, call::{run, Kept}};\n",
        "use super::super::http::call::run as other;",
        "fn a() { crate::http::call::run() }",
        "use crate::http;\nfn a() { http::call::run() }",
        "pub(crate) use crate::http::call::run;",
    ] {
        assert_eq!(find(code), ["http::call"], "{code}");
    }
    assert_eq!(find("use crate::engine;"), Vec::<String>::new());
    assert_eq!(find("use std::http::call;"), Vec::<String>::new());
}

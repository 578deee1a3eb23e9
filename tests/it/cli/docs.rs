//! Runs the commands in the documentation of the command line. Checks the links, flags and variables on all pages.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::{Place, TIER};
use crate::binary::Server;

/// A page of this repository.
fn page(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A command of a `console` block, and the output shown for it.
struct Step {
    command: String,
    output: String,
}

/// The steps of all `console` blocks.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut in_block = false;
    let mut continues = false;
    for line in page.lines() {
        match line {
            "```console" => in_block = true,
            "```" => in_block = false,
            _ if !in_block => {}
            _ if line.starts_with("$ ") => {
                let command = line[2..].to_owned();
                continues = is_open(&command);
                steps.push(Step {
                    command,
                    output: String::new(),
                });
            }
            _ => {
                let step = steps.last_mut().expect("a block begins with a command");
                let text = if continues {
                    &mut step.command
                } else {
                    &mut step.output
                };
                let separator = if text.is_empty() { "" } else { "\n" };
                write!(text, "{separator}{line}").expect("a String takes everything");
                continues &= is_open(&step.command);
            }
        }
    }
    steps
}

/// Whether more lines belong to a command: it ends with a backslash, or a here-document has not ended.
fn is_open(command: &str) -> bool {
    let here = command.contains("<<'EOF'") && !command.ends_with("\nEOF");
    here || command.ends_with('\\')
}

/// Whether `actual` matches `shown`, where `…` stands for any text, and on its own line for any lines.
fn is_shown(shown: &str, actual: &str) -> bool {
    let shown: Vec<&str> = shown.lines().map(str::trim_end).collect();
    let actual: Vec<&str> = actual.lines().map(str::trim_end).collect();
    are_like(&shown, &actual)
}

fn are_like(shown: &[&str], actual: &[&str]) -> bool {
    let Some((first, shown)) = shown.split_first() else {
        return actual.is_empty();
    };
    if *first == "…" {
        return (0..=actual.len()).any(|n| are_like(shown, &actual[n..]));
    }
    let actual = actual.split_first();
    actual.is_some_and(|(line, actual)| is_like(first, line) && are_like(shown, actual))
}

fn is_like(shown: &str, actual: &str) -> bool {
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (shown, actual) = (squeeze(shown), squeeze(actual));
    let mut parts = shown.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = actual.strip_prefix(first) else {
        return false;
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty() || shown.ends_with('…')
}

#[test]
fn shown_output_may_be_abbreviated() {
    assert!(is_shown("a … c", "a b c\n"));
    assert!(is_shown("cus_…", "cus_123"));
    assert!(is_shown("A  B", "A      B"));
    assert!(!is_shown("a", "a\nb"));
    assert!(is_shown("a\n…\nc", "a\nc") && is_shown("a\n…\nc", "a\nb\nb\nc"));
    assert!(!is_shown("a\n…\nc", "a\nb"));
    assert!(!is_shown("a …", "b c"));
    assert!(!is_shown("a … c", "a b d"));
}

/// Runs all steps of the page on the command line, in the sandbox at `url`.
async fn follow(place: &Place, url: &str) {
    let steps = steps(&page("docs/cli.md"));
    assert!(steps.len() > 10, "only {} steps were found", steps.len());
    let bin = place.path().join("bin");
    std::fs::create_dir(&bin).expect("a new folder");
    std::os::unix::fs::symlink(TIER, bin.join("tier")).expect("a link");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = format!("{}:{}", bin.display(), path.display());
    for step in steps {
        let mut shell = tokio::process::Command::new("sh");
        let shell = shell
            .args(["-c", &step.command])
            .env_clear()
            .env("PATH", &path)
            .env("HOME", place.path())
            .env("TIER_SANDBOX_URL", url)
            .current_dir(place.path());
        let output = shell.output().await.expect("a shell");
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed);
        assert!(
            is_shown(&step.output, &printed),
            "$ {}\nis shown to print\n{}\nbut printed\n{printed}",
            step.command,
            step.output
        );
    }
}

/// Starts the sandbox in which the page's commands run.
async fn sandbox(place: &Place) -> Server {
    let sandbox = ["sandbox", "--addr", "127.0.0.1:0", "--search-lag", "0s"];
    place.tier(&sandbox).started().await
}

#[tokio::test]
async fn the_commands_of_the_page_work() {
    let place = Place::offline();
    let sandbox = sandbox(&place).await;
    follow(&place, &sandbox.url()).await;
}

#[tokio::test]
async fn the_commands_work_in_the_sandbox_of_the_readme_too() {
    let place = Place::offline();
    let sandbox = sandbox(&place).await;
    let readme = page("README.md");
    let from = readme.find("{\n  \"plans\"").expect("a model");
    let to = from + readme[from..].find("\nEOF\n").expect("the model's end");
    place.write("pricing.json", &readme[from..to]);
    let push = place.tier(&["--sandbox", "push", "pricing.json"]);
    push.env("TIER_SANDBOX_URL", &sandbox.url()).ok().await;
    follow(&place, &sandbox.url()).await;
}

#[tokio::test]
async fn the_docs_have_every_flag_and_variable_of_serve() {
    let settings = page("docs/operating.md");
    let help = Place::offline().tier(&["serve", "--help"]).ok().await;
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let words = help.split(|c| !inside(c));
    let named: Vec<_> = words
        .filter(|word| word.starts_with("--") || word.starts_with("TIER_"))
        .collect();
    assert!(named.len() > 40, "{help}");
    // All commands have these flags.
    let others = [
        "--help",
        "--json",
        "--base-url",
        "--clock",
        "TIER_CLOCK",
        "TIER_SANDBOX_URL",
    ];
    for name in named.into_iter().filter(|name| !others.contains(name)) {
        assert!(
            settings.contains(&format!("`{name}")),
            "{name} is not in docs/operating.md"
        );
    }
}

#[test]
fn links_between_pages_work() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(root.join("docs")).expect("a folder");
    let mut pages: Vec<PathBuf> = docs.map(|entry| entry.unwrap().path()).collect();
    assert!(pages.len() > 5);
    pages.extend(
        [
            "README.md",
            "CONTRIBUTING.md",
            "crates/stripe-sandbox/README.md",
        ]
        .map(|page| root.join(page)),
    );
    let readme = page("README.md");
    for page in &pages {
        let name = page.file_name().unwrap().to_string_lossy();
        let listed =
            page.parent() != Some(&root.join("docs")) || readme.contains(&format!("(docs/{name})"));
        assert!(listed, "README.md does not link to docs/{name}");
        let text = std::fs::read_to_string(page).unwrap();
        for link in text.split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = page.parent().unwrap().join(target);
            assert!(path.exists(), "{} links to {target}", page.display());
        }
    }
}

#[test]
fn the_readme_is_short() {
    let lines = page("README.md").lines().count();
    assert!(
        lines <= 200,
        "README.md has {lines} lines; details belong into docs/"
    );
}

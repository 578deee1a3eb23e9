//! Follows the README's section on the command line from top to bottom.

use std::fmt::Write as _;

use super::{Place, TIER};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

/// A command of a `console` block, and the output shown for it.
struct Step {
    command: String,
    output: String,
}

/// The steps of all `console` blocks below the section's heading.
fn steps(readme: &str) -> Vec<Step> {
    let section = readme
        .split("\n## ")
        .find(|section| section.starts_with("The command line\n"));
    let section = section.expect("the README has a section on the command line");
    let mut steps: Vec<Step> = Vec::new();
    let mut in_block = false;
    let mut continues = false;
    for line in section.lines() {
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

#[tokio::test]
async fn the_section_on_the_command_line_can_be_followed() {
    let readme = std::fs::read_to_string(README).unwrap();
    let steps = steps(&readme);
    assert!(steps.len() > 10, "only {} steps were found", steps.len());
    let place = Place::offline();
    let bin = place.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(TIER, bin.join("tier")).unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = format!("{}:{}", bin.display(), path.display());

    let sandbox = ["sandbox", "--addr", "127.0.0.1:0", "--search-lag", "0s"];
    let sandbox = place.tier(&sandbox).started().await;

    for step in steps {
        let mut shell = tokio::process::Command::new("sh");
        let shell = shell
            .args(["-c", &step.command])
            .env_clear()
            .env("PATH", &path)
            .env("HOME", place.path())
            .env("TIER_SANDBOX_URL", sandbox.url())
            .current_dir(place.path());
        let output = shell.output().await.unwrap();
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

#[tokio::test]
async fn the_readme_has_every_flag_and_variable_of_serve() {
    let readme = std::fs::read_to_string(README).unwrap();
    let help = Place::offline().tier(&["serve", "--help"]).ok().await;
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let words = help.split(|c| !inside(c));
    let named: Vec<_> = words
        .filter(|word| word.starts_with("--") || word.starts_with("TIER_"))
        .collect();
    assert!(named.len() > 40, "{help}");
    // These are every command's.
    let others = ["--help", "--json", "--base-url", "TIER_SANDBOX_URL"];
    for name in named.into_iter().filter(|name| !others.contains(name)) {
        assert!(
            readme.contains(&format!("`{name}")),
            "{name} is not in README.md"
        );
    }
}

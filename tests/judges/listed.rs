//! Known disagreements, each with its reason. A disagreement that is not listed fails, and so does a listed
//! disagreement that no longer occurs. A line that begins with `? ` may occur or not, since random tests vary from run
//! to run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

/// Marks a line that need not occur in every run.
const VARIES: &str = "? ";

/// The findings of a judge: each disagreement, with an example of where it occurs.
#[derive(Debug, Default)]
pub(crate) struct Found {
    disagreements: BTreeMap<String, String>,
    /// What was measured, as the verdict prints it.
    pub(crate) summary: String,
}

impl Found {
    /// Adds a disagreement that occurs at this place.
    pub(crate) fn add(&mut self, disagreement: String, example: &str) {
        self.disagreements
            .entry(disagreement)
            .or_insert_with(|| example.to_owned());
    }

    /// The disagreements, in order.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.disagreements.keys().map(String::as_str)
    }
}

/// Prints new disagreements, and listed ones that no longer occur. Succeeds if there are none of either.
pub(crate) fn verdict(judge: &str, found: &Found, file: &Path) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(file);
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    let listed = parse(&text)?;
    let mut failed = false;
    for (disagreement, example) in &found.disagreements {
        if !listed.contains(disagreement.as_str()) {
            println!("not listed: {disagreement}\n            {example}");
            failed = true;
        }
    }
    for line in listed {
        let always = !text
            .lines()
            .any(|whole| whole.strip_prefix(VARIES) == Some(line));
        if always && !found.disagreements.contains_key(line) {
            println!("listed, and no more: {line}");
            failed = true;
        }
    }
    println!("judges: {judge}: {}", found.summary);
    if failed {
        println!(
            "mend the sandbox, or list it with its reason in {}",
            file.display()
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// The listed lines. A line that begins with `#` gives the reason for the lines after it, up to the next empty line.
fn parse(text: &str) -> anyhow::Result<BTreeSet<&str>> {
    let mut listed = BTreeSet::new();
    let mut has_reason = false;
    for line in text.lines() {
        match line.strip_prefix(VARIES).unwrap_or(line) {
            "" => has_reason = false,
            reason if reason.starts_with('#') => has_reason = true,
            line if !has_reason => bail!("listed without a reason: {line}"),
            line if !listed.insert(line) => bail!("listed twice: {line}"),
            _ => {}
        }
    }
    Ok(listed)
}

//! Disagreements that are known, each with its reason. One that is not listed fails, and so does a listed one that is
//! no more. A line
//! that begins with `? ` may be met or not: what random tests come across varies from run to run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

/// Begins a line that a run need not meet.
const VARIES: &str = "? ";

/// What a judge found: each disagreement, and an example of where.
#[derive(Debug, Default)]
pub(crate) struct Found {
    disagreements: BTreeMap<String, String>,
    /// What was measured, for the verdict.
    pub(crate) summary: String,
}

impl Found {
    /// Adds a disagreement that was met at this place.
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

/// Prints what is new and what is gone, and says whether that is nothing.
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

/// The listed lines. Those that begin with `#` are the reason of what follows, up to the next empty line.
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

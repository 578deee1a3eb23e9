//! Reads a pricing.json from a file, the web or standard input, and prints each fault with the line that it is in.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context as _;
use axum::body::Bytes;
use reqwest::header::ACCEPT;
use reqwest::redirect::Policy;

use super::error::CliError;
use super::{http, output};
use crate::domain::pricing::{Fault, Faults, Model};
use crate::position::Position;

/// How long a download may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The service where models were shared in 2023. It no longer exists.
const DEFUNCT_HOST: &str = "model.tier.run";

/// The maximum number of redirects.
const MAX_REDIRECTS: usize = 5;

/// How many characters of a line are printed. Of a longer line, the part around the fault is printed.
const MAX_EXCERPT: usize = 100;

/// How many faults are printed with their lines.
const MAX_FAULTS: usize = 20;

/// The source of a model.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Stdin,
    Web(String),
    File(PathBuf),
}

impl FromStr for Source {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "" => return Err("it names neither a file nor a URL"),
            "-" => Self::Stdin,
            _ if text.starts_with("http://") || text.starts_with("https://") => {
                Self::Web(text.to_owned())
            }
            _ => Self::File(text.into()),
        })
    }
}

/// A model's text.
pub(super) struct Document {
    /// The name of the document in error messages.
    pub(super) name: String,
    pub(super) bytes: Bytes,
}

impl Source {
    /// Reads the whole document.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) async fn read(&self) -> anyhow::Result<Document> {
        let (name, bytes) = match self {
            Self::Stdin => {
                let mut bytes = Vec::new();
                let read = std::io::stdin().read_to_end(&mut bytes);
                read.context("cannot read standard input")?;
                ("(stdin)".to_owned(), bytes.into())
            }
            Self::File(path) => {
                let name = path.display().to_string();
                let bytes = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
                (name, bytes.into())
            }
            Self::Web(url) => {
                let url = http::url(url, "the address of the model")?;
                (http::redacted(&url), fetch(url).await?)
            }
        };
        Ok(Document { name, bytes })
    }
}

async fn fetch(url: reqwest::Url) -> anyhow::Result<Bytes> {
    let redacted = http::redacted(&url);
    if url.host_str() == Some(DEFUNCT_HOST) {
        return Err(CliError::new(format!(
            "{DEFUNCT_HOST} is gone, and the models that were shared there with it"
        ))
        .advise("ask for the model's pricing.json, or for a link made by `tier share`")
        .into());
    }
    let client = http::client(&url, TIMEOUT, Policy::limited(MAX_REDIRECTS))?;
    let answer = client
        .get(url)
        .header(ACCEPT, "application/json")
        .send()
        .await;
    let answer = answer
        .map_err(reqwest::Error::without_url)
        .with_context(|| format!("cannot read {redacted}"))?;
    let status = answer.status();
    anyhow::ensure!(status.is_success(), "cannot read {redacted}: HTTP {status}");
    let body = answer.bytes().await.map_err(reqwest::Error::without_url);
    body.with_context(|| format!("cannot read {redacted}"))
}

impl Document {
    /// Parses the model. This makes no calls.
    ///
    /// # Errors
    /// If the model has faults. The error has all of them, each with its line.
    pub(super) fn model(&self) -> anyhow::Result<Model> {
        Model::parse_bytes(&self.bytes).map_err(|faults| self.refusal(&faults).into())
    }

    /// Parts that are valid, but may be mistakes.
    pub(super) fn warnings(&self, model: &Model) -> Vec<String> {
        let mut warnings = model.warnings();
        if model.plans.is_empty() {
            warnings.push(format!(
                "{} has no plans: there is nothing to push",
                self.name
            ));
        }
        warnings
    }

    /// The error for a model with faults.
    pub(super) fn refusal(&self, faults: &Faults) -> CliError {
        let count = output::plural(faults.count(), "fault");
        let mut message = format!("{} is not a valid model: {count}", self.name);
        let text = String::from_utf8_lossy(&self.bytes);
        let lines: Vec<&str> = text.lines().collect();
        for fault in faults.iter().take(MAX_FAULTS) {
            message.push('\n');
            self.show(&mut message, fault, &lines);
        }
        let rest = faults.count().saturating_sub(MAX_FAULTS);
        if rest > 0 {
            write!(message, "\nand {rest} more").expect("a String takes everything");
        }
        CliError::new(message).code("invalid_request")
    }

    fn show(&self, message: &mut String, fault: &Fault, lines: &[&str]) {
        let name = &self.name;
        let detail = match &fault.detail {
            Some(detail) => format!(": {detail}"),
            None => String::new(),
        };
        let fault_text = output::printable(&format!("{fault}{detail}"));
        let written = match fault.position {
            None => write!(message, "{name}: {fault_text}"),
            Some(Position { line, column }) => {
                let (excerpt, marker) = excerpt(lines.get(line - 1).unwrap_or(&""), column);
                write!(
                    message,
                    "{name}:{line}:{column}: {fault_text}\n{line:>5} | {excerpt}\n      | {marker}"
                )
            }
        };
        written.expect("a String takes everything");
    }
}

/// The part of a line around a column, and a marker for the line below it.
fn excerpt(line: &str, column: usize) -> (String, String) {
    let chars: Vec<char> = output::printable(&line.replace('\t', " "))
        .chars()
        .collect();
    let at = column.saturating_sub(1).min(chars.len());
    let start = if chars.len() > MAX_EXCERPT {
        at.saturating_sub(MAX_EXCERPT / 2)
    } else {
        0
    };
    let end = chars.len().min(start + MAX_EXCERPT);
    let before = if start > 0 { "…" } else { "" };
    let after = if end < chars.len() { "…" } else { "" };
    let excerpt: String = chars[start..end].iter().collect();
    let spaces = " ".repeat(at - start + before.chars().count());
    (format!("{before}{excerpt}{after}"), format!("{spaces}^"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_recognized_by_its_form() {
        let source = |text: &str| text.parse::<Source>().unwrap();
        assert!(matches!(source("-"), Source::Stdin));
        assert!(matches!(
            source("https://example.com/p.json"),
            Source::Web(_)
        ));
        assert!(matches!(source("pricing.json"), Source::File(_)));
        assert!(matches!(source("./http"), Source::File(_)));
        assert!("".parse::<Source>().is_err());
    }

    #[test]
    fn a_fault_is_marked_in_its_line() {
        let line = "\t\"upto\": é0,";
        assert_eq!(
            excerpt(line, 10),
            (" \"upto\": é0,".to_owned(), "         ^".to_owned())
        );
        assert_eq!(excerpt("", 1), (String::new(), "^".to_owned()));
        let long = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let (text, marker) = excerpt(&long, 501);
        let under_it = text.chars().nth(marker.chars().count() - 1);
        assert_eq!(under_it, Some('X'));
        assert_eq!(text.chars().count(), MAX_EXCERPT + 2);
    }
}

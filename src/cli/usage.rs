//! `tier limits` and `tier report`.

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;

use super::{Context, output, suggest};
use crate::domain::pricing::NO_LIMIT;

/// Arguments of `tier limits`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tier limits org:acme
  tier limits --json org:acme | jq '.usage[] | select(.used >= .limit)'")]
pub(super) struct LimitsArgs {
    /// The org, as org:NAME
    org: String,
}

/// Answer of `/v1/limits`.
#[derive(Deserialize)]
pub(super) struct LimitsAnswer {
    usage: Vec<FeatureUsage>,
}

#[derive(Deserialize)]
struct FeatureUsage {
    feature: String,
    used: i64,
    limit: i64,
}

impl LimitsAnswer {
    /// The names of the features that the org has.
    pub(super) fn features(self) -> Vec<String> {
        self.usage.into_iter().map(|row| row.feature).collect()
    }
}

/// A table of limits and usage.
pub(super) async fn limits(context: &Context, arguments: &LimitsArgs) -> anyhow::Result<()> {
    let client = context.client().await?;
    let answer = client.get("/v1/limits", &[("org", &arguments.org)]).await?;
    if context.global.json {
        return output::bytes(&answer.body);
    }
    let limits: LimitsAnswer = answer.decode()?;
    let rows = limits.usage.into_iter().map(|row| {
        let limit = match row.limit {
            NO_LIMIT => "∞".to_owned(),
            limit => limit.to_string(),
        };
        vec![row.feature, limit, row.used.to_string()]
    });
    output::table("FEATURE LIMIT USED", rows)
}

/// Arguments of `tier report`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tier report org:acme feature:convert 1
  tier report --clobber org:acme feature:seats 5
  tier report --at 2030-01-31T12:00:00Z org:acme feature:convert 10")]
pub(super) struct Report {
    /// Set the total of the period instead of adding to it
    #[arg(long)]
    clobber: bool,

    /// The time of the usage, as RFC 3339 or in Unix seconds, instead of now
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    at: Option<DateTime<Utc>>,

    /// The org, as org:NAME
    org: String,

    /// The feature, as feature:NAME
    feature: String,

    /// The number of units
    #[arg(allow_negative_numbers = true)]
    n: i64,
}

impl Report {
    /// The message for people after a success.
    fn done(&self) -> String {
        let Self {
            org, feature, n, ..
        } = self;
        if self.clobber {
            format!("{feature} of {org} is set to {n}")
        } else {
            format!("{n} of {feature} recorded for {org}")
        }
    }
}

/// Parses RFC 3339 or Unix seconds.
pub(super) fn timestamp(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(seconds) = text.parse() {
        let time = DateTime::from_timestamp(seconds, 0);
        return time.ok_or_else(|| "out of range".to_owned());
    }
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .map_err(|_| "expected a time like 2030-01-31T12:00:00Z, or Unix seconds".to_owned())
}

/// Records usage.
pub(super) async fn report(context: &Context, arguments: &Report) -> anyhow::Result<()> {
    let Report { org, feature, .. } = arguments;
    let mut body = json!({
        "org": org,
        "feature": feature,
        "n": arguments.n,
        "clobber": arguments.clobber,
    });
    if let Some(at) = arguments.at {
        body["at"] = json!(at.to_rfc3339());
    }
    let client = context.client().await?;
    match client.post("/v1/report", &body).await {
        Ok(answer) => context
            .print_done(&answer, arguments.done())
            .context("usage was recorded"),
        Err(error) => Err(suggest::for_feature(&client, org, feature, error).await),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_rfc_3339_or_unix_seconds() {
        let expected = Ok(DateTime::from_timestamp(1_672_531_200, 0).expect("a time"));
        for text in [
            "1672531200",
            "2023-01-01T00:00:00Z",
            "2023-01-01T01:00:00+01:00",
        ] {
            assert_eq!(timestamp(text), expected, "{text}");
        }
        for text in ["", "tomorrow", "2023-01-01", "9223372036854775807"] {
            assert!(timestamp(text).is_err(), "{text}");
        }
    }
}

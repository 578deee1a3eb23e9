//! `tier usage`: usage over time.

use chrono::{DateTime, Utc};
use clap::ValueEnum;
use serde::Deserialize;
use serde_json::Value;

use super::client::{Answer, Client};
use super::usage::{LimitsAnswer, timestamp};
use super::{Context, output};

/// The width of the longest bar, in characters.
const WIDTH: u32 = 40;

/// Arguments of `tier usage`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Needs a server with a ledger (`tier serve --ledger`), named by TIER_BASE_URL.

Examples:
  tier usage org:acme
  tier usage org:acme feature:convert --by hour
  tier usage org:acme --by period --json")]
pub(super) struct UsageArgs {
    /// The org, as org:NAME
    org: String,

    /// The feature, as feature:NAME; without it, all features of the org
    feature: Option<String>,

    /// The length of a row
    #[arg(long, value_enum, default_value_t = By::Day)]
    by: By,

    /// The start, as RFC 3339 or in Unix seconds [default: a day ago by hours, 30 days ago by days]
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    from: Option<DateTime<Utc>>,

    /// The end [default: now]
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    to: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    Hour,
    Day,
    Period,
}

impl By {
    fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Period => "period",
        }
    }
}

/// Answer of `/v1/usage`.
#[derive(Deserialize)]
struct UsageAnswer {
    feature: String,
    usage: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    from: DateTime<Utc>,
    n: i64,
    total: i64,
}

/// A table of usage over time, with a bar for each row.
pub(super) async fn run(context: &Context, arguments: &UsageArgs) -> anyhow::Result<()> {
    let client = context.client().await?;
    if let (Some(feature), true) = (&arguments.feature, context.global.json) {
        return output::bytes(&usage_of(&client, arguments, feature).await?.body);
    }
    let features = if let Some(feature) = &arguments.feature {
        vec![feature.clone()]
    } else {
        let limits = client.get("/v1/limits", &[("org", &arguments.org)]).await?;
        limits.decode::<LimitsAnswer>()?.features()
    };
    let mut answers = Vec::new();
    for feature in &features {
        answers.push(usage_of(&client, arguments, feature).await?);
    }
    if context.global.json {
        let answers: Result<Vec<Value>, _> = answers.iter().map(Answer::decode).collect();
        return output::json(&answers?);
    }
    let answers: Result<Vec<UsageAnswer>, _> = answers.iter().map(Answer::decode).collect();
    let rows = answers?.into_iter().flat_map(|answer| rows(&answer));
    output::table("FEATURE FROM N TOTAL ", rows)
}

async fn usage_of(client: &Client, arguments: &UsageArgs, feature: &str) -> anyhow::Result<Answer> {
    let time = |time: Option<DateTime<Utc>>| time.map(rfc3339).unwrap_or_default();
    let (from, to) = (time(arguments.from), time(arguments.to));
    let query = [
        ("org", arguments.org.as_str()),
        ("feature", feature),
        ("by", arguments.by.name()),
        ("from", &from),
        ("to", &to),
    ];
    client.get("/v1/usage", &query).await
}

/// The rows of a feature, with bars as long as its usage.
fn rows(answer: &UsageAnswer) -> Vec<Vec<String>> {
    let max = answer.usage.iter().map(|row| row.n.unsigned_abs()).max();
    let max = max.unwrap_or(0);
    let rows = answer.usage.iter().map(|row| {
        vec![
            answer.feature.clone(),
            rfc3339(row.from),
            row.n.to_string(),
            row.total.to_string(),
            bar(row.n, max),
        ]
    });
    rows.collect()
}

/// A bar of blocks, as long as `n` is of `max`. Negative usage has another kind of block.
fn bar(n: i64, max: u64) -> String {
    let block = if n < 0 { "░" } else { "█" };
    let max = u128::from(max.max(1));
    let blocks = u128::from(n.unsigned_abs()) * u128::from(WIDTH);
    let blocks = usize::try_from(blocks.div_ceil(max)).unwrap_or(0);
    block.repeat(blocks)
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_the_usage() {
        assert_eq!(bar(0, 0), "");
        assert_eq!(bar(0, 10), "");
        assert_eq!(bar(10, 10).chars().count(), 40);
        assert_eq!(bar(5, 10).chars().count(), 20);
        assert_eq!(bar(1, i64::MAX.unsigned_abs()), "█", "something is seen");
        assert_eq!(bar(-10, 10), "░".repeat(40));
        assert_eq!(bar(i64::MIN, u64::MAX / 2 + 1).chars().count(), 40);
    }
}

//! `tier clock`: creates, shows and advances test clocks.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Months, SecondsFormat, TimeDelta, Utc};
use clap::Subcommand;
use serde::Deserialize;
use serde_json::json;

use super::client::{Answer, Client};
use super::usage::timestamp;
use super::{Context, output};
use clock::Clock;

/// How often an advancing clock is polled.
const CHECK_EVERY: Duration = Duration::from_millis(250);

/// Arguments of `tier clock`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  export TIER_CLOCK=$(tier clock create)         from now on, commands act on orgs of this clock
  tier subscribe org:acme plan:pro@1
  tier clock advance org:acme 1mo
  tier clock advance clock_1NcY3v 36h
  tier clock show org:acme

Units are h, d, w, mo and y. An org is on a clock if it was made with one.")]
pub(super) struct ClockArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create a test clock, and print its id
    Create {
        /// A name for display
        #[arg(default_value = "tier")]
        name: String,

        /// The time that the clock shows, as RFC 3339 or in Unix seconds, instead of now
        #[arg(long, value_name = "TIME", value_parser = timestamp)]
        at: Option<DateTime<Utc>>,
    },
    /// Print the time of a clock
    Show {
        /// The id of a clock, or an org that is on it
        #[arg(value_name = "ORG|CLOCK")]
        which: String,
    },
    /// Advance a clock, and wait until everything that is due has happened
    Advance {
        /// The id of a clock, or an org that is on it
        #[arg(value_name = "ORG|CLOCK")]
        which: String,

        /// By how much, like 36h, 10d, 2w, 1mo or 1y
        #[arg(value_name = "DURATION")]
        by: Span,
    },
}

/// A length of time. Months and years are calendar ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Span {
    Exactly(TimeDelta),
    Months(Months),
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("expected a number and h, d, w, mo or y, like 1mo: {text:?}");
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let number: u32 = number.parse().map_err(|_| wrong())?;
        let exactly = match unit {
            "h" => TimeDelta::try_hours(number.into()),
            "d" => TimeDelta::try_days(number.into()),
            "w" => TimeDelta::try_weeks(number.into()),
            "mo" => return Ok(Self::Months(Months::new(number))),
            "y" => {
                let months = number.checked_mul(12).ok_or_else(wrong)?;
                return Ok(Self::Months(Months::new(months)));
            }
            _ => None,
        };
        exactly.map(Self::Exactly).ok_or_else(wrong)
    }
}

impl Span {
    fn after(self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Exactly(span) => time.checked_add_signed(span),
            Self::Months(months) => time.checked_add_months(months),
        }
    }
}

/// Answer of `/v1/clock`.
#[derive(Deserialize)]
struct TestClock {
    id: String,
    present: DateTime<Utc>,
    status: String,
}

/// Creates, shows and advances test clocks.
pub(super) async fn run(context: &Context, arguments: &ClockArgs) -> anyhow::Result<()> {
    let client = context.client().await?;
    match &arguments.action {
        Action::Create { name, at } => {
            let present = at.unwrap_or_else(|| Clock::system().now());
            let request = json!({"name": name, "present": rfc3339(present)});
            let answer = client.post("/v1/clock", &request).await?;
            if context.global.json {
                return output::text(&answer.body);
            }
            output::line(answer.decode::<TestClock>()?.id)
        }
        Action::Show { which } => print(context, &read_clock(&client, which).await?),
        Action::Advance { which, by } => {
            let clock: TestClock = read_clock(&client, which).await?.decode()?;
            let Some(present) = by.after(clock.present) else {
                anyhow::bail!("that is later than any clock can show");
            };
            let request = json!({"id": clock.id, "present": rfc3339(present)});
            client.post("/v1/clock", &request).await?;
            let ready = output::with_spinner("waiting for Stripe", advanced(&client, &clock.id));
            print(context, &ready.await?)
        }
    }
}

/// Waits until the clock is no longer advancing, and returns it.
async fn advanced(client: &Client, id: &str) -> anyhow::Result<Answer> {
    loop {
        let answer = read_clock(client, id).await?;
        match answer.decode::<TestClock>()?.status.as_str() {
            "advancing" => tokio::time::sleep(CHECK_EVERY).await,
            "ready" => return Ok(answer),
            status => anyhow::bail!("the clock {id} is {status}, and can no longer be used"),
        }
    }
}

/// Reads a clock by its id, or by an org that is on it.
async fn read_clock(client: &Client, which: &str) -> anyhow::Result<Answer> {
    let by = if which.starts_with("org:") {
        "org"
    } else {
        "id"
    };
    client.get("/v1/clock", &[(by, which)]).await
}

fn print(context: &Context, answer: &Answer) -> anyhow::Result<()> {
    if context.global.json {
        return output::text(&answer.body);
    }
    let TestClock {
        id,
        present,
        status,
    } = answer.decode()?;
    let row = vec![id, rfc3339(present), status];
    output::table("CLOCK PRESENT STATUS", [row])
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later(time: &str, span: &str) -> String {
        let time: DateTime<Utc> = time.parse().unwrap();
        let span: Span = span.parse().unwrap();
        rfc3339(span.after(time).unwrap())
    }

    #[test]
    fn months_are_calendar_months() {
        assert_eq!(later("2024-01-31T10:00:00Z", "1mo"), "2024-02-29T10:00:00Z");
        assert_eq!(later("2024-02-29T10:00:00Z", "1y"), "2025-02-28T10:00:00Z");
        assert_eq!(later("2024-01-31T10:00:00Z", "36h"), "2024-02-01T22:00:00Z");
        assert_eq!(later("2024-01-31T10:00:00Z", "2w"), "2024-02-14T10:00:00Z");
        assert_eq!(later("2024-01-31T10:00:00Z", "10d"), "2024-02-10T10:00:00Z");
    }

    #[test]
    fn malformed_durations_are_refused() {
        for text in [
            "",
            "1",
            "mo",
            "1m",
            "-1d",
            "1.5d",
            "99999999999d",
            "4294967295y",
            "1 mo",
        ] {
            assert!(text.parse::<Span>().is_err(), "{text:?}");
        }
    }
}

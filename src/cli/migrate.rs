//! `tier migrate`: moves all orgs of a plan to another one.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Answer, Client};
use super::confirm::Confirmation;
use super::error::CliError;
use super::usage::timestamp;
use super::{Context, output};

const PATH: &str = "/v1/migrate";

/// How often the progress of a migration is polled.
const TICK: Duration = Duration::from_millis(200);

/// How many orgs a page of a dry run has.
const PAGE: usize = 100;

/// Arguments of `tier migrate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each org that has the plan, or is scheduled to get it, is moved as by `tier subscribe`: its trial, coupon, quantities, other \
plans and scheduled changes stay. --id continues an interrupted migration; no org is moved twice.

--to-meters is for an account whose metered prices are billed by usage records, which newer versions of Stripe's API do not \
support. Each plan on sale is pushed again with billing meters, as its next version, and each org gets a new subscription to \
that when its billing period ends. Plans without metered features stay.

Examples:
  tier migrate --dry-run plan:pro@1 plan:pro@2     shows each org's next bill
  tier migrate plan:pro@1 plan:pro@2
  tier migrate --at period-end plan:pro@1 plan:pro@2
  tier migrate --org org:acme --org org:b plan:pro@1 plan:pro@2
  tier migrate --to-meters --dry-run               shows the plans and the orgs
  tier migrate --to-meters                         at the end of each billing period
  tier migrate --id mig_0123456789abcdef           continues")]
pub(super) struct Migrate {
    /// When: now, period-end, or a date like 2030-01-31 or 2030-01-31T12:00:00Z [default: now, with --to-meters
    /// period-end]
    #[arg(long, value_parser = at)]
    at: Option<String>,

    /// Only this org; repeatable
    #[arg(long = "org", value_name = "ORG")]
    orgs: Vec<String>,

    /// Only show what would change for each org
    #[arg(long)]
    dry_run: bool,

    /// Move all orgs from usage records to billing meters
    #[arg(long, conflicts_with_all = ["from", "to"])]
    to_meters: bool,

    /// Continue an interrupted migration
    #[arg(long, value_name = "ID", conflicts_with_all = ["at", "orgs", "dry_run", "to_meters", "from", "to"])]
    id: Option<String>,

    #[command(flatten)]
    confirmation: Confirmation,

    /// The plan to move orgs from, as plan:NAME@VERSION
    #[arg(required_unless_present_any = ["id", "to_meters"])]
    from: Option<String>,

    /// The plan to move them to
    #[arg(required_unless_present_any = ["id", "to_meters"])]
    to: Option<String>,
}

/// Answer of `/v1/migrate`.
#[derive(Deserialize)]
struct Migration {
    id: Option<String>,
    state: String,
    total: usize,
    done: usize,
    failed: Vec<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    org: String,
    code: String,
    message: String,
}

#[derive(Deserialize)]
struct Move {
    org: String,
    effective: DateTime<Utc>,
    next_bill: Option<i64>,
    next_bill_now: Option<i64>,
    over_limit: Vec<String>,
}

/// Parses a time into the form of the API.
fn at(text: &str) -> Result<String, String> {
    match text {
        "now" => Ok(text.to_owned()),
        "period-end" | "period_end" => Ok("period_end".to_owned()),
        _ => {
            let day = timestamp(&format!("{text}T00:00:00Z"));
            let time = day.or_else(|_| timestamp(text));
            let time = time.map_err(
                |_| "expected now, period-end, or a date like 2030-01-31 or 2030-01-31T12:00:00Z",
            )?;
            Ok(time.to_rfc3339())
        }
    }
}

impl Migrate {
    fn request(&self) -> Value {
        if let Some(id) = &self.id {
            return json!({ "id": id });
        }
        let mut request = if self.to_meters {
            json!({ "to_meters": true })
        } else {
            json!({ "from": self.from, "to": self.to })
        };
        if let Some(at) = &self.at {
            request["at"] = json!(at);
        }
        if !self.orgs.is_empty() {
            request["orgs"] = json!(self.orgs);
        }
        request
    }

    /// The question to confirm.
    fn question(&self) -> String {
        let orgs = match self.orgs.len() {
            0 => "all orgs".to_owned(),
            count => output::plural(count, "org"),
        };
        match (&self.from, &self.to) {
            _ if self.to_meters => {
                format!("Move {orgs} from usage records to billing meters in the live account?")
            }
            (Some(from), Some(to)) => {
                format!("Move {orgs} from {from} to {to} in the live account?")
            }
            _ => "Continue the migration in the live account?".to_owned(),
        }
    }
}

/// Moves the orgs, or shows what would change for them.
pub(super) async fn run(context: &Context, arguments: &Migrate) -> anyhow::Result<()> {
    let client = context.client().await?;
    if arguments.dry_run {
        return show_plan(context, &client, arguments).await;
    }
    arguments
        .confirmation
        .ask(client.is_live(), &arguments.question())?;
    let started: Migration = client.post(PATH, &arguments.request()).await?.decode()?;
    let id = started.id.unwrap_or_default();
    if started.state != "done" && !context.global.json {
        output::done(format_args!("{id} has begun"))?;
    }
    let answer = tokio::select! {
        answer = until_done(&client, &id, started.total) => answer?,
        _ = tokio::signal::ctrl_c() => {
            let advice = format!("`tier migrate --id {id}` continues it");
            return Err(CliError::new("interrupted").advise(advice).into());
        }
    };
    if context.global.json {
        output::text(&answer.body)?;
    }
    let migration: Migration = answer.decode()?;
    if !context.global.json {
        for failure in &migration.failed {
            output::line(failure.text())?;
        }
    }
    let moved = format!(
        "{} of {} moved",
        migration.done,
        output::plural(migration.total, "org")
    );
    if migration.done < migration.total {
        let advice = format!("`tier migrate --id {id}` retries the others");
        return Err(CliError::new(moved).advise(advice).into());
    }
    if context.global.json {
        return Ok(());
    }
    output::done(moved)
}

/// Waits until the migration has ended. A terminal shows how many orgs are done.
async fn until_done(client: &Client, id: &str, total: usize) -> anyhow::Result<Answer> {
    let done = std::sync::atomic::AtomicUsize::new(0);
    let ordering = std::sync::atomic::Ordering::Relaxed;
    let work = async {
        loop {
            let answer = client.get(PATH, &[("id", id)]).await?;
            let migration: Migration = answer.decode()?;
            done.store(migration.done, ordering);
            if migration.state == "done" {
                return Ok(answer);
            }
            tokio::time::sleep(TICK).await;
        }
    };
    output::with_progress("moving orgs", total, || done.load(ordering), work).await
}

/// Prints what would change for each org, and for all bills together.
async fn show_plan(context: &Context, client: &Client, arguments: &Migrate) -> anyhow::Result<()> {
    let pages = plan(client, arguments.request());
    let Planned {
        moves,
        failed,
        plans,
    } = output::with_spinner("asking Stripe", pages).await?;
    if context.global.json {
        let mut all = json!({ "orgs": moves, "failed": failed });
        if let Some(plans) = plans {
            all["plans"] = plans;
        }
        return output::json(&all);
    }
    let plans: BTreeMap<String, String> = plans
        .map(serde_json::from_value)
        .transpose()?
        .unwrap_or_default();
    for (from, to) in plans {
        output::line(format_args!("{from} becomes {to}"))?;
    }
    let moves: Vec<Move> = serde_json::from_value(moves.into())?;
    let failed: Vec<Failure> = serde_json::from_value(failed.into())?;
    for failure in &failed {
        output::note(failure.text());
    }
    let summary = summary(&moves);
    output::table(
        "ORG EFFECTIVE BILL NEW OVER",
        moves.into_iter().map(Move::cells),
    )?;
    output::line(summary)
}

/// A dry run.
#[derive(Default)]
struct Planned {
    /// The rows of all pages.
    moves: Vec<Value>,
    /// The orgs that cannot be moved.
    failed: Vec<Value>,
    /// With `--to-meters`, the plans and what each of them becomes.
    plans: Option<Value>,
}

/// Reads all pages.
async fn plan(client: &Client, mut request: Value) -> anyhow::Result<Planned> {
    request["dry_run"] = json!(true);
    request["limit"] = json!(PAGE);
    let mut planned = Planned::default();
    loop {
        let answer = client.post(PATH, &request).await?;
        let mut page: Value = answer.decode()?;
        let mut take = |field: &str, into: &mut Vec<Value>| {
            if let Value::Array(rows) = page[field].take() {
                into.extend(rows);
            }
        };
        take("orgs", &mut planned.moves);
        take("failed", &mut planned.failed);
        planned.plans = page.get_mut("plans").map(Value::take);
        match page["next"].take() {
            Value::Null => return Ok(planned),
            next => request["after"] = next,
        }
    }
}

impl Failure {
    fn text(&self) -> String {
        let message = output::printable(&self.message);
        format!(
            "{}: {message} ({})",
            output::printable(&self.org),
            self.code
        )
    }
}

impl Move {
    fn cells(self) -> Vec<String> {
        let cents =
            |bill: Option<i64>| bill.map_or_else(|| "-".to_owned(), |bill| bill.to_string());
        let over = if self.over_limit.is_empty() {
            "-".to_owned()
        } else {
            self.over_limit.join(" ")
        };
        let effective = self.effective.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        vec![
            self.org,
            effective,
            cents(self.next_bill_now),
            cents(self.next_bill),
            over,
        ]
    }
}

/// The sum over all orgs.
fn summary(moves: &[Move]) -> String {
    let sum = |bill: fn(&Move) -> Option<i64>| {
        moves.iter().filter_map(bill).map(i128::from).sum::<i128>()
    };
    let (before, after) = (
        sum(|planned| planned.next_bill_now),
        sum(|planned| planned.next_bill),
    );
    let over = moves
        .iter()
        .filter(|planned| !planned.over_limit.is_empty())
        .count();
    format!(
        "{}: next bills of {before} become {after}, {over} above a limit",
        output::plural(moves.len(), "org")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_word_a_date_or_a_timestamp() {
        for (text, time) in [
            ("now", "now"),
            ("period-end", "period_end"),
            ("period_end", "period_end"),
            ("2030-01-31", "2030-01-31T00:00:00+00:00"),
            ("2030-01-31T12:00:00+01:00", "2030-01-31T11:00:00+00:00"),
            ("1893456000", "2030-01-01T00:00:00+00:00"),
        ] {
            assert_eq!(at(text).as_deref(), Ok(time));
        }
        for text in ["", "later", "2030-02-31", "31.1.2030"] {
            assert!(at(text).is_err(), "{text}");
        }
    }
}

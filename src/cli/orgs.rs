//! `tier orgs`: lists orgs with their plans.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Client;
use super::{Context, output};

/// The size of a page, which is the API's maximum.
pub(super) const PAGE: &str = "1000";

/// Arguments of `tier orgs`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tier orgs
  tier orgs --plan plan:pro            any version of the plan
  tier orgs --plan plan:pro@1 --over-limit
  tier orgs --status past_due --csv > late.csv
  tier orgs --json | jq '.orgs[].org'")]
pub(super) struct Orgs {
    /// Only orgs with this plan, as plan:NAME or plan:NAME@VERSION
    #[arg(long, value_name = "PLAN")]
    plan: Option<String>,

    /// Only orgs with this feature, as feature:NAME or feature:NAME@plan:NAME@VERSION
    #[arg(long, value_name = "FEATURE")]
    feature: Option<String>,

    /// Only orgs with this status: trialing, active, `past_due`, unpaid, paused, incomplete, canceled, none
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,

    /// Only orgs that have exceeded a limit
    #[arg(long)]
    over_limit: bool,

    /// Print comma-separated values
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

/// A page of the list.
#[derive(Deserialize)]
struct Page {
    orgs: Vec<Value>,
    next: Option<String>,
}

/// An org of the list.
#[derive(Deserialize)]
struct Org {
    #[serde(rename = "org")]
    name: String,
    stripe_id: String,
    plans: Vec<String>,
    fragments: Vec<String>,
    status: String,
    since: DateTime<Utc>,
    current: Option<Period>,
    trial: bool,
    cancel_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct Period {
    end: DateTime<Utc>,
}

impl Orgs {
    fn query(&self) -> Vec<(&'static str, &str)> {
        let mut query = vec![("limit", PAGE)];
        let filters = [
            ("plan", &self.plan),
            ("feature", &self.feature),
            ("status", &self.status),
        ];
        let filters = filters.into_iter();
        query.extend(filters.filter_map(|(name, value)| Some((name, value.as_deref()?))));
        if self.over_limit {
            query.push(("over_limit", "true"));
        }
        query
    }
}

/// Prints all orgs that match.
pub(super) async fn run(context: &Context, arguments: &Orgs) -> anyhow::Result<()> {
    let client = context.client().await?;
    let orgs = output::with_spinner("listing orgs", list(&client, &arguments.query())).await?;
    if context.global.json {
        return output::json(&json!({ "orgs": orgs }));
    }
    let orgs: Vec<Org> = serde_json::from_value(orgs.into())?;
    if arguments.csv {
        output::line("org,stripe_id,plans,fragments,status,since,period_end,trial,cancel_at")?;
        for org in orgs {
            output::line(org.csv())?;
        }
        return Ok(());
    }
    output::table(
        "ORG PLANS STATUS SINCE RENEWS ENDS",
        orgs.into_iter().map(Org::cells),
    )
}

/// All orgs of all pages.
pub(super) async fn list(client: &Client, query: &[(&str, &str)]) -> anyhow::Result<Vec<Value>> {
    let mut orgs = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut query = query.to_vec();
        query.extend(after.as_deref().map(|after| ("after", after)));
        let page: Page = client.get("/v1/orgs", &query).await?.decode()?;
        orgs.extend(page.orgs);
        after = page.next;
        if after.is_none() {
            return Ok(orgs);
        }
    }
}

impl Org {
    /// The plans, and the single features of other plans, that the org has.
    fn plans_and_fragments(&self) -> impl Iterator<Item = &str> {
        self.plans.iter().chain(&self.fragments).map(String::as_str)
    }

    /// A row of the table.
    fn cells(self) -> Vec<String> {
        let plans: Vec<&str> = self.plans_and_fragments().collect();
        let plans = if plans.is_empty() {
            "-".to_owned()
        } else {
            plans.join(" ")
        };
        let day = |time: DateTime<Utc>| time.format("%Y-%m-%d").to_string();
        let day_or_none = |time: Option<DateTime<Utc>>| time.map_or_else(|| "-".to_owned(), day);
        // A subscription that ends with the period does not renew.
        let renews = self.current.map(|current| current.end);
        let renews = renews.filter(|end| self.cancel_at.is_none_or(|ends| ends > *end));
        let ends = day_or_none(self.cancel_at);
        vec![
            self.name,
            plans,
            self.status,
            day(self.since),
            day_or_none(renews),
            ends,
        ]
    }

    /// A line of comma-separated values.
    fn csv(self) -> String {
        let time = |time: Option<DateTime<Utc>>| {
            time.map(|time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string())
                .unwrap_or_default()
        };
        let cells = [
            self.name,
            self.stripe_id,
            self.plans.join(" "),
            self.fragments.join(" "),
            self.status,
            time(Some(self.since)),
            time(self.current.map(|current| current.end)),
            self.trial.to_string(),
            time(self.cancel_at),
        ];
        cells.map(|cell| field(&cell)).join(",")
    }
}

/// A field of comma-separated values. A spreadsheet must not interpret a name as a formula.
fn field(text: &str) -> String {
    let text = output::printable(text);
    let is_formula = text.starts_with(['=', '+', '-', '@']);
    if is_formula || text.contains([',', '"']) {
        let prefix = if is_formula { "'" } else { "" };
        return format!("\"{prefix}{}\"", text.replace('"', "\"\""));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_quoted_where_necessary() {
        for (text, quoted) in [
            ("org:acme", "org:acme"),
            ("org:a, inc", "\"org:a, inc\""),
            ("org:\"a\"", "\"org:\"\"a\"\"\""),
            ("=1+1", "\"'=1+1\""),
            ("org:a\nb", "org:a\u{fffd}b"),
        ] {
            assert_eq!(field(text), quoted);
        }
    }
}

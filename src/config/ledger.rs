//! Where usage is kept before Stripe is told of it.

use std::path::PathBuf;

use clap::Args;

use super::TimeSpan;

/// Entries carry the idempotency keys of reports, which are promised to be known for this long.
const SHORTEST_KEEP: TimeSpan = TimeSpan::days(35);

/// Where usage is kept before Stripe is told of it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Ledger of usage")]
pub struct Ledger {
    /// Keep usage in this file (SQLite), which is made if there is none: a report is answered once it is on disk, and Stripe
    /// is told the totals afterwards. Not with --cloud
    #[arg(long, env = "TIER_LEDGER", value_name = "FILE")]
    pub ledger: Option<PathBuf>,

    /// How long a report waits for others that Stripe is told with it, with --ledger. Stripe takes some 200 changes of
    /// quantity an hour for a subscription
    #[arg(
        long,
        env = "TIER_DELIVER_AFTER",
        value_name = "DURATION",
        default_value = "30s"
    )]
    pub deliver_after: TimeSpan,

    /// How long the reports of periods that are over and settled are kept one by one, with --ledger; 35 days at least.
    /// After that they are kept as daily totals
    #[arg(
        long,
        env = "TIER_LEDGER_KEEP",
        value_name = "DURATION",
        default_value = "400d",
        value_parser = keep
    )]
    pub ledger_keep: TimeSpan,
}

fn keep(text: &str) -> Result<TimeSpan, String> {
    let span: TimeSpan = text.parse()?;
    if span.0 < SHORTEST_KEEP.0 {
        return Err(
            "that is too short: 35d at least, for as long as idempotency keys are known".to_owned(),
        );
    }
    Ok(span)
}

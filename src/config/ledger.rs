//! Settings of the ledger, which stores usage before it is sent to Stripe.

use std::path::PathBuf;

use clap::Args;

use super::TimeSpan;

/// Entries have the idempotency keys of reports, which the server promises to recognize for this long.
const SHORTEST_KEEP: TimeSpan = TimeSpan::days(35);

/// Settings of the ledger, which stores usage before it is sent to Stripe.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Ledger of usage")]
pub struct Ledger {
    /// Store usage in this SQLite file, which is created if it does not exist. A report is answered once it is on disk,
    /// and the totals are sent to Stripe afterwards. Not with --cloud
    #[arg(long, env = "TIER_LEDGER", value_name = "FILE")]
    pub ledger: Option<PathBuf>,

    /// How long a report waits, so that others can be sent to Stripe with it, with --ledger. Stripe accepts about 200
    /// changes of quantity an hour for a subscription
    #[arg(
        long,
        env = "TIER_DELIVER_AFTER",
        value_name = "DURATION",
        default_value = "30s"
    )]
    pub deliver_after: TimeSpan,

    /// How long single reports are kept once their period is over and settled, with --ledger; at least 35 days. After
    /// that, only daily totals are kept
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

//! Settings of the ledger, which stores usage before it is sent to Stripe.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::TimeSpan;

/// Entries hold the idempotency keys of reports, which the server promises to recognize for this long.
const SHORTEST_KEEP: TimeSpan = TimeSpan::days(35);

/// Reading more often would overload the database, and reading less often would make answers stale.
const SHORTEST_SYNC: Duration = Duration::from_millis(50);
const LONGEST_SYNC: Duration = Duration::from_secs(10);

/// Settings of the ledger, which stores usage before it is sent to Stripe.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Ledger of usage")]
pub struct Ledger {
    /// Store usage in this SQLite file, which is created if it does not exist, or in the PostgreSQL database of a
    /// `postgres://` URL, which servers can share. A report is answered once it is stored, and the totals are sent to
    /// Stripe afterwards. Not with --cloud
    #[arg(
        long,
        env = "TIER_LEDGER",
        value_name = "FILE|URL",
        hide_env_values = true
    )]
    pub ledger: Option<PathBuf>,

    /// How often a server reads what other servers have changed in a shared ledger
    #[arg(
        long,
        env = "TIER_SYNC_EVERY",
        value_name = "DURATION",
        default_value = "500ms",
        value_parser = sync
    )]
    pub sync_every: TimeSpan,

    /// How many connections a server may have to the database of a shared ledger for answers about the past, such as
    /// usage by day. It has two more for writing
    #[arg(
        long,
        env = "TIER_LEDGER_CONNECTIONS",
        value_name = "NUMBER",
        default_value = "4",
        value_parser = clap::value_parser!(u16).range(1..=100)
    )]
    pub ledger_connections: u16,

    /// How long a report waits until it is sent to Stripe, so that one call can deliver several, with --ledger. Stripe
    /// accepts about 200 changes of quantity an hour for a subscription
    #[arg(
        long,
        env = "TIER_DELIVER_AFTER",
        value_name = "DURATION",
        default_value = "30s"
    )]
    pub deliver_after: TimeSpan,

    /// How long single reports are kept once their period is settled, with --ledger; at least 35 days. After that, only
    /// daily totals are kept
    #[arg(
        long,
        env = "TIER_LEDGER_KEEP",
        value_name = "DURATION",
        default_value = "400d",
        value_parser = keep
    )]
    pub ledger_keep: TimeSpan,
}

fn sync(text: &str) -> Result<TimeSpan, String> {
    let span: TimeSpan = text.parse()?;
    if span.0 < SHORTEST_SYNC || span.0 > LONGEST_SYNC {
        return Err("from 50ms to 10s".to_owned());
    }
    Ok(span)
}

fn keep(text: &str) -> Result<TimeSpan, String> {
    let span: TimeSpan = text.parse()?;
    if span.0 < SHORTEST_KEEP.0 {
        return Err(
            "that is too short: at least 35d, because idempotency keys are recognized for that long".to_owned(),
        );
    }
    Ok(span)
}

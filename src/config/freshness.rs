//! Settings for answers from memory: how old they may be, and how many orgs are kept.

use clap::Args;
use clap::builder::RangedU64ValueParser;

use super::TimeSpan;

/// More orgs than fit into the memory of a large machine.
const MOST_ORGS: u64 = 100_000_000;

/// Settings for answers from memory: how old they may be, and how many orgs are kept.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Answers from memory")]
pub struct Freshness {
    /// How old the answers of /v1/limits and /v1/phase may be. Writes through this server show in them at once. 0s: ask
    /// Stripe every time
    #[arg(
        long,
        env = "TIER_MAX_AGE",
        value_name = "DURATION",
        default_value = "10s"
    )]
    pub max_age: TimeSpan,

    /// How old they may be within an hour after one of Stripe's events, if that is longer than --max-age. Stripe has no
    /// events for usage, and delivers an event to only one of several instances behind one address: set this to
    /// --max-age then
    #[arg(
        long,
        env = "TIER_MAX_AGE_WITH_EVENTS",
        value_name = "DURATION",
        default_value = "5m"
    )]
    pub max_age_with_events: TimeSpan,

    /// How old they may be while Stripe cannot be reached. 0s: answer with an error then
    #[arg(
        long,
        env = "TIER_MAX_STALE",
        value_name = "DURATION",
        default_value = "1h"
    )]
    pub max_stale: TimeSpan,

    /// How often all subscriptions are listed, to find changes whose events were lost, and superseded subscriptions.
    /// Not with --cloud; 0s: never
    #[arg(
        long,
        env = "TIER_RECONCILE",
        value_name = "DURATION",
        default_value = "6h"
    )]
    pub reconcile: TimeSpan,

    /// How many orgs are kept in memory, with --cloud for all accounts together. The least recently used ones are
    /// evicted
    #[arg(
        long,
        env = "TIER_MAX_ORGS",
        value_name = "N",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=MOST_ORGS),
        default_value_t = 100_000
    )]
    pub max_orgs: usize,
}

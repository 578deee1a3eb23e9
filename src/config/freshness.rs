//! How long what was read from Stripe is remembered.

use clap::Args;
use clap::builder::RangedU64ValueParser;

use super::TimeSpan;

/// More orgs than fit in a large machine's memory.
const MOST_ORGS: u64 = 100_000_000;

/// How long what was read from Stripe is remembered.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Answers from memory")]
pub struct Freshness {
    /// How old the answers of /v1/limits and /v1/phase may be. What this server writes is in them at once. 0s: ask Stripe
    /// every time
    #[arg(
        long,
        env = "TIER_MAX_AGE",
        value_name = "DURATION",
        default_value = "10s"
    )]
    pub max_age: TimeSpan,

    /// How old they may be while Stripe's events arrive, if that is longer: within the hour after one. Stripe has no event for
    /// usage, and delivers each event to one of several instances at one address: then set this to --max-age
    #[arg(
        long,
        env = "TIER_MAX_AGE_WITH_EVENTS",
        value_name = "DURATION",
        default_value = "5m"
    )]
    pub max_age_with_events: TimeSpan,

    /// How old they may be while Stripe cannot be asked; 0s: they are an error then
    #[arg(
        long,
        env = "TIER_MAX_STALE",
        value_name = "DURATION",
        default_value = "1h"
    )]
    pub max_stale: TimeSpan,

    /// How often all subscriptions are listed, so that what was missed is found: lost events, and subscriptions that another
    /// one has taken the place of. Not with --cloud; 0s: never
    #[arg(
        long,
        env = "TIER_RECONCILE",
        value_name = "DURATION",
        default_value = "6h"
    )]
    pub reconcile: TimeSpan,

    /// Orgs in memory, with --cloud of all accounts together; those used least recently make room
    #[arg(
        long,
        env = "TIER_MAX_ORGS",
        value_name = "N",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=MOST_ORGS),
        default_value_t = 100_000
    )]
    pub max_orgs: usize,
}

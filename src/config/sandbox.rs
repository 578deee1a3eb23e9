//! The settings of `tier sandbox`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::Args;

use super::{ListenAddr, TimeSpan};
use stripe_sandbox::{ApiVersion, Options};

/// Where a sandbox is expected by default. Stripe clients know this port from other simulators.
pub const SANDBOX_ADDR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 12111);

/// Settings of `tier sandbox`.
#[derive(Debug, Clone, Args)]
pub struct Sandbox {
    /// Where the simulator listens; `:PORT` is every interface
    #[arg(long, value_name = "HOST:PORT", default_value_t = SANDBOX_ADDR.into())]
    pub addr: ListenAddr,

    /// The minimum duration of each call, for example 100ms
    #[arg(long, value_name = "DURATION")]
    pub latency: Option<TimeSpan>,

    /// How many calls per second an account may make before it is answered 429. Stripe's test mode allows 25 [default:
    /// no limit]
    #[arg(long, value_name = "N")]
    pub rate_limit: Option<u32>,

    /// Stripe's API version of calls that name none, and of events: 2022-11-15 or 2026-10-28.endive
    #[arg(long, value_name = "VERSION", default_value_t = Options::default().api_version)]
    pub api_version: ApiVersion,

    /// The seed of ids and random faults. With the same seed they are the same in every run
    #[arg(long, value_name = "N", default_value_t = Options::default().seed)]
    pub seed: u64,

    /// How long it takes until search finds a new customer. With Stripe, it takes a while too
    #[arg(long, value_name = "DURATION", default_value_t = Options::default().search_lag.into())]
    pub search_lag: TimeSpan,

    /// How long it takes until summaries and previews show a meter event; with Stripe, it takes a while too
    #[arg(long, value_name = "DURATION", default_value_t = Options::default().meter_lag.into())]
    pub meter_lag: TimeSpan,

    /// Refuse metered prices without a meter in every version, as Stripe may do for new accounts
    #[arg(long)]
    pub meters_only: bool,

    /// How long invoices of renewals and the first invoices of schedules stay drafts, to which usage can still be
    /// added, before they are charged; with Stripe, an hour
    #[arg(long, value_name = "DURATION", default_value_t = Options::default().invoice_draft.into())]
    pub invoice_draft: TimeSpan,

    /// How long to wait before a webhook is delivered again, if an endpoint does not answer 2xx. There are three more
    /// attempts, and each wait is twice as long as the one before
    #[arg(long, value_name = "DURATION", default_value_t = Options::default().webhook_backoff.into())]
    pub webhook_backoff: TimeSpan,
}

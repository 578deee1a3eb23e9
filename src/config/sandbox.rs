//! The settings of `tier sandbox`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::Args;

use super::{ListenAddr, TimeSpan};
use stripe_sandbox::Options;

/// Where a sandbox is expected when nobody says otherwise; Stripe clients know this port from other simulators.
pub const SANDBOX_ADDR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 12111);

/// Settings of `tier sandbox`.
#[derive(Debug, Clone, Args)]
pub struct Sandbox {
    /// Where the simulator listens; `:PORT` is every interface
    #[arg(long, value_name = "HOST:PORT", default_value_t = SANDBOX_ADDR.into())]
    pub addr: ListenAddr,

    /// How long every call takes at least, for example 100ms
    #[arg(long, value_name = "DURATION")]
    pub latency: Option<TimeSpan>,

    /// Calls that an account may make per second; one more is answered 429. Stripe's test mode allows 25 [default: no limit]
    #[arg(long, value_name = "N")]
    pub rate_limit: Option<u32>,

    /// What ids and random faults are made from: with the same seed they are the same in every run
    #[arg(long, value_name = "N", default_value_t = Options::default().seed)]
    pub seed: u64,

    /// How long it takes until search finds a new customer; with Stripe, it takes a while too
    #[arg(long, value_name = "DURATION", default_value_t = Options::default().search_lag.into())]
    pub search_lag: TimeSpan,

    /// How long renewals and the first invoices of schedules are drafts, which usage can still be added to, before they
    /// are charged; with Stripe, an hour
    #[arg(long, value_name = "DURATION", default_value_t = Options::default().invoice_draft.into())]
    pub invoice_draft: TimeSpan,

    /// How long after a webhook's first try the second is, if an endpoint has not answered 2xx. There are three more
    /// tries, and each wait is twice as long as the one before
    #[arg(long, value_name = "DURATION", default_value_t = Options::default().webhook_backoff.into())]
    pub webhook_backoff: TimeSpan,
}

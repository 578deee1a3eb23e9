//! The settings of `tier sandbox`, and of the sandbox in `tier serve --sandbox`.

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

/// Settings of the sandbox that `tier serve --sandbox` contains.
#[derive(Debug, Clone, Args)]
pub struct EmbeddedSandbox {
    /// Where the API and the checkout pages of the sandbox listen, with --sandbox
    /// [default: 127.0.0.1:12111, or a free port if that one is taken]
    #[arg(long, value_name = "HOST:PORT")]
    pub sandbox_addr: Option<ListenAddr>,

    /// The base URL of links to the sandbox's checkout pages, if browsers reach it under another name than the one it
    /// listens on, with --sandbox
    #[arg(long, value_name = "URL")]
    pub sandbox_url: Option<String>,

    /// How long invoices of renewals and the first invoices of schedules stay drafts, to which usage can still be
    /// added, before they are charged, with --sandbox; with Stripe, an hour
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    pub invoice_draft: TimeSpan,

    /// Stripe's API version of calls that name none, and of events, with --sandbox: 2022-11-15 or 2026-10-28.endive
    #[arg(long, value_name = "VERSION", default_value_t = ApiVersion::default())]
    pub api_version: ApiVersion,

    /// How long it takes until the sandbox's summaries and previews show a meter event, with --sandbox; with Stripe, it
    /// takes a while too
    #[arg(long, value_name = "DURATION", default_value = "1s")]
    pub meter_lag: TimeSpan,

    /// Let the sandbox refuse metered prices without a meter, as Stripe may do for new accounts, with --sandbox
    #[arg(long)]
    pub meters_only: bool,

    /// How long the sandbox waits before it delivers a webhook again, if an endpoint does not answer 2xx, with
    /// --sandbox; each further wait is twice as long
    #[arg(long, value_name = "DURATION", default_value = "30m")]
    pub webhook_backoff: TimeSpan,
}

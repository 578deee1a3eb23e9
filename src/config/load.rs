//! The settings of `tier serve` that limit load.

use clap::Args;
use clap::builder::RangedU64ValueParser;

use super::TimeSpan;
use crate::api::RequestLimits;
use crate::server;

/// More connections, requests or accounts than one process can have.
const MOST: u64 = 1_000_000;

/// A terabyte, which no request needs.
const MOST_BYTES: u64 = 1 << 40;

fn count() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=MOST)
}

fn bytes(least: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(least..=MOST_BYTES)
}

/// Limits on concurrency, sizes and durations.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Load")]
pub struct Load {
    /// The largest request body, in bytes
    #[arg(long, env = "TIER_MAX_BODY", value_name = "BYTES", value_parser = bytes(1), default_value_t = RequestLimits::default().body)]
    pub max_body: usize,

    /// Bytes of all request bodies in memory; a request that would exceed this is answered 503. At least four times
    /// --max-body
    #[arg(long, env = "TIER_MAX_BODIES", value_name = "BYTES", value_parser = bytes(1), default_value_t = RequestLimits::default().bodies)]
    pub max_bodies: usize,

    /// The largest request head, in bytes; at least 8192
    #[arg(
        long,
        env = "TIER_MAX_HEAD",
        value_name = "BYTES",
        value_parser = bytes(8192),
        default_value_t = server::Options::default().max_head
    )]
    pub max_head: usize,

    /// Requests in flight; any more are answered 503 at once
    #[arg(
        long,
        env = "TIER_MAX_REQUESTS",
        value_name = "N",
        value_parser = count(),
        default_value_t = RequestLimits::default().concurrent
    )]
    pub max_requests: usize,

    /// Requests in flight with one API key; any more are answered 429 at once
    #[arg(
        long,
        env = "TIER_MAX_REQUESTS_PER_KEY",
        value_name = "N",
        value_parser = count(),
        default_value_t = RequestLimits::default().concurrent_per_key
    )]
    pub max_requests_per_key: usize,

    /// Open connections. A new one replaces one without a request in flight. If there is none, the new one is answered
    /// 503 and closed. Lowered if the limit on open files is too low
    #[arg(
        long,
        env = "TIER_MAX_CONNECTIONS",
        value_name = "N",
        value_parser = count(),
        default_value_t = server::Options::default().connections
    )]
    pub max_connections: usize,

    /// Open connections from one address, except --trusted-proxy [default: half of all]
    #[arg(long, env = "TIER_MAX_CONNECTIONS_PER_PEER", value_name = "N", value_parser = count())]
    pub max_connections_per_peer: Option<usize>,

    /// How long a request may take, including its calls to Stripe; push and pull may take ten times as long
    #[arg(long, env = "TIER_REQUEST_TIMEOUT", value_name = "DURATION", value_parser = TimeSpan::above_zero, default_value_t = RequestLimits::default().request_timeout.into())]
    pub request_timeout: TimeSpan,

    /// How long a request's head, a TLS handshake or the start of HTTP/2 may take to arrive
    #[arg(long, env = "TIER_HEAD_TIMEOUT", value_name = "DURATION", value_parser = TimeSpan::above_zero, default_value_t = server::Options::default().head_timeout.into())]
    pub head_timeout: TimeSpan,

    /// How long a request's body may take to arrive
    #[arg(long, env = "TIER_BODY_TIMEOUT", value_name = "DURATION", value_parser = TimeSpan::above_zero, default_value_t = RequestLimits::default().body_timeout.into())]
    pub body_timeout: TimeSpan,

    /// How long a connection may stay open without a request in flight
    #[arg(long, env = "TIER_IDLE_TIMEOUT", value_name = "DURATION", value_parser = TimeSpan::above_zero, default_value_t = server::Options::default().idle_timeout.into())]
    pub idle_timeout: TimeSpan,

    /// How long requests in flight have to finish after SIGTERM before they are aborted
    #[arg(long, env = "TIER_DRAIN_TIMEOUT", value_name = "DURATION", default_value_t = server::Options::default().drain.into())]
    pub drain_timeout: TimeSpan,

    /// Accounts in memory, with --cloud. The one that was idle longest is evicted; if all are in use, requests of other
    /// accounts are answered 503
    #[arg(
        long,
        env = "TIER_MAX_ACCOUNTS",
        value_name = "N",
        value_parser = count(),
        default_value_t = 10_000
    )]
    pub max_accounts: usize,

    /// How long an idle account is kept in memory, with --cloud
    #[arg(
        long,
        env = "TIER_ACCOUNT_IDLE",
        value_name = "DURATION",
        default_value = "30m"
    )]
    pub account_idle: TimeSpan,
}

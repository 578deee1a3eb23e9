//! `tier listen`: delivers the sandbox's events to a program on this machine.

use std::time::Duration;

use url::Url;

use super::error::usage;
use super::{Context, output};
use crate::config::{self, StripeKind};
use crate::domain::{Domain, EventTypes};
use crate::net::is_loopback_host;
use crate::server;

/// How often the sandbox is polled for new events.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// Arguments of `tier listen`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tier --sandbox listen --forward-to http://127.0.0.1:3000/webhook

Prints the secret that the events are signed with, then each event. Ends with Ctrl-C.
With a Stripe account, which cannot reach this machine, use `stripe listen`.")]
pub(super) struct Listen {
    /// The URL on this machine to send events to
    #[arg(long, value_name = "URL")]
    forward_to: Url,
}

/// Forwards events until a signal stops it.
pub(super) async fn run(context: &Context, arguments: &Listen) -> anyhow::Result<()> {
    let url = &arguments.forward_to;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(usage(
            "listen",
            "the URL must begin with http:// or https://",
        ));
    }
    // With a mistyped host, a stranger would get the names and addresses of customers.
    if !url.host_str().is_some_and(is_loopback_host) {
        return Err(usage(
            "listen",
            "the URL must be on this machine, as http://127.0.0.1:3000/webhook is; \
             `tier --sandbox webhook create URL` takes any",
        ));
    }
    let session = context.session().await?;
    let stripe = config::stripe_kind(session.stripe_url(), session.is_live());
    if !context.global.sandbox && stripe == StripeKind::Stripe {
        return Err(usage(
            "listen",
            "Stripe cannot reach this machine: use --sandbox, or `stripe listen` of the Stripe CLI",
        ));
    }
    let stop = server::stop_signal()?;
    let domain = session.domain();
    let newest = domain.newest_event().await?.map(|event| event.id);
    let endpoint = domain.create_webhook(url.as_str(), EventTypes::All).await?;
    let secret = endpoint.secret.as_deref().unwrap_or_default();
    output::line(format_args!("STRIPE_WEBHOOK_SECRET={secret}"))?;
    let printed = tokio::select! {
        () = stop => Ok(()),
        ended = print_events(&domain, newest) => ended,
    };
    // If the sandbox has ended, the endpoint is gone too.
    let deleted = domain.delete_webhook(&endpoint.id).await;
    printed.and(deleted.map_err(Into::into))
}

/// Prints the events after `last`.
async fn print_events(domain: &Domain, mut last: Option<String>) -> anyhow::Result<()> {
    loop {
        let events = match &last {
            Some(last) => domain.events_after(last).await?,
            None => domain.newest_event().await?.into_iter().collect(),
        };
        if events.is_empty() {
            tokio::time::sleep(CHECK_EVERY).await;
        }
        for event in events {
            output::line(format_args!("{}\t{}", event.kind, event.id))?;
            last = Some(event.id);
        }
    }
}

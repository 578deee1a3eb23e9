//! `tier webhook`: manages webhook endpoints.

use clap::Subcommand;
use url::Url;

use super::error::usage;
use super::{Context, output};
use crate::api::WEBHOOK_PATH;
use crate::domain::{Error, EventTypes, WebhookEndpoint};

/// Arguments of `tier webhook`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tier webhook create https://tier.example     prints the secrets, for the server's STRIPE_WEBHOOK_SECRET
  tier webhook list
  tier webhook delete we_1NcY3v

The endpoint is created in the account of STRIPE_API_KEY, even if TIER_BASE_URL names a server.
An event destination is created with it, which reports usage on meters that Stripe drops. It has its own secret.")]
pub(super) struct Webhook {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create an endpoint, so that Stripe delivers events to a server
    Create {
        /// The URL under which Stripe reaches the server [default path: /v1/stripe/webhook]
        url: Url,
    },
    /// List the endpoints of the account
    List,
    /// Delete an endpoint
    Delete {
        /// The id of the endpoint: we_…
        id: String,
    },
}

/// Creates, lists and deletes webhook endpoints.
pub(super) async fn run(context: &Context, arguments: &Webhook) -> anyhow::Result<()> {
    let domain = context.session().await?.domain();
    match &arguments.action {
        Action::Create { url } => {
            let mut url = url.clone();
            if !matches!(url.scheme(), "http" | "https") {
                return Err(usage(
                    "webhook",
                    "the URL must begin with https:// or http://",
                ));
            }
            let path = url.path().trim_end_matches('/').to_owned();
            url.set_path(if path.is_empty() { WEBHOOK_PATH } else { &path });
            let types = EventTypes::Relevant;
            let endpoint = domain.create_webhook(url.as_str(), types).await?;
            let destination = domain.create_event_destination(url.as_str()).await;
            created(context, &endpoint, destination)
        }
        Action::List => {
            let mut all = domain.webhooks().await?;
            match domain.event_destinations().await {
                Ok(destinations) => all.extend(destinations),
                Err(error) => output::note(format_args!(
                    "the event destinations, which deliver meters' errors, cannot be listed: {error}"
                )),
            }
            list(context, &all)
        }
        Action::Delete { id } => {
            domain.delete_webhook(id).await?;
            output::done(format_args!("deleted {id}"))
        }
    }
}

/// An endpoint, with the destination of thin events at its URL.
#[derive(serde::Serialize)]
struct Created<'a> {
    #[serde(flatten)]
    endpoint: &'a WebhookEndpoint,
    event_destination: Option<&'a WebhookEndpoint>,
}

fn created(
    context: &Context,
    endpoint: &WebhookEndpoint,
    destination: Result<WebhookEndpoint, Error>,
) -> anyhow::Result<()> {
    let destination = match destination {
        Ok(destination) => Some(destination),
        Err(error) => {
            output::note(format_args!(
                "no event destination could be created, so Stripe does not report usage on meters that it drops, \
                which is then found only when a period is settled: {error}"
            ));
            None
        }
    };
    if context.global.json {
        return output::json(&Created {
            endpoint,
            event_destination: destination.as_ref(),
        });
    }
    let all = || [endpoint].into_iter().chain(&destination);
    for one in all() {
        output::done(format_args!("{} delivers to {}", one.id, one.url))?;
    }
    let secrets: Vec<&str> = all()
        .filter_map(|created| created.secret.as_deref())
        .collect();
    output::line(format_args!("STRIPE_WEBHOOK_SECRET={}", secrets.join(",")))
}

fn list(context: &Context, endpoints: &[WebhookEndpoint]) -> anyhow::Result<()> {
    if context.global.json {
        return output::json(&endpoints);
    }
    let rows = endpoints.iter().map(|endpoint| {
        vec![
            endpoint.id.clone(),
            endpoint.status.clone(),
            endpoint
                .api_version
                .clone()
                .unwrap_or_else(|| "-".to_owned()),
            endpoint.enabled_events.len().to_string(),
            endpoint.url.clone(),
        ]
    });
    output::table("ID STATUS VERSION EVENTS URL", rows)
}

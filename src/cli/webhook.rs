//! `tier webhook`: manages webhook endpoints.

use clap::Subcommand;
use url::Url;

use super::error::usage;
use super::{Context, output};
use crate::api::WEBHOOK_PATH;
use crate::domain::{EventTypes, WebhookEndpoint};

/// Arguments of `tier webhook`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tier webhook create https://tier.example     prints the secret, for the server's STRIPE_WEBHOOK_SECRET
  tier webhook list
  tier webhook delete we_1NcY3v

The endpoint is made in the account of STRIPE_API_KEY, also where TIER_BASE_URL names a server.")]
pub(super) struct Webhook {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
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
    match &arguments.what {
        What::Create { url } => {
            let mut url = url.clone();
            if !matches!(url.scheme(), "http" | "https") {
                return Err(usage(
                    "webhook",
                    "the URL must begin with https:// or http://",
                ));
            }
            let path = url.path().trim_end_matches('/').to_owned();
            url.set_path(if path.is_empty() { WEBHOOK_PATH } else { &path });
            created(
                context,
                &domain
                    .create_webhook(url.as_str(), EventTypes::Relevant)
                    .await?,
            )
        }
        What::List => list(context, &domain.webhooks().await?),
        What::Delete { id } => {
            domain.delete_webhook(id).await?;
            output::done(format_args!("deleted {id}"))
        }
    }
}

fn created(context: &Context, endpoint: &WebhookEndpoint) -> anyhow::Result<()> {
    if context.global.json {
        return output::json(endpoint);
    }
    output::done(format_args!("{} delivers to {}", endpoint.id, endpoint.url))?;
    let secret = endpoint.secret.as_deref().unwrap_or_default();
    output::line(format_args!("STRIPE_WEBHOOK_SECRET={secret}"))
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

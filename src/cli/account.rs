//! `tier whoami` and `tier whois`: the Stripe account in use, and an org's Stripe customer.

use serde::Deserialize;

use super::error::CliError;
use super::{Context, output};

/// Arguments of `tier whoami`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tier whoami
  tier --live whoami")]
pub(super) struct Whoami {}

#[derive(Deserialize)]
struct Account {
    id: String,
    key_source: String,
    isolated: bool,
    email: String,
    created: String,
    url: String,
    /// Missing in the answer of a server of the Go version.
    #[serde(default)]
    generation: Option<String>,
}

/// Prints the account that commands use.
pub(super) async fn whoami(context: &Context) -> anyhow::Result<()> {
    let client = context.client().await?;
    let include = [("include", "generation")];
    let mut answer = client.get("/v1/whoami", &include).await;
    let is_forbidden = |error: &anyhow::Error| {
        let error = error.downcast_ref::<CliError>();
        error.is_some_and(|error| error.has_code("forbidden"))
    };
    if answer.as_ref().is_err_and(is_forbidden) {
        // The key may not read prices, which decide the generation.
        answer = client.get("/v1/whoami", &[]).await;
    }
    let answer = answer?;
    if context.global.json {
        return output::bytes(&answer.body);
    }
    let account: Account = answer.decode()?;
    let fields = [
        ("ID:", account.id),
        ("KeySource:", account.key_source),
        ("Isolated:", account.isolated.to_string()),
        ("Email:", account.email),
        ("Created:", account.created),
        ("URL:", account.url),
    ];
    let generation = account
        .generation
        .map(|generation| ("Generation:", generation));
    for (label, value) in fields.into_iter().chain(generation) {
        let line = format!("{label:<10} {}", output::printable(&value));
        output::line(line.trim_end())?;
    }
    Ok(())
}

/// Arguments of `tier whois`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tier whois org:acme")]
pub(super) struct Whois {
    /// The org, as org:NAME
    org: String,
}

#[derive(Deserialize)]
struct Customer {
    stripe_id: String,
}

/// Prints an org's Stripe customer.
pub(super) async fn whois(context: &Context, arguments: &Whois) -> anyhow::Result<()> {
    let client = context.client().await?;
    let answer = client.get("/v1/whois", &[("org", &arguments.org)]).await?;
    if context.global.json {
        return output::bytes(&answer.body);
    }
    output::line(answer.decode::<Customer>()?.stripe_id)
}

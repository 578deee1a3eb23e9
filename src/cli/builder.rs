//! `tier builder`: the Model Builder, over a sandbox of its own.

use super::error::usage;
use super::serve::Purpose;
use super::{Global, serve};
use crate::config::{self, Environment};

/// Arguments of `tier builder`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It needs no Stripe account and no network: models are pushed into a sandbox, as with `tier serve --sandbox`, which is lost when the \
command ends. The browser keeps the model itself.

Examples:
  tier builder
  tier builder --addr 127.0.0.1:9000   if the port is taken")]
pub(super) struct Builder {
    #[command(flatten)]
    settings: config::Serve,
}

/// Serves until a signal stops it.
pub(super) async fn run(
    global: &Global,
    arguments: &Builder,
    environment: &Environment,
) -> anyhow::Result<()> {
    if arguments.settings.cloud || arguments.settings.ledger()?.is_some() {
        return Err(usage(
            "builder",
            "its sandbox is lost when it ends: leave out --cloud and --ledger, or open /builder of `tier serve`",
        ));
    }
    let global = Global {
        sandbox: true,
        ..global.clone()
    };
    serve::run_for(&global, &arguments.settings, environment, Purpose::Builder).await
}

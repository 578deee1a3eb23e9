//! `tier ledger`: inspects the ledger.

mod export;
mod migrate;
mod parked;
mod status;
mod verify;

use std::path::PathBuf;

use clap::Subcommand;

use parked::Decision;

use super::Context;
use super::error::{CliError, usage};
use crate::ledger::store::read::Reader;
use crate::ledger::values::Time;
use crate::ledger::{Location, StoreError};

/// Arguments of `tier ledger`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tier ledger status --ledger /data/tier.db
  tier ledger entries --org org:acme --from 2030-01-31T00:00:00Z
  tier ledger export > ledger.jsonl
  tier ledger verify
  tier ledger parked                   asks the server that TIER_BASE_URL names
  tier ledger retry 12
  tier ledger write-off 12 15
  tier ledger migrate                  for servers whose database user may not create tables
  tier ledger migrate --from /data/tier.db --ledger postgres://tier@db.example/tier

status, entries, export and verify only read the ledger, even while a server writes it. parked, retry and write-off are requests to \
the server. migrate --from moves everything or nothing, and needs the server stopped; after that, servers refuse the file.")]
pub(super) struct Ledger {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the number of entries, the undelivered usage and the parked usage
    Status(File),
    /// List the newest entries
    Entries(status::Entries),
    /// Print the whole ledger as lines of JSON
    Export(File),
    /// Recompute every total from its entries, and compare the totals with Stripe
    Verify(verify::Verify),
    /// List parked usage, which Stripe refused permanently
    Parked,
    /// Send parked usage to Stripe again
    Retry(parked::Which),
    /// Write off parked usage: the total becomes what Stripe has
    WriteOff(parked::Which),
    /// Make or update the tables, and move a ledger from a file into a database
    Migrate(migrate::Migrate),
}

/// The ledger to read.
#[derive(Debug, clap::Args)]
struct File {
    /// The file or database of `tier serve --ledger`
    #[arg(
        long,
        env = "TIER_LEDGER",
        value_name = "FILE|URL",
        hide_env_values = true
    )]
    ledger: Option<PathBuf>,
}

impl File {
    /// The file or database that the option names.
    fn location(&self) -> anyhow::Result<Location> {
        let Some(name) = self.ledger.as_deref() else {
            let message = "name the file of the ledger with --ledger or TIER_LEDGER";
            return Err(usage("ledger", message));
        };
        Location::named(name).map_err(|error| usage("ledger", error.to_string()))
    }

    /// Reads from the ledger, on a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Location, &Reader) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let location = self.location()?;
        let result = tokio::task::spawn_blocking(move || {
            let reader = location
                .read()
                .map_err(|error| unusable(&location, &error))?;
            query(&location, &reader)
        });
        result.await?
    }
}

/// Runs a command on a ledger.
pub(super) async fn run(context: &Context, arguments: &Ledger) -> anyhow::Result<()> {
    match &arguments.action {
        Action::Status(file) => status::status(context, file).await,
        Action::Entries(arguments) => status::entries(context, arguments).await,
        Action::Export(file) => export::run(file).await,
        Action::Verify(arguments) => verify::run(context, arguments).await,
        Action::Parked => parked::list(context).await,
        Action::Retry(which) => parked::decide(context, which, Decision::Retry).await,
        Action::WriteOff(which) => parked::decide(context, which, Decision::WriteOff).await,
        Action::Migrate(arguments) => migrate::run(context, arguments).await,
    }
}

/// The error of a command whose ledger cannot be read.
fn unusable(path: &Location, error: &StoreError) -> anyhow::Error {
    let (message, advice) = match error {
        StoreError::File(cause) if cause.kind() == std::io::ErrorKind::NotFound => (
            format!("there is no file {path}"),
            Some("`tier serve --ledger FILE` creates a ledger"),
        ),
        StoreError::File(cause) => (format!("cannot read {path}: {cause}"), None),
        StoreError::NotALedger => (
            format!("{path} is not a ledger"),
            Some("name the file that `tier serve --ledger` was given"),
        ),
        StoreError::NoLedger => (
            format!("{path}: {error}"),
            Some("name the database that `tier serve --ledger` was given"),
        ),
        StoreError::Unreachable(cause) => (format!("cannot reach {path}: {cause}"), None),
        StoreError::Newer { .. } => (
            format!("{path}: {error}"),
            Some("use the version of tier that the server has"),
        ),
        StoreError::Damaged(_) => (
            format!("{path}: {error}"),
            Some("first copy it, with the files beside it that end in -wal and -shm"),
        ),
        StoreError::Database(cause) => (format!("cannot read {path}: {cause}"), None),
        error => (format!("{path}: {error}"), None),
    };
    let failure = CliError::new(message).code("ledger_unavailable");
    match advice {
        Some(advice) => failure.advise(advice).into(),
        None => failure.into(),
    }
}

/// A time with its milliseconds, as RFC 3339.
fn exact(time: Time) -> String {
    let time = chrono::DateTime::from_timestamp_millis(time.millis()).unwrap_or_default();
    time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

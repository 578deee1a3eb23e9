//! `tier ledger`: inspects the ledger.

mod export;
mod parked;
mod status;
mod verify;

use std::path::{Path, PathBuf};

use clap::Subcommand;

use parked::Decision;

use super::Context;
use super::error::{CliError, usage};
use crate::ledger::StoreError;
use crate::ledger::store::{read::Reader, sqlite};
use crate::ledger::values::Time;

/// Arguments of `tier ledger`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tier ledger status --ledger /data/tier.db
  tier ledger entries --org org:acme --from 2030-01-31T00:00:00Z
  tier ledger export > ledger.jsonl
  tier ledger verify
  tier ledger parked                   of the server that TIER_BASE_URL names
  tier ledger retry 12
  tier ledger write-off 12 15

The first four only read the file, also while a server writes it. The others are done by that server.")]
pub(super) struct Ledger {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show the number of entries, what was not sent to Stripe yet, and what is parked
    Status(File),
    /// List the newest entries
    Entries(status::Entries),
    /// Print the whole ledger as lines of JSON
    Export(File),
    /// Recompute every total from its entries, and compare the totals with Stripe
    Verify(verify::Verify),
    /// List parked usage, which Stripe has refused for good
    Parked,
    /// Send parked usage to Stripe again
    Retry(parked::Which),
    /// Write off parked usage: the total becomes what Stripe has
    WriteOff(parked::Which),
}

/// The ledger to read.
#[derive(Debug, clap::Args)]
struct File {
    /// The file of `tier serve --ledger`
    #[arg(long, env = "TIER_LEDGER", value_name = "FILE")]
    ledger: Option<PathBuf>,
}

impl File {
    /// The file, and its ledger.
    fn open(&self) -> anyhow::Result<(&Path, Reader)> {
        let Some(path) = self.ledger.as_deref() else {
            let message = "name the file of the ledger with --ledger or TIER_LEDGER";
            return Err(usage("ledger", message));
        };
        let reader = sqlite::read(path).map_err(|error| unusable(path, &error))?;
        Ok((path, reader))
    }
}

/// Runs a command on a ledger.
pub(super) async fn run(context: &Context, arguments: &Ledger) -> anyhow::Result<()> {
    match &arguments.what {
        What::Status(file) => status::status(context, file),
        What::Entries(arguments) => status::entries(context, arguments),
        What::Export(file) => export::run(file),
        What::Verify(arguments) => verify::run(context, arguments).await,
        What::Parked => parked::list(context).await,
        What::Retry(which) => parked::decide(context, which, Decision::Retry).await,
        What::WriteOff(which) => parked::decide(context, which, Decision::WriteOff).await,
    }
}

/// The error of a command whose ledger cannot be read.
fn unusable(path: &Path, error: &StoreError) -> anyhow::Error {
    let path = path.display();
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
        StoreError::Newer { .. } => (
            format!("{path}: {error}"),
            Some("use the version of tier that the server has"),
        ),
        StoreError::Damaged(_) => (
            format!("{path}: {error}"),
            Some(
                "before anything else, make a copy of it and of the files beside it that end in -wal and -shm",
            ),
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

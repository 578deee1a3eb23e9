//! `tier ledger migrate`.

use std::path::PathBuf;

use super::{File, unusable};
use crate::cli::Context;
#[cfg(feature = "postgres")]
use crate::cli::error::CliError;
use crate::cli::error::usage;
#[cfg(feature = "postgres")]
use crate::cli::output;
use crate::ledger::Location;
#[cfg(feature = "postgres")]
use crate::ledger::{StoreError, moving};

/// Arguments of `tier ledger migrate`.
#[derive(Debug, clap::Args)]
pub(super) struct Migrate {
    #[command(flatten)]
    file: File,

    /// Move the ledger of this file into the database
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

/// Updates the tables of a ledger to the latest version. With `--from`, moves the ledger of a file into the database.
pub(super) async fn run(context: &Context, arguments: &Migrate) -> anyhow::Result<()> {
    let location = arguments.file.location()?;
    let Some(from) = arguments.from.clone() else {
        let migrated = tokio::task::spawn_blocking(move || {
            location
                .migrate()
                .map_err(|error| unusable(&location, &error))
        });
        return migrated.await?;
    };
    match location {
        #[cfg(feature = "postgres")]
        Location::Database(database) => {
            let to = database.to_string();
            let source = Location::from(from.clone());
            let moved = tokio::task::spawn_blocking(move || moving::move_ledger(&from, &database));
            let moved = moved.await?;
            print(
                context,
                moved.map_err(|error| failed(&source, &to, &error))?,
                &to,
            )
        }
        Location::File(_) => {
            let _ = (context, from);
            let message = "--from moves a ledger into PostgreSQL: name that with --ledger postgres://…, or TIER_LEDGER";
            Err(usage("ledger", message))
        }
    }
}

#[cfg(feature = "postgres")]
fn print(context: &Context, moved: moving::Moved, to: &str) -> anyhow::Result<()> {
    let moving::Moved { account, counts } = moved;
    if context.global.json {
        let counts = counts.map(|counts| {
            serde_json::json!({
                "totals": counts.totals,
                "entries": counts.entries,
                "days": counts.days,
                "reservations": counts.reservations,
            })
        });
        return output::json(&serde_json::json!({ "account": account, "moved": counts }));
    }
    let Some(counts) = counts else {
        return output::line(format_args!(
            "the ledger of {account} was moved to {to} before"
        ));
    };
    let [totals, entries, days, reservations] = [
        (counts.totals, "total", "totals"),
        (counts.entries, "entry", "entries"),
        (counts.days, "daily total", "daily totals"),
        (counts.reservations, "reservation", "reservations"),
    ]
    .map(|(n, one, many)| format!("{n} {}", if n == 1 { one } else { many }));
    output::line(format_args!(
        "moved {totals}, {entries}, {days} and {reservations} of {account} to {to}"
    ))
}

/// The error of a move.
#[cfg(feature = "postgres")]
fn failed(source: &Location, to: &str, error: &StoreError) -> anyhow::Error {
    let (message, advice) = match error {
        StoreError::InUse => (
            format!("{source} is in use"),
            "stop the server that has it open, and repeat this",
        ),
        StoreError::NotEmpty => (
            format!("{to} has a ledger with usage already"),
            "name an empty database, or a schema of its own",
        ),
        StoreError::OtherAccount { .. } => (
            format!("{to}: {error}"),
            "name an empty database, or a schema of its own",
        ),
        StoreError::OutcomeUnknown(cause) => (
            format!("the connection to {to} was lost while the move was committed: {cause}"),
            "repeat this: it finds out whether the ledger was moved",
        ),
        StoreError::Unreachable(_) | StoreError::Database(_) | StoreError::Newer { .. } => {
            return unusable_database(to, error);
        }
        _ => return unusable(source, error),
    };
    let failure = CliError::new(message).code("ledger_unavailable");
    failure.advise(advice).into()
}

#[cfg(feature = "postgres")]
fn unusable_database(to: &str, error: &StoreError) -> anyhow::Error {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    let message = format!(
        "cannot move the ledger to {to}: {error}{}",
        cause.unwrap_or_default()
    );
    CliError::new(message).code("ledger_unavailable").into()
}

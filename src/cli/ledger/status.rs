//! `tier ledger status` and `tier ledger entries`.

use chrono::{DateTime, Utc};
use clock::Clock;
use serde_json::json;

use super::{File, exact, export, unusable};
use crate::cli::{Context, output, usage};
use crate::domain::refs::{FeatureName, OrgName};
use crate::ledger::Location;
use crate::ledger::state::Total;
use crate::ledger::store::read::{Filter, Reader};
use crate::ledger::values::Time;

/// Prints the status of a ledger.
pub(super) async fn status(context: &Context, file: &File) -> anyhow::Result<()> {
    let look = |location: &Location, reader: &Reader| {
        let status = reader.status();
        status.map_err(|error| unusable(location, &error))
    };
    let status = file.read(look).await?;
    let oldest = status.oldest_undelivered.as_ref();
    let since = oldest.and_then(|total| total.delivery.changed);
    let now = Clock::system().now().timestamp_millis();
    let lag = since.map_or(0, |since| (now - since.millis()).max(0) / 1_000);
    if context.global.json {
        return output::json(&json!({
            "account": status.account,
            "entries": status.entries,
            "totals": status.totals,
            "undelivered": status.undelivered,
            "lag_seconds": lag,
            "oldest_undelivered": oldest.map(export::total),
            "parked": status.parked,
            "parked_units": status.parked_units,
            "reservations": status.reservations,
        }));
    }
    let oldest = oldest.map_or("-".to_owned(), |total| {
        format!(
            "{}, since {}",
            about(total),
            since.map_or("-".to_owned(), exact)
        )
    });
    for (label, value) in [
        ("Account:", status.account),
        ("Entries:", status.entries.to_string()),
        ("Totals:", status.totals.to_string()),
        ("Undelivered:", status.undelivered.to_string()),
        ("Lag:", format!("{lag}s")),
        ("Oldest:", oldest),
        (
            "Parked:",
            format!("{} ({} units)", status.parked, status.parked_units),
        ),
        ("Reservations:", status.reservations.to_string()),
    ] {
        let line = format!("{label:<14}{}", output::printable(&value));
        output::line(line.trim_end())?;
    }
    Ok(())
}

/// The org, feature and item of a total.
pub(super) fn about(total: &Total) -> String {
    let (id, org, feature) = (total.id.0, &total.org, &total.feature);
    format!("total {id}, {feature} of {org}")
}

/// Arguments of `tier ledger entries`.
#[derive(Debug, clap::Args)]
pub(super) struct Entries {
    #[command(flatten)]
    file: File,

    /// Only entries of this org
    #[arg(long)]
    org: Option<OrgName>,

    /// Only entries of this feature
    #[arg(long)]
    feature: Option<FeatureName>,

    /// Only usage from this time on, as RFC 3339 or in Unix seconds
    #[arg(long, value_name = "TIME", value_parser = usage::timestamp)]
    from: Option<DateTime<Utc>>,

    /// Only usage before this time
    #[arg(long, value_name = "TIME", value_parser = usage::timestamp)]
    to: Option<DateTime<Utc>>,

    /// The maximum number of entries
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

/// A table of the newest entries, newest first.
pub(super) async fn entries(context: &Context, arguments: &Entries) -> anyhow::Result<()> {
    let time = |time: DateTime<Utc>| Time::from_millis(time.timestamp_millis());
    let filter = Filter {
        org: arguments.org.as_ref().map(|org| org.as_str().into()),
        feature: arguments.feature.as_ref().map(|name| name.as_str().into()),
        from: arguments.from.map(time),
        to: arguments.to.map(time),
    };
    let limit = arguments.limit;
    let look = move |location: &Location, reader: &Reader| {
        let entries = reader.entries(&filter, limit);
        entries.map_err(|error| unusable(location, &error))
    };
    let entries = arguments.file.read(look).await?;
    if context.global.json {
        let entries: Vec<_> = entries.iter().map(export::entry_of).collect();
        return output::json(&entries);
    }
    let rows = entries.iter().map(|(entry, total)| {
        let key = entry.key.as_ref().map_or("-", |(_, key)| &key.text);
        vec![
            entry.id.0.to_string(),
            exact(entry.at),
            total.org.to_string(),
            total.feature.to_string(),
            entry.kind.name().to_owned(),
            entry.n.to_string(),
            entry.after.to_string(),
            key.to_owned(),
        ]
    });
    output::table("ENTRY AT ORG FEATURE KIND N TOTAL KEY", rows)
}

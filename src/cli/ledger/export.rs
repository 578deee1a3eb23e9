//! `tier ledger export`, and the records of a ledger as JSON.

use std::io::{BufWriter, Write as _};

use serde_json::{Value, json};

use super::{File, exact, unusable};
use crate::ledger::state::{Entry, Reservation, ReservationState, Total};
use crate::ledger::store::read::{Exported, Reader};
use crate::ledger::{Location, StoreError};

/// Why an export stopped early.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Ledger(#[from] StoreError),
    #[error(transparent)]
    Output(#[from] std::io::Error),
}

/// Prints a consistent snapshot of the ledger, with a line for each record.
pub(super) async fn run(file: &File) -> anyhow::Result<()> {
    file.read(print).await
}

fn print(location: &Location, reader: &Reader) -> anyhow::Result<()> {
    let mut stdout = BufWriter::new(std::io::stdout().lock());
    let exported: Result<(), Fault> = reader.export(|record| {
        writeln!(stdout, "{}", line(&record))?;
        Ok(())
    });
    exported.map_err(|fault| match fault {
        Fault::Ledger(error) => unusable(location, &error),
        Fault::Output(error) => error.into(),
    })?;
    Ok(stdout.flush()?)
}

fn line(record: &Exported) -> Value {
    let (kind, mut line) = match record {
        Exported::Total(one) => ("total", total(one)),
        Exported::Day { total, day, n } => {
            let day = exact(*day);
            ("day", json!({ "total_id": total.0, "day": day, "n": n }))
        }
        Exported::Entry(one) => ("entry", entry(one)),
        Exported::Reservation(one) => ("reservation", reservation(one)),
    };
    line["type"] = kind.into();
    line
}

/// A total, and its delivery.
pub(super) fn total(total: &Total) -> Value {
    let parked = total.parked.as_ref();
    json!({
        "id": total.id.0,
        "org": total.org.as_str(),
        "feature": total.feature.as_str(),
        "item": total.item.as_str(),
        "aggregate": total.aggregate.name(),
        "period": { "start": exact(total.period.start), "end": exact(total.period.end) },
        "total": total.n,
        "others": total.external,
        "told": total.delivery.delivered,
        "undelivered_since": total.delivery.changed.map(exact),
        "parked": parked.map(|parked| {
            json!({ "reason": &*parked.reason, "since": exact(parked.since) })
        }),
        "billed": total.settled,
    })
}

/// An entry, with its org and feature.
pub(super) fn entry_of((one, total): &(Entry, Total)) -> Value {
    let mut entry = entry(one);
    entry["org"] = total.org.as_str().into();
    entry["feature"] = total.feature.as_str().into();
    entry
}

fn entry(entry: &Entry) -> Value {
    json!({
        "id": entry.id.0,
        "total_id": entry.total.0,
        "kind": entry.kind.name(),
        "n": entry.n,
        "total": entry.after,
        "at": exact(entry.at),
        "accepted": exact(entry.accepted),
        "key": entry.key.as_ref().map(|(_, key)| &*key.text),
    })
}

fn reservation(one: &Reservation) -> Value {
    let (state, committed) = match one.state {
        ReservationState::Held => ("held", None),
        ReservationState::Committed(n) => ("committed", Some(n)),
        ReservationState::Released => ("released", None),
        ReservationState::Expired => ("expired", None),
    };
    json!({
        "id": one.id.as_str(),
        "org": one.org.as_str(),
        "feature": one.feature.as_str(),
        "n": one.n,
        "made": exact(one.made),
        "expires": exact(one.expires),
        "state": state,
        "committed": committed,
    })
}

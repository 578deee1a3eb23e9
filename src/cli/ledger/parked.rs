//! `tier ledger parked`, `retry` and `write-off`, which the server with the ledger carries out.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;

use crate::cli::error::CliError;
use crate::cli::{Context, client, output};

const PATH: &str = "/v1/ledger/parked";

/// Arguments of `tier ledger retry` and `tier ledger write-off`.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The ids from `tier ledger parked`
    #[arg(required = true, value_name = "ID")]
    ids: Vec<u64>,
}

/// A decision about parked usage.
#[derive(Clone, Copy)]
pub(super) enum Decision {
    Retry,
    WriteOff,
}

#[derive(Deserialize)]
struct Parked {
    parked: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    id: u64,
    org: String,
    feature: String,
    from: DateTime<Utc>,
    n: i64,
    reason: String,
    since: DateTime<Utc>,
}

/// A table of parked usage, oldest first.
pub(super) async fn list(context: &Context) -> anyhow::Result<()> {
    let answer = server(context).await?.get(PATH, &[]).await?;
    if context.global.json {
        return output::bytes(&answer.body);
    }
    let format_time = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let rows = answer.decode::<Parked>()?.parked.into_iter().map(|row| {
        vec![
            row.id.to_string(),
            format_time(row.since),
            row.org,
            row.feature,
            format_time(row.from),
            row.n.to_string(),
            row.reason,
        ]
    });
    output::table("ID SINCE ORG FEATURE PERIOD N REASON", rows)
}

/// Sends decisions about parked usage.
pub(super) async fn decide(
    context: &Context,
    which: &Which,
    decision: Decision,
) -> anyhow::Result<()> {
    let client = server(context).await?;
    let (action, done) = match decision {
        Decision::Retry => ("retry", "will be sent to Stripe again"),
        Decision::WriteOff => ("write_off", "is written off"),
    };
    for id in &which.ids {
        let body = json!({ "id": id, "action": action });
        let answer = client.post(PATH, &body).await?;
        context.print_done(&answer, format_args!("{id} {done}"))?;
    }
    Ok(())
}

/// The server that writes the ledger.
async fn server(context: &Context) -> anyhow::Result<client::Client> {
    if context.is_remote() {
        return context.client().await;
    }
    let message = "only the server with the ledger can do this: name it in TIER_BASE_URL";
    Err(CliError::new(message).wrong_usage().into())
}

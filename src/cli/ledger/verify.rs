//! `tier ledger verify`.

use serde_json::{Value, json};

use super::status::about;
use super::{File, unusable};
use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::cli::{Context, output};
use crate::config::KeyError;
use crate::domain::{Domain, RecordedUsage};
use crate::ledger::state::{Mismatch, Total};
use crate::ledger::store::read::{Problem, Reader, Status};
use crate::ledger::{Location, StoreError};

/// Arguments of `tier ledger verify`.
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    #[command(flatten)]
    file: File,

    /// Do not compare with Stripe
    #[arg(long)]
    offline: bool,
}

/// What was read from a ledger.
struct Checked {
    /// The inconsistencies within the ledger.
    problems: Vec<String>,
    status: Status,
    /// The totals that were sent to Stripe, to compare with Stripe's records.
    sent: Vec<Total>,
    /// The totals for which Stripe has billed another quantity.
    billed_differently: Vec<Total>,
}

impl Checked {
    fn read(reader: &Reader, is_offline: bool) -> Result<Self, StoreError> {
        let mut problems = Vec::new();
        reader.verify(|problem| problems.push(text(&problem)))?;
        let status = reader.status()?;
        let (mut sent, mut billed_differently) = (Vec::new(), Vec::new());
        if !is_offline {
            sent = reader.delivered()?;
            billed_differently = reader.billed_differently()?;
        }
        Ok(Self {
            problems,
            status,
            sent,
            billed_differently,
        })
    }
}

/// The result of a comparison with Stripe.
#[derive(Default)]
struct Comparison {
    /// The number of totals that were compared.
    compared: usize,
    /// Differences that only an error can explain.
    differences: Vec<String>,
    /// Differences that may be legitimate.
    notes: Vec<String>,
}

/// Checks the file, then compares it with Stripe, and fails if anything is wrong.
pub(super) async fn run(context: &Context, arguments: &Verify) -> anyhow::Result<()> {
    let session = if arguments.offline {
        None
    } else {
        session(context).await?
    };
    let is_offline = session.is_none();
    let query = move |location: &Location, reader: &Reader| {
        Checked::read(reader, is_offline).map_err(|error| unusable(location, &error))
    };
    let Checked {
        problems,
        status,
        sent,
        billed_differently,
    } = arguments.file.read(query).await?;
    let compared = match session {
        None => None,
        Some(session) => {
            let domain = session.domain();
            check_account(&domain, &status.account).await?;
            let compared = compare(&domain, &sent, &billed_differently);
            Some(output::with_spinner("asking Stripe", compared).await?)
        }
    };
    if context.global.json {
        output::json(&json!({
            "account": status.account,
            "entries": status.entries,
            "totals": status.totals,
            "problems": problems,
            "stripe": compared.as_ref().map(in_json),
        }))?;
    } else {
        let entries = output::plural(status.entries.try_into()?, "entry");
        let entries = entries.replace("entrys", "entries");
        let totals = output::plural(status.totals.try_into()?, "total");
        print(
            &format!("{entries} and {totals}"),
            &problems,
            compared.as_ref(),
        )?;
        if compared.is_none() && !arguments.offline {
            output::note("there is no Stripe key, so nothing was compared with Stripe");
        }
    }
    let differences = compared.map_or(0, |compared| compared.differences.len());
    match problems.len() + differences {
        0 => Ok(()),
        faults => Err(CliError::new(format!(
            "the ledger has errors: {}",
            output::plural(faults, "error")
        ))
        .code("ledger_differs")
        .into()),
    }
}

/// The account to compare with. None if there is no key.
async fn session(context: &Context) -> anyhow::Result<Option<Session>> {
    match context.session().await {
        Ok(session) => Ok(Some(session)),
        Err(error) => match error.downcast_ref::<KeyError>() {
            Some(KeyError::Missing) => Ok(None),
            _ => Err(error),
        },
    }
}

async fn check_account(domain: &Domain, ledgers: &str) -> anyhow::Result<()> {
    let account = domain.ledger_account().await?;
    if account == ledgers {
        return Ok(());
    }
    let message = format!("the ledger belongs to {ledgers}, and the Stripe key to {account}");
    Err(CliError::new(message)
        .advise("use a key of the ledger's account, or --offline")
        .into())
}

/// Compares the totals sent to Stripe with what it has recorded, with one call per item, and settled periods with what
/// was billed.
async fn compare(
    domain: &Domain,
    sent: &[Total],
    billed_differently: &[Total],
) -> anyhow::Result<Comparison> {
    let mut found = Comparison::default();
    for of_item in sent.chunk_by(|a, b| a.item == b.item) {
        if of_item[0].meter.is_some() {
            for total in of_item {
                let has = domain.counted_by_meter(total).await?;
                found.compare_with(total, has);
            }
            continue;
        }
        let item = of_item[0].item.as_str();
        let Some(recorded) = domain.recorded_on_item(item).await? else {
            let totals = of_item.iter().map(about).collect::<Vec<_>>().join("; ");
            found
                .notes
                .push(format!("the item {item} is gone ({totals})"));
            continue;
        };
        for total in of_item {
            found.compare(total, &recorded);
        }
    }
    for total in billed_differently {
        let (billed, expected) = (total.settled.unwrap_or_default(), total.billable());
        let about = about(total);
        found.differences.push(format!(
            "{about}: {billed} was billed, the ledger has {expected}"
        ));
    }
    Ok(found)
}

impl Comparison {
    fn compare(&mut self, total: &Total, recorded: &[RecordedUsage]) {
        let at = total
            .delivery
            .timestamp
            .unwrap_or(total.period.start.seconds());
        let period = recorded.iter().find(|period| period.contains(at));
        self.compare_with(total, period.map_or(0, |period| period.total));
    }

    fn compare_with(&mut self, total: &Total, has: i64) {
        self.compared += 1;
        let (about, delivered) = (about(total), total.delivery.delivered);
        match total.mismatch(has) {
            None => {}
            Some(Mismatch::External(n)) => self.notes.push(format!(
                "{about}: Stripe has {has}, of which others recorded {n} that the ledger has not seen yet"
            )),
            Some(Mismatch::Wrong) => self.differences.push(format!(
                "{about}: Stripe has {has}, but was sent {delivered}"
            )),
        }
    }
}

fn text(problem: &Problem) -> String {
    match problem.total {
        Some(id) => format!("total {}: {}", id.0, problem.what),
        None => problem.what.clone(),
    }
}

fn in_json(found: &Comparison) -> Value {
    json!({
        "compared": found.compared,
        "differences": found.differences,
        "notes": found.notes,
    })
}

fn print(what: &str, problems: &[String], compared: Option<&Comparison>) -> anyhow::Result<()> {
    for problem in problems {
        output::line(output::printable(problem))?;
    }
    let problems = output::plural(problems.len(), "problem");
    output::line(format_args!("{what} verified: {problems}"))?;
    let Some(found) = compared else {
        return Ok(());
    };
    for line in found.differences.iter().chain(&found.notes) {
        output::line(output::printable(line))?;
    }
    let compared = output::plural(found.compared, "total");
    let differences = output::plural(found.differences.len(), "difference");
    output::line(format_args!(
        "{compared} compared with Stripe: {differences}"
    ))
}

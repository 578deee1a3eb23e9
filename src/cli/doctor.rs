//! `tier doctor`: whether the key and the account work, and what to do if not.

use super::error::CliError;
use super::output::Tone;
use super::{Context, output};
use crate::api::WEBHOOK_PATH;
use crate::domain::{Finding, Verdict};

/// Arguments of `tier doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tier doctor
  tier --live doctor --json
  tier doctor --probe                  also tests which metered prices the account accepts

It changes nothing. --probe creates a price of 0 cents and archives it.
It exits with 1 if something is wrong.")]
pub(super) struct Doctor {
    /// Create and archive a price, to find out whether the account accepts metered prices without a meter
    #[arg(long)]
    probe: bool,
}

/// Checks what the key may do, the clock, search, webhooks, and the generation of metered prices.
pub(super) async fn run(context: &Context, arguments: &Doctor) -> anyhow::Result<()> {
    let domain = context.session().await?.domain();
    let findings = domain.examine(WEBHOOK_PATH, arguments.probe).await?;
    if context.global.json {
        output::json(&findings)?;
    } else {
        for finding in &findings {
            print(finding)?;
        }
    }
    let is_wrong = |finding: &&Finding| finding.verdict == Verdict::Wrong;
    match findings.iter().filter(is_wrong).count() {
        0 => Ok(()),
        count => Err(CliError::new(format!("{} failed", output::plural(count, "check"))).into()),
    }
}

fn print(finding: &Finding) -> anyhow::Result<()> {
    let verdict = match finding.verdict {
        Verdict::Ok => output::toned(Tone::Good, "ok    "),
        Verdict::Advice => output::toned(Tone::Notable, "advice"),
        Verdict::Wrong => output::toned(Tone::Bad, "wrong "),
    };
    let Finding { check, found, .. } = finding;
    output::line(format_args!(
        "{verdict}  {check}: {}",
        output::printable(found)
    ))?;
    match &finding.remedy {
        Some(remedy) => output::line(format_args!("        {remedy}")),
        None => Ok(()),
    }
}

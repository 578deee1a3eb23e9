//! `tier diff` and `tier push --dry-run`: compare a pricing.json with the model in Stripe. The comparison is made here,
//! with the model from `/v1/pull`, so that it also works with servers of older versions.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::client::Client;
use super::document::{Document, Source};
use super::error::CliError;
use super::output::{self, Tone};
use super::{Context, orgs};
use crate::api::{DiffStatus, ModelDiff, diff_reason};
use crate::domain::pricing::Model;
use crate::domain::refs::PlanName;
use crate::domain::{FeatureDiff, FieldDiff, PushOutcome, diff};

/// Arguments of `tier diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The exit status is 1 if something that is in Stripe differs: a push of the model would be refused. Plans that only \
Stripe has are left out. For plans that change or get a new version, it prints how many orgs have them.

Examples:
  tier diff pricing.json               before a merge, in CI
  tier diff --json pricing.json
  curl -s https://example.com/pricing.json | tier diff -")]
pub(super) struct Diff {
    /// The model: a file, a URL, or - for standard input
    #[arg(value_name = "FILE|URL|-")]
    model: Source,
}

/// Compares a model with Stripe, and prints the differences.
pub(super) async fn run(context: &Context, arguments: &Diff) -> anyhow::Result<()> {
    let document = arguments.model.read().await?;
    let model = document.model()?;
    show(context, &document, &model).await
}

/// The comparison, as JSON.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    diff: ModelDiff,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    affected: &'a [Affected],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [String],
}

/// Prints the differences between `model` and Stripe.
///
/// # Errors
/// If something differs, or if the model in Stripe cannot be read.
pub(super) async fn show(
    context: &Context,
    document: &Document,
    model: &Model,
) -> anyhow::Result<()> {
    let client = context.client().await?;
    let pulled = output::with_spinner("asking Stripe", client.model_with_archived()).await?;
    let (stripe, archived) = pulled;
    let rows = diff(&stripe, model);
    let affected = affected(&client, &stripe, &rows);
    let affected = output::with_spinner("counting orgs", affected).await?;
    let warnings = document.warnings(model);
    if context.global.json {
        output::json(&Report {
            diff: ModelDiff::of(&rows),
            affected: &affected,
            warnings: &warnings,
        })?;
    } else {
        warnings.iter().for_each(output::note);
        for row in &rows {
            show_row(row)?;
        }
        for plan in model.plans.keys().filter(|plan| archived.contains(plan)) {
            output::line(format_args!(
                "{plan} is archived, and stays so after a push"
            ))?;
        }
        for Affected { plan, orgs } in &affected {
            let orgs = output::plural(*orgs, "org");
            output::line(format_args!("{plan} has {orgs}"))?;
        }
        output::line(ModelDiff::of(&rows).summary())?;
    }
    fail_if_different(&rows, &document.name)
}

/// A plan in Stripe that the model changes or has a new version of, and the number of its orgs.
#[derive(Serialize)]
struct Affected {
    plan: String,
    orgs: usize,
}

/// The affected plans that have orgs.
async fn affected(
    client: &Client,
    stripe: &Model,
    rows: &[FeatureDiff],
) -> anyhow::Result<Vec<Affected>> {
    let changed = rows
        .iter()
        .filter(|row| DiffStatus::of(row) != DiffStatus::Same);
    let changed: BTreeSet<PlanName> = changed.map(|row| row.feature.plan()).collect();
    let is_in_stripe = |name: &&str| stripe.plans.keys().any(|plan| plan.name() == *name);
    let names: BTreeSet<&str> = changed
        .iter()
        .map(PlanName::name)
        .filter(is_in_stripe)
        .collect();
    let mut affected = Vec::new();
    for name in names {
        let plan = format!("plan:{name}");
        let listed = orgs::list(client, &[("limit", orgs::PAGE), ("plan", &plan)]).await?;
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let plans = listed.iter().filter_map(|org| org["plans"].as_array());
        for plan in plans.flatten().filter_map(Value::as_str) {
            let version = plan.strip_prefix(&format!("plan:{name}@"));
            if version.is_some() {
                *counts.entry(plan.to_owned()).or_default() += 1;
            }
        }
        let counts = counts.into_iter();
        affected.extend(counts.map(|(plan, orgs)| Affected { plan, orgs }));
    }
    Ok(affected)
}

fn show_row(row: &FeatureDiff) -> anyhow::Result<()> {
    let tone = match row.push {
        Some(PushOutcome::Created) => Some(Tone::Good),
        Some(PushOutcome::Unchanged) => None,
        _ => Some(Tone::Notable),
    };
    let status = format!("{:<7}", DiffStatus::of(row).as_str());
    let status = tone.map_or(status.clone(), |tone| output::toned(tone, status));
    let reason = diff_reason(row).map(|reason| format!("\t[{reason}]"));
    let (feature, plan) = output::feature_and_plan(row.feature.as_str());
    output::line(format_args!(
        "{status}\t{plan}\t{feature}{}",
        reason.unwrap_or_default()
    ))?;
    for FieldDiff {
        field,
        stripe,
        model,
    } in &row.fields
    {
        output::line(format_args!("\t{field}: {stripe} in Stripe, {model} here"))?;
    }
    Ok(())
}

/// Fails if a push of the model would be refused.
fn fail_if_different(rows: &[FeatureDiff], name: &str) -> anyhow::Result<()> {
    let Some(row) = rows.iter().find(|row| !row.is_ok()) else {
        return Ok(());
    };
    let differ = rows.iter().filter(|row| !row.is_ok()).count();
    let features = output::plural(differ, "feature");
    let plan = row.feature.plan();
    let message = format!("{name} differs from what is in Stripe: {features}");
    let advice = match diff_reason(row) {
        Some(_) if row.push.is_some() => format!(
            "give {plan} a new version; or push again, if an earlier push of the same plan was interrupted"
        ),
        _ => format!("plans never change once they are pushed: give {plan} a new version"),
    };
    Err(CliError::new(message).advise(advice).into())
}

//! Commands about models: `tier pull`, `tier ls`, and, without an account, `tier validate` and `tier schema`.

use rust_decimal::Decimal;
use serde::Serialize;

use super::document::Source;
use super::{Context, output};
use crate::api::Validation;
use crate::domain::pricing::Model;
use crate::domain::schema;
use crate::num;

/// Arguments of `tier pull`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tier pull > pricing.json
  tier pull | tier diff -
  tier pull --archived                 with plans that are not on sale any more")]
pub(super) struct Pull {
    /// Include archived plans
    #[arg(long)]
    archived: bool,
}

/// Prints the model in Stripe.
pub(super) async fn pull(context: &Context, arguments: &Pull) -> anyhow::Result<()> {
    let client = context.client().await?;
    let query = [("archived", "true")];
    let query = if arguments.archived { &query[..] } else { &[] };
    let answer = output::with_spinner("asking Stripe", client.get("/v1/pull", query)).await?;
    output::text(&answer.body)
}

/// Arguments of `tier ls`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tier ls
  tier ls | grep plan:pro
  tier ls --json | jq '.[].plan'")]
pub(super) struct Ls {}

#[derive(Serialize)]
struct Row {
    plan: String,
    feature: String,
    mode: &'static str,
    aggregate: &'static str,
    #[serde(serialize_with = "num::serialize")]
    base: Decimal,
}

/// All features of all plans, with their effective values.
pub(super) async fn ls(context: &Context) -> anyhow::Result<()> {
    let client = context.client().await?;
    let model = output::with_spinner("asking Stripe", client.model()).await?;
    let rows = model.features().map(|(name, _, feature)| Row {
        plan: name.plan().to_string(),
        feature: name.feature().to_string(),
        mode: feature.mode.as_str(),
        aggregate: feature.aggregate.as_str(),
        base: feature.base,
    });
    if context.global.json {
        return output::json(&rows.collect::<Vec<_>>());
    }
    let cells = rows.map(|row| {
        let base = num::plain(row.base);
        let [mode, aggregate] = [row.mode, row.aggregate].map(str::to_owned);
        vec![row.plan, row.feature, mode, aggregate, base]
    });
    output::table("PLAN FEATURE MODE AGG BASE", cells)
}

/// Arguments of `tier validate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It needs no key and no network. Each fault is shown with its line.

Examples:
  tier validate pricing.json
  tier pull | tier validate -")]
pub(super) struct Validate {
    /// The model: a file, a URL, or - for standard input
    #[arg(value_name = "FILE|URL|-")]
    model: Source,
}

/// Checks a model, as far as possible without Stripe.
pub(super) async fn validate(context: &Context, arguments: &Validate) -> anyhow::Result<()> {
    let document = arguments.model.read().await?;
    let read = Model::parse_bytes(&document.bytes);
    let mut report = Validation::of(&read);
    let model = match read {
        Ok(model) => model,
        Err(faults) => {
            if context.global.json {
                output::json(&report)?;
            }
            return Err(document.refusal(&faults).into());
        }
    };
    let warnings = document.warnings(&model);
    if context.global.json {
        report.warnings = warnings;
        return output::json(&report);
    }
    for warning in warnings {
        output::note(warning);
    }
    let plans = output::plural(model.plans.len(), "plan");
    let features = output::plural(model.features().count(), "feature");
    output::line(format_args!(
        "{} is valid: {plans}, {features}",
        document.name
    ))
}

/// Arguments of `tier schema`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
With the schema, editors complete and check a pricing.json. A server has the same schema at /v1/schema.

Examples:
  tier schema > pricing.schema.json")]
pub(super) struct Schema {}

/// The JSON Schema of a pricing.json.
pub(super) fn print_schema() -> anyhow::Result<()> {
    output::json(&schema::schema())
}

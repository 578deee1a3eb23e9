//! `tier push`: pushes a pricing.json to Stripe.

use std::collections::BTreeSet;

use axum::http::Method;
use clap::ValueEnum as _;
use serde::Deserialize;
use serde_json::json;

use super::client::{Answer, Client};
use super::confirm::Confirmation;
use super::document::{Document, Source};
use super::error::CliError;
use super::output::{self, Tone};
use super::{Context, diff, switch};
use crate::config::StripeGeneration;

/// Arguments of `tier push`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Plans never change once they are pushed: to change one, give it a new version. A push can be repeated; one that was \
interrupted is completed by pushing again.

Examples:
  tier push pricing.json               create what is not in Stripe yet
  tier push --dry-run pricing.json     only show what would be created, and what differs
  tier push https://example.com/pricing.json
  tier pull | tier push -c -           copy the model into a new, isolated account")]
pub(super) struct Push {
    /// First create an isolated account and switch to it, as `tier switch -c` does
    #[arg(short = 'c', conflicts_with = "dry_run")]
    create_account: bool,

    /// Only show what would be created, what exists already, and what differs (exit status 1)
    #[arg(long)]
    dry_run: bool,

    /// Which metered prices to create; also `TIER_STRIPE_GENERATION`. A server has a setting of its own
    #[arg(long, value_enum, conflicts_with = "dry_run")]
    stripe_generation: Option<StripeGeneration>,

    /// The model: a file, a URL, or - for standard input
    #[arg(value_name = "FILE|URL|-")]
    model: Source,

    #[command(flatten)]
    confirmation: Confirmation,
}

#[derive(Deserialize)]
struct Pushed {
    #[serde(default)]
    results: Vec<PushedFeature>,
}

#[derive(Deserialize)]
struct PushedFeature {
    /// `feature:x@plan:y@1`.
    feature: String,
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    link: Option<String>,
    #[serde(default)]
    archived: bool,
    #[serde(default)]
    generation: Option<String>,
}

impl PushedFeature {
    fn is_ok(&self) -> bool {
        self.status == "ok"
    }

    fn is_of_existing_plan(&self) -> bool {
        !self.is_ok() && self.reason.ends_with("already exists")
    }

    fn line(&self) -> String {
        let (feature, plan) = output::feature_and_plan(&self.feature);
        let tone = if self.is_ok() { Tone::Good } else { Tone::Bad };
        let status = output::toned(tone, &self.status);
        let link = self.link.as_deref().filter(|_| self.is_ok()).unwrap_or("-");
        let reason = output::printable(&self.reason);
        format!("{status}\t{plan}\t{feature}\t{link}\t[{reason}]")
    }
}

/// Pushes a model, and prints the result for each feature.
pub(super) async fn run(context: &Context, arguments: &Push) -> anyhow::Result<()> {
    let document = arguments.model.read().await?;
    let model = document.model()?;
    if arguments.dry_run {
        return diff::show(context, &document, &model).await;
    }
    let warnings = document.warnings(&model);
    if !context.global.json {
        warnings.iter().for_each(output::note);
    }
    if arguments.create_account && context.is_remote() {
        return Err(CliError::new(
            "-c cannot be used with TIER_BASE_URL: the server would stay in its own account",
        )
        .advise("unset TIER_BASE_URL, or run `tier switch -c` in the directory of that server")
        .into());
    }
    if arguments.stripe_generation.is_some() && context.is_remote() {
        return Err(CliError::new(
            "--stripe-generation cannot be used with TIER_BASE_URL: the server creates the prices",
        )
        .advise("start the server with --stripe-generation, or with TIER_STRIPE_GENERATION")
        .into());
    }
    if arguments.create_account {
        switch::create(context).await?;
    }
    let client = client(context, arguments.stripe_generation).await?;
    let features = model.features().count();
    let (plans, all) = (
        output::plural(model.plans.len(), "plan"),
        output::plural(features, "feature"),
    );
    let question = format!("Push {plans} with {all} to the live account?");
    arguments.confirmation.ask(client.is_live(), &question)?;
    let answer = push(&client, document, features).await?;
    let pushed: Pushed = answer.decode()?;
    if context.global.json {
        print_answer(&answer, &pushed, &warnings)?;
        return fail_if_any_failed(&pushed.results);
    }
    for feature in &pushed.results {
        output::line(feature.line())?;
    }
    for plan in archived_plans(&pushed.results) {
        let undo = format!("`tier archive --undo {plan}` puts it back");
        output::note(format_args!(
            "{plan} is archived, and stays off sale: {undo}"
        ));
    }
    let metered = with_meters(&pushed.results);
    if metered > 0 {
        output::note(format_args!(
            "{} got a price with a billing meter, to which Tier sends the usage",
            output::plural(metered, "feature")
        ));
    }
    fail_if_any_failed(&pushed.results)?;
    let created = |result: &&PushedFeature| result.reason == "created";
    let created = pushed.results.iter().filter(created).count();
    output::done(summary(pushed.results.len(), created))
}

/// The client for a push that creates metered prices of `generation`, or else of the generation in the environment.
async fn client(context: &Context, generation: Option<StripeGeneration>) -> anyhow::Result<Client> {
    let mut environment = context.environment.clone();
    if let Some(named) = generation.and_then(|named| named.to_possible_value()) {
        environment.stripe_generation = Some(named.get_name().to_owned());
    }
    Client::open(&context.global, &environment).await
}

/// How many features a push gave a price with a billing meter.
fn with_meters(results: &[PushedFeature]) -> usize {
    let new = results.iter().filter(|result| result.reason == "created");
    new.filter(|result| result.generation.as_deref() == Some("meters"))
        .count()
}

/// The plans that a push found archived.
fn archived_plans(results: &[PushedFeature]) -> BTreeSet<&str> {
    let archived = results.iter().filter(|result| result.archived);
    archived
        .map(|result| output::feature_and_plan(&result.feature).1)
        .collect()
}

/// Prints the answer unchanged. Its results include warnings, so those of the document are only added if there are no
/// results.
fn print_answer(answer: &Answer, pushed: &Pushed, warnings: &[String]) -> anyhow::Result<()> {
    if pushed.results.is_empty() {
        return output::json(&json!({ "results": [], "warnings": warnings }));
    }
    output::bytes(&answer.body)
}

/// Sends the model. A terminal shows the number of finished features, if this process carries out the push.
async fn push(client: &Client, document: Document, features: usize) -> anyhow::Result<Answer> {
    let label = "pushing to Stripe";
    let Some((client, progress)) = client.with_push_progress() else {
        let push = client.checked(Method::POST, "/v1/push", document.bytes);
        return output::with_spinner(label, push).await;
    };
    let push = client.checked(Method::POST, "/v1/push", document.bytes);
    output::with_progress(label, features, || progress.done(), push).await
}

/// The summary of a push.
pub(super) fn summary(features: usize, created: usize) -> String {
    let all = output::plural(features, "feature");
    format!(
        "{all}: {created} created, {} already there",
        features - created
    )
}

fn fail_if_any_failed(results: &[PushedFeature]) -> anyhow::Result<()> {
    let failed = results.iter().filter(|result| !result.is_ok()).count();
    if failed == 0 {
        return Ok(());
    }
    if results.iter().any(PushedFeature::is_of_existing_plan) {
        let message = "illegal attempt to push features to existing plan(s); aborting.";
        return Err(CliError::new(message)
            .advise("give the plans that changed a new version; `tier diff` shows what differs")
            .into());
    }
    let all = output::plural(results.len(), "feature");
    let message = format!("{failed} of {all} could not be pushed");
    Err(CliError::new(message)
        .advise("push again to complete it: features that were created stay")
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(status: &str, reason: &str) -> PushedFeature {
        PushedFeature {
            feature: "feature:x@plan:p@1".to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            link: None,
            archived: false,
            generation: None,
        }
    }

    #[test]
    fn a_failure_has_advice() {
        let fault =
            |results: &[PushedFeature]| fail_if_any_failed(results).unwrap_err().to_string();
        assert!(fail_if_any_failed(&[]).is_ok());
        assert!(fail_if_any_failed(&[result("ok", "feature already exists")]).is_ok());
        let existing = [
            result("ok", "created"),
            result("failed", "plan already exists"),
        ];
        assert!(fault(&existing).starts_with("illegal attempt to push features"));
        let other = [result("ok", "created"), result("failed", "no more disk")];
        assert!(fault(&other).starts_with("1 of 2 features could not be pushed"));
    }
}

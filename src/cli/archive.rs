//! `tier archive`: takes a plan off sale, or puts it back.

use serde_json::json;

use super::Context;
use super::confirm::Confirmation;

/// Arguments of `tier archive`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Orgs that have the plan keep it, and it renews for them. Nobody else can subscribe to it, and `tier pull` leaves it out.

Examples:
  tier archive plan:pro@1
  tier archive --undo plan:pro@1       on sale again
  tier orgs --plan plan:pro@1          the orgs that still have it
  tier migrate plan:pro@1 plan:pro@2   moves them to a new version")]
pub(super) struct Archive {
    /// Put it on sale again
    #[arg(long)]
    undo: bool,

    #[command(flatten)]
    confirmation: Confirmation,

    /// The plan, as plan:NAME@VERSION
    plan: String,
}

/// Archives a plan.
pub(super) async fn run(context: &Context, arguments: &Archive) -> anyhow::Result<()> {
    let Archive { undo, plan, .. } = arguments;
    let client = context.client().await?;
    let question = if *undo {
        format!("Put {plan} on sale again in the live account?")
    } else {
        format!("Take {plan} off sale in the live account?")
    };
    arguments.confirmation.ask(client.is_live(), &question)?;
    let body = json!({ "plan": plan, "archived": !undo });
    let answer = client.post("/v1/archive", &body).await?;
    let done = if *undo {
        format!("{plan} is on sale again")
    } else {
        format!("{plan} is off sale; orgs that have it keep it")
    };
    context.print_done(&answer, done)
}

//! `tier switch` and `tier clean`: create, use and delete isolated accounts. There are no endpoints for them, so they
//! call the domain.

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;
use serde_json::json;

use super::confirm::Confirmation;
use super::error::{CliError, usage};
use super::isolation::Isolation;
use super::session::Session;
use super::state::{self, STATE_FILE, State};
use super::{Context, output};
use crate::config::{self, StripeKind, TimeSpan};
use crate::domain::{Domain, Error};

/// Go's zero time. It stands for the unknown creation time of an account.
const UNKNOWN: &str = "0001-01-01T00:00:00Z";

/// Arguments of `tier switch`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The file tier.state remembers the account for this directory: from then on, every command here acts in it, with the \
key that owns it. Remove the file to go back, also if the account was deleted meanwhile. Without arguments, prints the \
account in use.

Examples:
  tier switch -c                       make a new account, and switch to it
  tier switch acct_1234567890          switch to an existing one
  tier switch https://dashboard.stripe.com/acct_1234567890/test/dashboard
  rm tier.state                        switch back")]
pub(super) struct Switch {
    /// Create an account and switch to it
    #[arg(short = 'c')]
    create: bool,

    /// The id of an account, or its page in Stripe's dashboard
    #[arg(value_name = "acct_…|URL")]
    account: Option<String>,
}

/// Switches to an account, or prints the current one.
pub(super) async fn run(context: &Context, arguments: &Switch) -> anyhow::Result<()> {
    match &arguments.account {
        Some(_) if arguments.create => Err(usage("switch", "-c takes no account: it creates one")),
        Some(account) => switch_to(context, account).await,
        None if arguments.create => {
            let state = create(context).await?;
            announce(context, &state)
        }
        None => match state::current()? {
            Some(state) => announce(context, &state),
            None if context.global.json => output::json(&json!(null)),
            None => output::line("Not running in isolation mode."),
        },
    }
}

async fn switch_to(context: &Context, account: &str) -> anyhow::Result<()> {
    // A state that cannot be read is not overwritten.
    state::read()?;
    let id = account
        .split(['/', '?', '#'])
        .find(|part| state::is_account_id(part));
    let Some(id) = id else {
        let message = format!("{account:?} is neither an account's id nor its dashboard's address");
        return Err(CliError::new(message)
            .advise("expected acct_… or https://dashboard.stripe.com/acct_…")
            .into());
    };
    check_usable(context, id).await?;
    let state = State::new(id.to_owned(), UNKNOWN.to_owned());
    state::write(&state)?;
    announce(context, &state)
}

/// Fails unless the key can use the account. Otherwise a typo would look like a bad key in later commands.
async fn check_usable(context: &Context, id: &str) -> anyhow::Result<()> {
    let session = Session::of_owner(&context.global, &context.environment).await?;
    let session = session.for_connected(id.to_owned());
    let isolation = session.isolation();
    let account = output::with_spinner("asking Stripe", session.domain().whoami()).await;
    match (account, isolation) {
        (Ok(_), isolation) => {
            isolation.into_iter().for_each(Isolation::remember);
            Ok(())
        }
        (Err(Error::AccountInvalid), Some(isolation)) => Err(isolation.refusal_to_switch().into()),
        (Err(error), _) => Err(error.into()),
    }
}

/// Creates a connected account, and switches to it.
pub(super) async fn create(context: &Context) -> anyhow::Result<State> {
    if let Some(state) = state::current()? {
        let message = format!(
            "{STATE_FILE} exists: commands here already use {}",
            state.id
        );
        return Err(CliError::new(message)
            .advise("remove it first, or go to another directory")
            .into());
    }
    let session = context.session().await?;
    refuse_live(&session, "switch -c")?;
    let key = session.key().to_owned();
    let domain = session.domain();
    let account =
        output::with_spinner("creating an account", domain.make_isolated_account()).await?;
    Isolation::new(&account.id, &key).remember();
    let created = DateTime::from_timestamp(account.created, 0).unwrap_or_default();
    let created = created.to_rfc3339_opts(SecondsFormat::Secs, true);
    let state = State::new(account.id, created);
    state::write(&state)?;
    Ok(state)
}

fn announce(context: &Context, state: &State) -> anyhow::Result<()> {
    if context.global.json {
        return output::json(state);
    }
    output::line("Running in isolation mode.")?;
    output::line(format_args!("Account: {}", page(context, &state.id)))?;
    output::line(format_args!(
        "To switch back, remove {STATE_FILE}: rm {STATE_FILE}"
    ))
}

/// The account's page in the dashboard, or its id if it has no page.
fn page(context: &Context, id: &str) -> String {
    let Context {
        global,
        environment,
    } = context;
    let stripe = if global.sandbox {
        let pages = &environment.sandbox_url;
        StripeKind::Sandbox { pages }
    } else {
        config::stripe_kind(&environment.stripe_base_url, global.live)
    };
    let Some(dashboard) = environment.dashboard_of(stripe) else {
        return id.to_owned();
    };
    let mode = if global.live { "" } else { "/test" };
    format!("{dashboard}/{id}{mode}")
}

fn refuse_live(session: &Session, command: &str) -> anyhow::Result<()> {
    if session.is_live() {
        let message = format!("tier {command} does not work in live mode");
        return Err(CliError::new(message).advise("use a test key").into());
    }
    Ok(())
}

/// Arguments of `tier clean`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tier clean --switchaccounts 24h      delete accounts made by `tier switch -c` more than a day ago
  tier clean --switchaccounts 0s       all of them
  tier clean --switchaccounts -1       none")]
pub(super) struct Clean {
    /// Delete the isolated accounts that are older than this, such as 90m, 24h or 7d; less than zero: none
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = age,
        allow_hyphen_values = true
    )]
    switchaccounts: MinAge,

    /// Has no effect, since live keys are refused and no question is asked. Accepted because scripts set it.
    #[command(flatten)]
    _confirmation: Confirmation,
}

/// The minimum age of an account. None deletes nothing.
type MinAge = Option<TimeSpan>;

/// Parses an age. A negative one, with a unit or without, is none.
fn age(text: &str) -> Result<MinAge, String> {
    match text.strip_prefix('-') {
        Some(rest) if rest.parse::<u64>().is_ok() || rest.parse::<TimeSpan>().is_ok() => Ok(None),
        _ => text.parse().map(Some),
    }
}

/// Deletes old accounts, and prints their ids.
pub(super) async fn clean(context: &Context, arguments: &Clean) -> anyhow::Result<()> {
    let mut cleaned = CleanResult::default();
    if let Some(age) = arguments.switchaccounts {
        let session = Session::of_owner(&context.global, &context.environment).await?;
        refuse_live(&session, "clean")?;
        cleaned.delete(context, &session.domain(), age).await?;
    }
    let CleanResult { deleted, kept } = cleaned;
    if context.global.json {
        let mut report = json!({ "deleted": deleted });
        if !kept.is_empty() {
            report["kept"] = json!(kept);
        }
        output::json(&report)?;
    } else {
        let accounts = output::plural(deleted.len(), "account");
        output::done(format_args!("{accounts} deleted"))?;
    }
    if !kept.is_empty() {
        let accounts = output::plural(kept.len(), "account");
        return Err(CliError::new(format!("{accounts} could not be deleted")).into());
    }
    Ok(())
}

/// The results for the accounts that are old enough.
#[derive(Default)]
struct CleanResult {
    /// The ids of the deleted accounts.
    deleted: Vec<String>,
    kept: Vec<NotDeleted>,
}

/// An account that Stripe refused to delete, and why.
#[derive(Serialize)]
struct NotDeleted {
    id: String,
    message: String,
}

impl CleanResult {
    async fn delete(
        &mut self,
        context: &Context,
        domain: &Domain,
        age: TimeSpan,
    ) -> anyhow::Result<()> {
        let age = i64::try_from(age.0.as_secs()).unwrap_or(i64::MAX);
        for account in domain.isolated_accounts(age).await? {
            // If Stripe refuses to delete an account, the others are still deleted.
            if let Err(error) = domain.delete_isolated_account(&account).await {
                let message = error.to_string();
                if !context.global.json {
                    output::note(format_args!("{} was not deleted: {message}", account.id));
                }
                self.kept.push(NotDeleted {
                    id: account.id,
                    message,
                });
                continue;
            }
            if !context.global.json {
                output::line(&account.id)?;
            }
            note_deletion(&account.id)?;
            self.deleted.push(account.id);
        }
        Ok(())
    }
}

/// Marks the account of this directory as deleted, so that later commands do not blame the key.
fn note_deletion(id: &str) -> anyhow::Result<()> {
    match state::read() {
        Ok(Some(mut state)) if state.id == id => {
            state.mark_deleted();
            state::write(&state)
        }
        // The state is for another account, or unreadable, which other commands report.
        _ => Ok(()),
    }
}

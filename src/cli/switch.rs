//! `tier switch` and `tier clean`: connected accounts to try things out in, and their end. There is no endpoint for
//! either, so they ask the domain.

use chrono::{DateTime, SecondsFormat};
use serde_json::json;

use super::failure::{Failure, usage};
use super::session::Session;
use super::state::{self, STATE_FILE, State};
use super::{Context, output};
use crate::config::TimeSpan;

/// Go's zero time: when an account was made that we have not asked about.
const UNKNOWN: &str = "0001-01-01T00:00:00Z";

/// Arguments of `tier switch`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The file tier.state remembers the account for this directory: from then on, every command here acts in it, with the \
key that owns it. Remove the file to go back. Without arguments, says which account that is.

Examples:
  tier switch -c                       make a new account, and switch to it
  tier switch acct_1234567890          switch to one that is there
  tier switch https://dashboard.stripe.com/acct_1234567890/test/dashboard
  rm tier.state                        switch back")]
pub(super) struct Switch {
    /// Make a new account and switch to it
    #[arg(short = 'c')]
    create: bool,

    /// An account's id, or its page in Stripe's dashboard
    #[arg(value_name = "acct_…|URL")]
    account: Option<String>,
}

/// Switches, or says where we are.
pub(super) async fn run(context: &Context, arguments: &Switch) -> anyhow::Result<()> {
    match &arguments.account {
        Some(_) if arguments.create => Err(usage("switch", "-c takes no account: it makes one")),
        Some(account) => to(context, account),
        None if arguments.create => {
            let state = create(context).await?;
            announce(context, &state)
        }
        None => match state::read()? {
            Some(state) => announce(context, &state),
            None if context.global.json => output::json(&json!(null)),
            None => output::line("Not running in isolation mode."),
        },
    }
}

fn to(context: &Context, account: &str) -> anyhow::Result<()> {
    // A state that cannot be read is not overwritten.
    state::read()?;
    let id = account
        .split(['/', '?', '#'])
        .find(|part| state::is_account_id(part));
    let Some(id) = id else {
        let message = format!("{account:?} is neither an account's id nor its dashboard's address");
        return Err(Failure::new(message)
            .advise("expected acct_… or https://dashboard.stripe.com/acct_…")
            .into());
    };
    let state = State::new(id.to_owned(), UNKNOWN.to_owned());
    state::write(&state)?;
    announce(context, &state)
}

/// Makes a connected account, and puts this directory's commands into it.
pub(super) async fn create(context: &Context) -> anyhow::Result<State> {
    if let Some(state) = state::read()? {
        let message = format!(
            "{STATE_FILE} exists: commands here act in {} already",
            state.id
        );
        return Err(Failure::new(message)
            .advise("remove it first, or go to another directory")
            .into());
    }
    let session = context.session().await?;
    refuse_live(&session, "switch -c")?;
    let domain = session.domain();
    let account = output::watched("making an account", domain.make_isolated_account()).await?;
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
    let dashboard = context.environment.dashboard_url.trim_end_matches('/');
    output::line(format_args!("Account: {dashboard}/{}", state.id))?;
    output::line(format_args!(
        "To switch back, remove {STATE_FILE}: rm {STATE_FILE}"
    ))
}

fn refuse_live(session: &Session, command: &str) -> anyhow::Result<()> {
    if session.is_live() {
        let message = format!("tier {command} does not work in live mode");
        return Err(Failure::new(message).advise("use a test key").into());
    }
    Ok(())
}

/// Arguments of `tier clean`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tier clean --switchaccounts 24h      delete accounts made by `tier switch -c` more than a day ago
  tier clean --switchaccounts 0s       all of them")]
pub(super) struct Clean {
    /// Delete the accounts made to try things out that are older than this, such as 90m, 24h or 7d
    #[arg(long, value_name = "DURATION")]
    switchaccounts: TimeSpan,
}

/// Deletes old accounts, and prints their ids.
pub(super) async fn clean(context: &Context, arguments: &Clean) -> anyhow::Result<()> {
    let session = context.session().await?.of_owner();
    refuse_live(&session, "clean")?;
    let domain = session.domain();
    let age = i64::try_from(arguments.switchaccounts.0.as_secs()).unwrap_or(i64::MAX);
    let mut deleted = Vec::new();
    let mut kept = 0;
    for account in domain.isolated_accounts(age).await? {
        // One that Stripe does not let go is no reason to keep the others.
        if let Err(error) = domain.delete_isolated_account(&account).await {
            output::note(format_args!("{} was not deleted: {error}", account.id));
            kept += 1;
            continue;
        }
        if !context.global.json {
            output::line(&account.id)?;
        }
        deleted.push(account.id);
    }
    if context.global.json {
        output::json(&json!({ "deleted": deleted }))?;
    }
    if kept > 0 {
        let accounts = output::plural(kept, "account");
        return Err(Failure::new(format!("{accounts} could not be deleted")).into());
    }
    Ok(())
}

//! `tier help`, `tier completions` and `tier man`.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};

use super::error::usage;
use super::{Cli, hints, output, suggest};

/// Arguments of `tier help`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tier help push
  tier help environment                all variables and files
  tier help pricing                    an example of a pricing.json")]
pub(super) struct Help {
    /// A command, or one of: environment, pricing
    topic: Option<String>,
}

/// Help topics that are not commands.
const TOPICS: [&str; 2] = ["environment", "pricing"];

/// The text of a topic.
fn text(topic: &str) -> Option<String> {
    match topic {
        "environment" => Some(environment()),
        "pricing" => Some(PRICING.to_owned()),
        _ => None,
    }
}

const ENVIRONMENT: &str = "\
Variables that tier reads:

  STRIPE_API_KEY       the Stripe key; without it, the one that `tier connect` saved
  STRIPE_BASE_API_URL  the base URL of Stripe [https://api.stripe.com]
  STRIPE_WEBHOOK_SECRET  for `tier serve`: the secret that signs Stripe's events; `tier webhook create` prints it
  TIER_LINK_SECRET     for `tier serve`: the secret that signs checkout links
  STRIPE_PUBLISHABLE_KEY  the key with which browsers call Stripe; without it, the one that `tier connect` saved
  STRIPE_DEBUG=1       log every call to Stripe, with secrets masked
  TIER_BASE_URL        send commands to the tier server there, instead of handling them in this process
  TIER_CLOCK           the test clock that commands' orgs are on
  TIER_LEDGER          the file in which a server stores usage, which `tier ledger` reads; commands that write go to
                       that server then, and need TIER_BASE_URL
  TIER_API_KEY         the key of that server; for `tier serve`, the keys that it accepts, separated by commas
  TIER_KEY_PREFIX      a prefix of idempotency keys; change it after purging test data
  TIER_SANDBOX_URL     where --sandbox looks for a sandbox [http://127.0.0.1:12111]
  TIER_DASHBOARD_URL   where links lead, and where `tier connect` gets keys [https://dashboard.stripe.com; with --sandbox
                       the sandbox; none if STRIPE_BASE_API_URL begins with http:// and the key is a test key]
  TIER_MODEL_URL       the server that `tier share` makes links to, unless --base-url names one [none]
  TIER_DEBUG           log in detail, as -v does
  NO_COLOR             no colours
";

const FILES: &str = "\
Files:

  ~/.config/tier/config.json    keys, written by `tier connect`
  ~/.config/tier/isolated.json  digests of the keys that created isolated accounts, written by `tier switch`
  tier.state                    the account that commands in this directory use, written by `tier switch`
";

const PRICING: &str = r#"A pricing.json lists plans, with the features of each and their prices. Amounts are in cents. Comments are allowed.

  {
    "plans": {
      "plan:pro@1": {
        "title": "Pro",
        "interval": "@monthly",           // or @daily, @weekly, @quarterly, @yearly
        "currency": "usd",
        "features": {
          "feature:base": { "base": 4900 },                 // $49 a month
          "feature:convert": {
            "aggregate": "sum",                             // or max, last, perpetual
            "mode": "graduated",                            // or volume
            "tiers": [
              { "upto": 1000 },                             // the first thousand are free
              { "price": 0.5 }                              // then half a cent each
            ]
          }
        }
      }
    }
  }

`tier validate FILE` checks a file, and `tier schema` prints a schema for editors.
"#;

/// Describes all variables and files. Variables that stand for flags of the server are only listed, since the flags'
/// help describes them.
fn environment() -> String {
    let cli = Cli::command();
    let serve = cli.find_subcommand("serve");
    let flags = serve.into_iter().flat_map(Command::get_arguments);
    let lines = flags.filter_map(|flag| {
        let (name, long) = (flag.get_env()?.to_str()?, flag.get_long()?);
        Some(format!("  {name:<26} --{long}\n"))
    });
    let lines: String = lines.collect();
    format!(
        "{ENVIRONMENT}\nVariables in place of flags of `tier serve`, which its --help explains:\n\n{lines}\n{FILES}"
    )
}

/// Prints help on a topic, a command (the same as `--help`), or everything.
pub(super) fn help(arguments: &Help) -> anyhow::Result<()> {
    let Some(topic) = arguments.topic.as_deref() else {
        return print_help(&["tier", "--help"]);
    };
    if let Some(text) = text(topic) {
        return output::bytes(text.as_bytes());
    }
    let cli = Cli::command();
    if cli.find_subcommand(topic).is_some() {
        return print_help(&["tier", topic, "--help"]);
    }
    if let Some(hint) = hints::about(topic) {
        let message = format!("there is no command {topic:?}: {hint}");
        return Err(usage("help", message));
    }
    let commands = cli
        .get_subcommands()
        .map(|command| command.get_name().to_owned());
    let topics = TOPICS.map(str::to_owned).into_iter();
    let names: Vec<String> = commands.chain(topics).collect();
    let suggestion = suggest::nearest(topic, &names);
    let suggestion = suggestion.map(|name| format!("; did you mean {name:?}?"));
    let message = format!(
        "there is no help on {topic:?}{}",
        suggestion.unwrap_or_default()
    );
    Err(usage("help", message))
}

/// The help of a command, as clap prints it.
fn print_help(args: &[&str]) -> anyhow::Result<()> {
    match Cli::command().try_get_matches_from(args) {
        Ok(_) => Ok(()),
        Err(help) => Ok(help.print()?),
    }
}

/// Arguments of `tier completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tier completions bash > /etc/bash_completion.d/tier
  tier completions zsh > \"${fpath[1]}/_tier\"
  tier completions fish > ~/.config/fish/completions/tier.fish")]
pub(super) struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

/// Prints a completion script for a shell.
pub(super) fn completions(arguments: &Completions) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "tier", &mut script);
    output::bytes(&script)
}

/// Arguments of `tier man`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tier man | man -l -
  tier man push | man -l -
  tier man --dir /usr/local/share/man/man1")]
pub(super) struct Man {
    /// Write all pages into this folder
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    dir: Option<PathBuf>,

    /// Print the page of this command instead of the main one
    command: Option<String>,
}

/// Prints or writes man pages.
pub(super) fn man(arguments: &Man) -> anyhow::Result<()> {
    let mut cli = Cli::command();
    cli.build();
    if let Some(dir) = &arguments.dir {
        let written = clap_mangen::generate_to(cli, dir);
        return written.with_context(|| format!("cannot write to {}", dir.display()));
    }
    let Some(name) = arguments.command.as_deref() else {
        return main_page(&cli);
    };
    match cli.find_subcommand(name) {
        Some(command) => page(command, |_| Ok(())),
        None => Err(usage("man", format!("there is no command {name:?}"))),
    }
}

/// The main page. It ends with the variables and files.
fn main_page(cli: &Command) -> anyhow::Result<()> {
    page(cli, |page| {
        writeln!(page, ".SH ENVIRONMENT AND FILES\n.nf")?;
        for line in environment().lines() {
            // In roff, a line that begins with a dot or a quote is an instruction.
            writeln!(
                page,
                "\\&{}",
                line.replace('\\', "\\\\").replace('-', "\\-")
            )?;
        }
        Ok(writeln!(page, ".fi")?)
    })
}

fn page(
    command: &Command,
    more: impl FnOnce(&mut Vec<u8>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    more(&mut page)?;
    output::bytes(&page)
}

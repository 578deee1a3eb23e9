//! The `tier` command line. Each command has a file, and some share one.
//!
//! A command that has an endpoint sends the endpoint's request (`client`), either to the server that the user names or
//! to the same router in this process. So commands and endpoints behave the same.

mod account;
mod archive;
mod args;
mod builder;
mod client;
mod clock;
mod confirm;
mod connect;
mod dev;
mod diff;
mod doctor;
mod document;
mod error;
mod fetch;
mod help;
mod hints;
mod history;
mod http;
mod init;
mod isolation;
mod ledger;
mod listen;
mod migrate;
mod orgs;
mod output;
mod phases;
mod pricing;
mod push;
mod sandbox;
mod serve;
mod session;
mod share;
mod state;
mod subscribe;
mod suggest;
mod switch;
mod usage;
mod webhook;

use std::fmt::Display;
use std::io::ErrorKind;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind as Wrong;
use clap::{ArgAction, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use serde_json::json;

use crate::config::{self, Environment};

/// How long the process waits at its end for abandoned tasks.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Pricing as code for products that bill through Stripe.
#[derive(Debug, Parser)]
#[command(
    name = "tier",
    version,
    disable_version_flag = true,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    after_help = "\
Start here:
  tier sandbox                         in one terminal: a Stripe to try things out with
  tier init                            in another: a pricing.json to begin with
  tier --sandbox push pricing.json
  tier --sandbox subscribe org:acme plan:free@0
  tier --sandbox limits org:acme

`tier help COMMAND` has examples of each command, `tier help environment` all variables,
`tier help pricing` an example of a pricing.json."
)]
struct Cli {
    #[command(flatten)]
    global: Global,

    /// Print the version
    #[arg(short = 'V', long, action = ArgAction::Version)]
    version: Option<bool>,

    #[command(subcommand)]
    command: Command,
}

/// The options of every command, which may be before or after it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
struct Global {
    /// Work with live data: needed with a live key, refused with a test key
    #[arg(long, global = true)]
    live: bool,

    /// Log in detail, on stderr
    #[arg(short, long, global = true)]
    verbose: bool,

    /// Work with the Stripe sandbox, without an account: the one that runs at 127.0.0.1:12111 (or at
    /// `TIER_SANDBOX_URL`), or with `tier serve` one of its own; `STRIPE_API_KEY` is not read
    #[arg(long, global = true, conflicts_with = "live")]
    sandbox: bool,

    /// Print JSON, for programs
    #[arg(long, global = true)]
    json: bool,

    /// Send the command to this tier server, instead of handling it in this process; also `TIER_BASE_URL`
    #[arg(long, global = true, value_name = "URL", conflicts_with_all = ["live", "sandbox"])]
    base_url: Option<String>,

    /// Act on orgs that are on this test clock; also `TIER_CLOCK`
    #[arg(long, global = true, value_name = "CLOCK")]
    clock: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API
    #[command(after_help = "\
Examples:
  tier serve
  tier serve --addr :8080              on every interface
  tier serve --sandbox                 without a Stripe account")]
    Serve(Box<config::Serve>),
    /// Serve the Stripe sandbox alone, for any Stripe client
    #[command(after_help = "\
Examples:
  tier sandbox
  tier sandbox --latency 100ms         as slow as the real one
  STRIPE_BASE_API_URL=http://127.0.0.1:12111 STRIPE_API_KEY=sk_test_x tier whoami")]
    Sandbox(config::Sandbox),
    /// Serve the API over a sandbox that follows a pricing.json
    Dev(Box<dev::Dev>),
    /// Make a model in the browser, without a Stripe account
    Builder(Box<builder::Builder>),
    /// Write a first pricing.json
    Init(init::Init),
    /// Push a pricing.json to Stripe
    Push(push::Push),
    /// Print the model that is in Stripe
    Pull(pricing::Pull),
    /// List the features of all plans
    Ls(pricing::Ls),
    /// Take a plan off sale, or put it back
    Archive(archive::Archive),
    /// Compare a pricing.json with what is in Stripe
    Diff(diff::Diff),
    /// Check a pricing.json, offline
    Validate(pricing::Validate),
    /// Print a JSON Schema of pricing.json
    Schema(pricing::Schema),
    /// Subscribe an org to plans, cancel, or update its details
    Subscribe(subscribe::Subscribe),
    /// List orgs with their plans
    Orgs(orgs::Orgs),
    /// Move all orgs of a plan to another plan
    Migrate(migrate::Migrate),
    /// List the past, current and future phases of an org
    Phases(phases::PhasesArgs),
    /// List the limits and the usage of an org
    Limits(usage::LimitsArgs),
    /// Record usage of a feature
    Report(usage::Report),
    /// Show usage over time
    Usage(history::UsageArgs),
    /// Check the key and the account, and say what to do
    Doctor(doctor::Doctor),
    /// Print the Stripe account that commands use
    Whoami(account::Whoami),
    /// Print an org's Stripe customer
    Whois(account::Whois),
    /// Create, show and advance test clocks
    Clock(clock::ClockArgs),
    /// Work in an isolated account, separate from everybody else
    Switch(switch::Switch),
    /// Delete old isolated accounts
    Clean(switch::Clean),
    /// Get keys from Stripe, through your browser
    Connect(connect::Connect),
    /// Put a model where others can look at it
    Share(share::Share),
    /// Inspect the ledger of usage
    Ledger(ledger::Ledger),
    /// Manage the webhook endpoints that send Stripe's events to a server
    Webhook(webhook::Webhook),
    /// Deliver the sandbox's events to a program on this machine
    Listen(listen::Listen),
    /// Send any request to the API
    Fetch(fetch::Fetch),
    /// Check that a server is healthy
    Healthcheck(fetch::Healthcheck),
    /// Print the version
    #[command(after_help = "\
Examples:
  tier version")]
    Version,
    /// Print help on a command or topic
    Help(help::Help),
    /// Print a completion script for a shell
    Completions(help::Completions),
    /// Print man pages
    Man(help::Man),
}

/// The context of a command: the options of every command, and the environment.
struct Context {
    global: Global,
    environment: Environment,
}

impl Context {
    async fn client(&self) -> anyhow::Result<client::Client> {
        client::Client::open(&self.global, &self.environment).await
    }

    /// Whether a server handles commands, with its own account.
    fn is_remote(&self) -> bool {
        client::base_url(&self.global, &self.environment).is_some()
    }

    async fn session(&self) -> anyhow::Result<session::Session> {
        session::Session::open(&self.global, &self.environment).await
    }

    /// Prints the API's answer to a write with `--json`, or else what was done, if there is a terminal.
    fn print_done(&self, answer: &client::Answer, done: impl Display) -> anyhow::Result<()> {
        if self.global.json {
            return output::text(&answer.body);
        }
        output::done(done)
    }
}

/// Parses the command line, runs the command, and returns the exit status.
pub fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(ended) => return ended,
    };
    let as_json = cli.global.json;
    let environment = Environment::of_process();
    let verbose = cli.global.verbose || environment.debug;
    let filter = match (verbose, &cli.command) {
        (true, _) => "debug,hyper=info,h2=info",
        (
            false,
            Command::Serve(_) | Command::Dev(_) | Command::Builder(_) | Command::Sandbox(_),
        ) => "info",
        // The command prints its errors itself. STRIPE_DEBUG still works.
        (false, _) => "error,stripe=info",
    };
    let log = telemetry::init(
        filter,
        environment.otlp_endpoint.as_deref(),
        crate::net::client_tls,
    );
    let context = Context {
        global: cli.global,
        environment,
    };
    let ended = run(&context, cli.command);
    drop(log);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit_code(&error, as_json),
    }
}

/// Parses the command line. The error is the exit status after help, the version or wrong usage was printed.
fn parse() -> Result<Cli, ExitCode> {
    let command = Cli::command();
    let args = args::with_two_dashes(std::env::args_os(), &args::long_flags(&command));
    let as_json = hints::wants_json(&args);
    let parsed = command
        .try_get_matches_from(args)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map_err(|error| match error.kind() {
        Wrong::DisplayVersion => match print_version(as_json) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => exit_code(&error, as_json),
        },
        Wrong::DisplayHelp | Wrong::DisplayHelpOnMissingArgumentOrSubcommand => error.exit(),
        _ => exit_code(&hints::add(error).into(), as_json),
    })
}

/// Prints an error. The exit status is 2 for wrong usage, and 1 for everything else.
fn exit_code(error: &anyhow::Error, as_json: bool) -> ExitCode {
    let io = error.downcast_ref::<std::io::Error>();
    if io.is_some_and(|cause| cause.kind() == ErrorKind::BrokenPipe) {
        // The reader has closed the pipe, as `head` does.
        return ExitCode::SUCCESS;
    }
    if as_json {
        output::fault_in_json(&error::in_json(error));
    } else {
        match error.downcast_ref::<clap::Error>() {
            // If stderr is closed, there is nowhere to print the error.
            Some(usage) => drop(usage.print()),
            None => output::fault(error),
        }
    }
    ExitCode::from(if error::is_wrong_usage(error) { 2 } else { 1 })
}

fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(carry_out(context, command));
    // A DNS lookup of a cancelled call may still be running.
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    ended
}

async fn carry_out(context: &Context, command: Command) -> anyhow::Result<()> {
    let Context {
        global,
        environment,
    } = context;
    match command {
        Command::Serve(settings) => serve::run(global, &settings, environment).await,
        Command::Sandbox(settings) => sandbox::run(&settings).await,
        Command::Dev(arguments) => dev::run(global, &arguments, environment).await,
        Command::Builder(arguments) => builder::run(global, &arguments, environment).await,
        Command::Init(arguments) => init::run(context, &arguments),
        Command::Push(arguments) => push::run(context, &arguments).await,
        Command::Pull(arguments) => pricing::pull(context, &arguments).await,
        Command::Archive(arguments) => archive::run(context, &arguments).await,
        Command::Ls(_) => pricing::ls(context).await,
        Command::Diff(arguments) => diff::run(context, &arguments).await,
        Command::Validate(arguments) => pricing::validate(context, &arguments).await,
        Command::Schema(_) => pricing::print_schema(),
        Command::Subscribe(arguments) => subscribe::run(context, &arguments).await,
        Command::Orgs(arguments) => orgs::run(context, &arguments).await,
        Command::Migrate(arguments) => migrate::run(context, &arguments).await,
        Command::Phases(arguments) => phases::run(context, &arguments).await,
        Command::Limits(arguments) => usage::limits(context, &arguments).await,
        Command::Report(arguments) => usage::report(context, &arguments).await,
        Command::Usage(arguments) => history::run(context, &arguments).await,
        Command::Whoami(_) => account::whoami(context).await,
        Command::Whois(arguments) => account::whois(context, &arguments).await,
        Command::Clock(arguments) => clock::run(context, &arguments).await,
        Command::Switch(arguments) => switch::run(context, &arguments).await,
        Command::Clean(arguments) => switch::clean(context, &arguments).await,
        Command::Connect(_) => connect::run(context).await,
        Command::Share(arguments) => share::run(context, &arguments).await,
        Command::Ledger(arguments) => ledger::run(context, &arguments).await,
        Command::Doctor(arguments) => doctor::run(context, &arguments).await,
        Command::Webhook(arguments) => webhook::run(context, &arguments).await,
        Command::Listen(arguments) => listen::run(context, &arguments).await,
        Command::Fetch(arguments) => fetch::run(context, &arguments).await,
        Command::Healthcheck(arguments) => fetch::healthcheck(context, &arguments).await,
        Command::Version => print_version(global.json),
        Command::Help(arguments) => help::help(&arguments),
        Command::Completions(arguments) => help::completions(&arguments),
        Command::Man(arguments) => help::man(&arguments),
    }
}

fn print_version(as_json: bool) -> anyhow::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    if as_json {
        return output::json(&json!({ "version": version }));
    }
    output::line(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_may_be_before_or_after_the_command() {
        for args in [
            ["tier", "--live", "-v", "serve", "--addr", "127.0.0.1:0"],
            ["tier", "serve", "--live", "--addr", "127.0.0.1:0", "-v"],
        ] {
            let cli = Cli::try_parse_from(args).unwrap();
            assert!(cli.global.live && cli.global.verbose && !cli.global.sandbox);
        }
    }

    #[test]
    fn every_command_that_takes_arguments_has_examples() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(help.contains("Examples:\n  "), "{name}");
        }
    }
}

//! The `tier` command: what is typed, and which file carries it out.

mod output;
mod sandbox;
mod serve;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Environment};
use crate::telemetry;

/// Pricing as code for products that bill through Stripe.
#[derive(Debug, Parser)]
#[command(
    name = "tier",
    disable_version_flag = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    global: Global,

    #[command(subcommand)]
    command: Command,
}

/// What holds for every command, written before it or after it.
#[derive(Debug, Clone, Args)]
struct Global {
    /// Work with live data: needed with a live key, refused with a test key
    #[arg(long, global = true)]
    live: bool,

    /// Say more about what happens, on stderr
    #[arg(short, long, global = true)]
    verbose: bool,

    /// Work with the built-in Stripe sandbox, without an account; `STRIPE_API_KEY` is not read
    #[arg(long, global = true, conflicts_with = "live")]
    sandbox: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API
    Serve(config::Serve),
    /// Serve the Stripe sandbox alone, for any Stripe client
    Sandbox(config::Sandbox),
    /// Print the version
    Version,
}

/// Reads the command line, carries it out, and says how that went.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let environment = Environment::of_process();
    let verbose = cli.global.verbose || environment.debug;
    let log = telemetry::init(if verbose {
        "debug,hyper=info,h2=info"
    } else {
        "info"
    });
    let ended = run(cli, &environment);
    drop(log);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::fault(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli, environment: &Environment) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match cli.command {
            Command::Serve(settings) => serve::run(&cli.global, &settings, environment).await,
            Command::Sandbox(settings) => sandbox::run(&settings).await,
            Command::Version => output::line(env!("CARGO_PKG_VERSION")),
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_before_or_after_the_command() {
        for args in [
            ["tier", "--live", "-v", "serve", "--addr", "127.0.0.1:0"],
            ["tier", "serve", "--live", "--addr", "127.0.0.1:0", "-v"],
        ] {
            let cli = Cli::try_parse_from(args).unwrap();
            assert!(cli.global.live && cli.global.verbose && !cli.global.sandbox);
        }
    }
}

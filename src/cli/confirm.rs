//! Asks for confirmation at the terminal before live data changes.

use std::fs::OpenOptions;
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Write as _};

use super::error::CliError;

/// The terminal of the process, even if its standard input is redirected.
const TERMINAL: &str = "/dev/tty";

/// The flag of commands that ask.
#[derive(Debug, clap::Args)]
pub(super) struct Confirmation {
    /// Do not ask before changing live data
    #[arg(short = 'y', long)]
    yes: bool,
}

/// Whether the command runs in a terminal. It may be partly redirected.
fn is_at_terminal() -> bool {
    io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal()
}

impl Confirmation {
    /// Asks `question` if it is about live data and somebody at a terminal can answer.
    ///
    /// # Errors
    /// If the answer was not yes.
    pub(super) fn ask(&self, is_live: bool, question: &str) -> anyhow::Result<()> {
        if self.yes || !is_live || !is_at_terminal() {
            return Ok(());
        }
        let terminal = OpenOptions::new().read(true).write(true).open(TERMINAL);
        let Ok(mut terminal) = terminal else {
            // Nobody can answer.
            return Ok(());
        };
        write!(terminal, "{question} [y/N] ")?;
        let mut answer = String::new();
        BufReader::new(terminal).read_line(&mut answer)?;
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(CliError::new("nothing was done")
                .advise("--yes answers the question")
                .into()),
        }
    }
}

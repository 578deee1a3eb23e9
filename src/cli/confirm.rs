//! A question before something changes that costs real money, for the person at the terminal.

use std::fs::OpenOptions;
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Write as _};

use super::failure::Failure;

/// The terminal that the process was started from, wherever its input comes from.
const TERMINAL: &str = "/dev/tty";

/// The flag of commands that ask.
#[derive(Debug, clap::Args)]
pub(super) struct Confirmation {
    /// Do not ask before changing live data
    #[arg(short = 'y', long)]
    yes: bool,
}

impl Confirmation {
    /// Asks `question` if it is about live data, and somebody is there to answer.
    ///
    /// # Errors
    /// The answer was not yes.
    pub(super) fn ask(&self, is_live: bool, question: &str) -> anyhow::Result<()> {
        if self.yes || !is_live || !io::stderr().is_terminal() {
            return Ok(());
        }
        let Ok(terminal) = OpenOptions::new().read(true).open(TERMINAL) else {
            // Nobody can answer.
            return Ok(());
        };
        let mut stderr = io::stderr().lock();
        write!(stderr, "{question} [y/N] ")?;
        stderr.flush()?;
        let mut answer = String::new();
        BufReader::new(terminal).read_line(&mut answer)?;
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::new("nothing was done")
                .advise("with --yes, nobody is asked")
                .into()),
        }
    }
}

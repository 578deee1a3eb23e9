//! What commands say: results on stdout, everything else on stderr.

use std::io::{self, Write as _};

/// A line on stdout, sent at once: programs wait for it.
pub(super) fn line(text: impl std::fmt::Display) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
}

/// Something that a person should know, on stderr.
pub(super) fn note(text: impl std::fmt::Display) {
    // There is nowhere left to complain if stderr is gone.
    let _ = writeln!(io::stderr().lock(), "tier: {text}");
}

/// Why the command failed, with its causes, on stderr.
pub(super) fn fault(error: &anyhow::Error) {
    note(format_args!("{error:#}"));
}

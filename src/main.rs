//! The `tier` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    tier::cli::main()
}

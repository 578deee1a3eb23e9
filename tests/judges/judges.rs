//! Judges of the sandbox, which compare it with what Stripe has published: its OpenAPI documents, and recorded answers
//! of the real Stripe. This data is not in the repository; see `tests/judges/run`.

#![expect(clippy::print_stdout, reason = "a judge prints its verdict")]

mod listed;
mod names;
mod openapi;
mod parameters;
mod replay;
mod schemas;
mod stripe;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

const USAGE: &str = "usage: judges JUDGE FOLDER [--list]
  JUDGE    replay, parameters, schemas
  FOLDER   Stripe's data: openapi-*.json, recorded.jsonl
  --list   print every disagreement, listed or not, and judge nothing";

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (judge, folder, list) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [judge, folder] => (judge, Path::new(folder), false),
        [judge, folder, "--list"] => (judge, Path::new(folder), true),
        _ => bail!(USAGE),
    };
    let runtime = tokio::runtime::Runtime::new().context("no runtime")?;
    let found = match judge {
        "replay" => runtime.block_on(replay::run(folder))?,
        "parameters" => runtime.block_on(parameters::run(folder))?,
        "schemas" => schemas::run(folder)?,
        _ => bail!(USAGE),
    };
    if list {
        found.lines().for_each(|line| println!("{line}"));
        return Ok(ExitCode::SUCCESS);
    }
    let listed = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/judges/listed")
        .join(format!("{judge}.txt"));
    listed::verdict(judge, &found, &listed)
}

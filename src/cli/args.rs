//! Accepts long flags with one dash, as Go's flag package does: `-addr` is `--addr`.

use std::collections::BTreeSet;
use std::ffi::OsString;

/// Adds the second dash to long flags that are written with one. Everything else stays: `-v`, `-c`, `-1`, values, and
/// everything after `--`.
pub(super) fn with_two_dashes(
    args: impl IntoIterator<Item = OsString>,
    long_flags: &BTreeSet<String>,
) -> Vec<OsString> {
    let mut literal = false;
    args.into_iter()
        .map(|arg| {
            literal |= arg == "--";
            match arg.to_str() {
                Some(text) if !literal && is_long_flag(text, long_flags) => {
                    format!("-{text}").into()
                }
                _ => arg,
            }
        })
        .collect()
}

fn is_long_flag(text: &str, long_flags: &BTreeSet<String>) -> bool {
    let name = text.strip_prefix('-').unwrap_or_default();
    let name = name.split_once('=').map_or(name, |(name, _)| name);
    // A single letter is a short flag.
    name.len() > 1 && long_flags.contains(name)
}

/// The names of all long flags of a command and its subcommands, with their aliases.
pub(super) fn long_flags(command: &clap::Command) -> BTreeSet<String> {
    let of_command = command.get_arguments().flat_map(|arg| {
        let names = arg.get_long_and_visible_aliases().unwrap_or_default();
        let aliases = arg.get_all_aliases().unwrap_or_default();
        names.into_iter().chain(aliases).map(str::to_owned)
    });
    let of_subcommands = command.get_subcommands().flat_map(long_flags);
    of_command
        .chain(of_subcommands)
        .chain(["help".to_owned()])
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn read(args: &[&str]) -> Vec<OsString> {
        let flags = long_flags(&super::super::Cli::command());
        with_two_dashes(args.iter().map(OsString::from), &flags)
    }

    #[test]
    fn long_flags_may_have_one_dash() {
        assert_eq!(
            read(&["tier", "serve", "-addr", ":8080"]),
            ["tier", "serve", "--addr", ":8080"]
        );
        assert_eq!(
            read(&["tier", "clean", "-switchaccounts=24h"]),
            ["tier", "clean", "--switchaccounts=24h"]
        );
        assert_eq!(
            read(&["tier", "subscribe", "-cancel_url", "x", "-help"]),
            ["tier", "subscribe", "--cancel_url", "x", "--help"]
        );
    }

    #[test]
    fn everything_else_stays() {
        for args in [
            &["tier", "-v", "push", "-c", "-"][..],
            &["tier", "subscribe", "--trial", "-1", "org:a"],
            &["tier", "fetch", "-XPOST", "-dx", "/v1/report"],
            &["tier", "push", "--", "-addr"],
            &["tier", "serve", "--addr", ":8080"],
        ] {
            assert_eq!(read(args), args, "{args:?}");
        }
    }
}

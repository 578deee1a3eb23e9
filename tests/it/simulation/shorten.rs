//! Makes a list that fails shorter, for whoever has to understand it.

use std::time::{Duration, Instant};

use super::ops::Op;
use super::run::Failure;

/// When to be content with what there is.
const LONG_ENOUGH: Duration = Duration::from_secs(60);

/// Leaves out what a list fails without: halves of it, quarters, and so on, down to single operations.
pub(super) fn shorten(
    mut list: Vec<Op>,
    mut failure: Failure,
    run: impl Fn(&[Op]) -> Result<(), Failure>,
) -> (Vec<Op>, Failure) {
    let start = Instant::now();
    list.truncate(failure.operation + 1);
    let mut size = list.len() / 2;
    while size > 0 && start.elapsed() < LONG_ENOUGH {
        let before = list.len();
        // From the end: what comes last fails, and what comes first only leads to it.
        let mut end = list.len();
        while end > 0 && start.elapsed() < LONG_ENOUGH {
            let begin = end.saturating_sub(size);
            let shorter = [&list[..begin], &list[end..]].concat();
            if let Err(still) = run(&shorter) {
                list = shorter;
                list.truncate(still.operation + 1);
                failure = still;
            }
            end = begin.min(list.len());
        }
        if size > 1 || list.len() == before {
            size /= 2;
        }
    }
    (list, failure)
}

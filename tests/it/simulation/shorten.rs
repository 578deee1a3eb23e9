//! Shortens a failing list, so that it is easier to understand.

use std::time::{Duration, Instant};

use super::ops::Op;
use super::run::Failure;

/// The time after which a list is not shortened further.
const LONG_ENOUGH: Duration = Duration::from_secs(60);

/// Removes operations without which the list still fails: halves of the list, then quarters, down to single operations.
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
        // Begins at the end, since the first operations prepare the last one, which fails.
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

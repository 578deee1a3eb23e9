//! File descriptors: how many the process may open, and how many connections that allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are reserved for calls to Stripe, listeners and files.
const RESERVE: u64 = 512;

/// Raises the limit on open files as far as this process may, and returns how many of the `wanted` connections fit.
/// Logs a warning if not all do.
pub fn connections_that_fit(wanted: usize) -> usize {
    let limit = raise(
        u64::try_from(wanted)
            .unwrap_or(u64::MAX)
            .saturating_add(RESERVE),
    );
    let connections = fitting(wanted, limit);
    if connections < wanted {
        tracing::warn!(
            limit,
            connections,
            wanted,
            "the limit on open files leaves room for fewer connections than wanted: raise it (ulimit -n)"
        );
    }
    connections
}

/// Raises the soft limit to the hard one, or else to `needed`. Returns the limit that then holds, `None` if there is
/// none.
fn raise(needed: u64) -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let soft = limit.current?;
    // macOS reports no hard limit, but refuses to remove the soft one.
    [limit.maximum, Some(needed)]
        .into_iter()
        .find(|&new| {
            let maximum = limit.maximum;
            let raised = Rlimit {
                current: new,
                maximum,
            };
            new.is_none_or(|new| new > soft) && setrlimit(Resource::Nofile, raised).is_ok()
        })
        .unwrap_or(Some(soft))
}

fn fitting(wanted: usize, limit: Option<u64>) -> usize {
    let Some(limit) = limit else { return wanted };
    let room = limit.saturating_sub(RESERVE).max(limit / 2).max(1);
    usize::try_from(room).unwrap_or(usize::MAX).min(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_kept_but_never_more_than_half() {
        assert_eq!(fitting(4096, None), 4096);
        assert_eq!(fitting(4096, Some(1 << 20)), 4096);
        assert_eq!(fitting(4096, Some(4096 + RESERVE)), 4096);
        assert_eq!(fitting(4096, Some(4096)), 4096 - 512);
        assert_eq!(fitting(4096, Some(1024)), 512);
        assert_eq!(fitting(4096, Some(64)), 32);
        assert_eq!(fitting(4096, Some(0)), 1);
    }
}

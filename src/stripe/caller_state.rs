//! Whether the caller of a request still waits for its answer, and whether anything was written for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio_util::sync::CancellationToken;

/// It waits, and nothing was written.
const WAITS: u8 = 0;
/// A write was sent: what has begun is carried through, whoever waits for it.
const HAS_WRITTEN: u8 = 1;
/// It left before anything was written, and nothing will be.
const LEFT: u8 = 2;

/// The caller of a request. Clones are about the same one.
#[derive(Clone, Debug, Default)]
pub struct CallerState {
    state: Arc<AtomicU8>,
    left: CancellationToken,
}

impl CallerState {
    /// The caller does not wait any longer. Whether nothing was written for it: then nothing will be.
    pub fn leave(&self) -> bool {
        let before = self.change(LEFT);
        self.left.cancel();
        before != HAS_WRITTEN
    }

    /// Whether it does not wait any longer.
    pub fn has_left(&self) -> bool {
        self.left.is_cancelled()
    }

    /// Completes when it leaves.
    pub async fn leaves(&self) {
        self.left.cancelled().await;
    }

    /// Whether a write may be sent now.
    pub(super) fn may_write(&self) -> bool {
        self.change(HAS_WRITTEN) != LEFT
    }

    /// Goes from waiting to `state`, if it waits; what it was before.
    fn change(&self, state: u8) -> u8 {
        let order = Ordering::Relaxed;
        let changed = self.state.compare_exchange(WAITS, state, order, order);
        changed.unwrap_or_else(|other| other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_first_goes_on_and_what_was_not_never_begins() {
        let [patient, hasty] = [(); 2].map(|()| CallerState::default());
        assert!(patient.may_write() && !patient.leave());
        assert!(patient.has_left() && patient.may_write());
        assert!(hasty.leave() && hasty.leave());
        assert!(hasty.has_left() && !hasty.may_write());
    }
}

//! The state of a request's caller: whether the caller still waits for the answer, and whether anything was written for
//! the request. A request without a write ends when its caller leaves; one that has written is completed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use tokio_util::sync::CancellationToken;

/// The caller waits, and nothing was written.
const WAITS: u8 = 0;
/// A write was sent, so the request is completed even if the caller leaves.
const HAS_WRITTEN: u8 = 1;
/// The caller left before anything was written, and nothing will be.
const LEFT: u8 = 2;

/// The state of a request's caller. Clones share it. The default is a caller who never leaves, which is enough for a
/// read: nothing depends on when its caller leaves.
#[derive(Clone, Debug, Default)]
pub struct CallerState(Option<Arc<Caller>>);

#[derive(Debug, Default)]
struct Caller {
    state: AtomicU8,
    effects: AtomicBool,
    left: CancellationToken,
}

impl CallerState {
    /// A caller who may leave.
    pub fn new() -> Self {
        Self(Some(Arc::default()))
    }

    /// Records that the caller has left. Returns whether nothing was written for the request; if so, nothing will be.
    pub fn leave(&self) -> bool {
        let before = self.change(LEFT);
        if let Some(caller) = &self.0 {
            caller.left.cancel();
        }
        before != HAS_WRITTEN
    }

    /// Whether the caller has left.
    pub fn has_left(&self) -> bool {
        let caller = self.0.as_ref();
        caller.is_some_and(|caller| caller.left.is_cancelled())
    }

    /// Completes when the caller leaves.
    pub async fn leaves(&self) {
        match &self.0 {
            Some(caller) => caller.left.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// Whether a write may be sent now. If so, the request is completed even if the caller leaves.
    pub(super) fn may_write(&self) -> bool {
        self.change(HAS_WRITTEN) != LEFT
    }

    /// Whether a write has had an effect, or may have had one.
    pub fn has_effects(&self) -> bool {
        let caller = self.0.as_ref();
        caller.is_some_and(|caller| caller.effects.load(Ordering::Relaxed))
    }

    /// Whether it is known that no write has had an effect. False for a caller who never leaves, whose writes are not
    /// recorded.
    pub fn is_without_effects(&self) -> bool {
        let caller = self.0.as_ref();
        caller.is_some_and(|caller| !caller.effects.load(Ordering::Relaxed))
    }

    /// Records that a write has had an effect, or may have had one.
    pub(super) fn note_effect(&self) {
        if let Some(caller) = &self.0 {
            caller.effects.store(true, Ordering::Relaxed);
        }
    }

    /// Changes the state from waiting to `state`, and returns the previous one.
    fn change(&self, state: u8) -> u8 {
        let Some(caller) = &self.0 else { return WAITS };
        let order = Ordering::Relaxed;
        let changed = caller.state.compare_exchange(WAITS, state, order, order);
        changed.unwrap_or_else(|current| current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_continues_after_a_write_and_never_begins_after_the_caller_left() {
        let [patient, hasty] = [(); 2].map(|()| CallerState::new());
        assert!(patient.may_write() && !patient.leave());
        assert!(patient.has_left() && patient.may_write());
        assert!(hasty.leave() && hasty.leave());
        assert!(hasty.has_left() && !hasty.may_write());
    }
}

//! Whether the caller of a request still waits for its answer, and whether anything was written for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use tokio_util::sync::CancellationToken;

/// It waits, and nothing was written.
const WAITS: u8 = 0;
/// A write was sent: what has begun is carried through, whoever waits for it.
const HAS_WRITTEN: u8 = 1;
/// It left before anything was written, and nothing will be.
const LEFT: u8 = 2;

/// The caller of a request. Clones are about the same one. By default it stays: nobody can tell when the caller of a read
/// leaves, and nothing depends on it.
#[derive(Clone, Debug, Default)]
pub struct CallerState(Option<Arc<Caller>>);

#[derive(Debug, Default)]
struct Caller {
    at: AtomicU8,
    effects: AtomicBool,
    left: CancellationToken,
}

impl CallerState {
    /// A caller who may leave.
    pub fn new() -> Self {
        Self(Some(Arc::default()))
    }

    /// The caller does not wait any longer. Whether nothing was written for it: then nothing will be.
    pub fn leave(&self) -> bool {
        let before = self.change(LEFT);
        if let Some(caller) = &self.0 {
            caller.left.cancel();
        }
        before != HAS_WRITTEN
    }

    /// Whether it does not wait any longer.
    pub fn has_left(&self) -> bool {
        let caller = self.0.as_ref();
        caller.is_some_and(|caller| caller.left.is_cancelled())
    }

    /// Completes when it leaves.
    pub async fn leaves(&self) {
        match &self.0 {
            Some(caller) => caller.left.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// Whether a write may be sent now.
    pub(super) fn may_write(&self) -> bool {
        self.change(HAS_WRITTEN) != LEFT
    }

    /// Whether a write has had an effect, or may have had one.
    pub fn has_effects(&self) -> bool {
        let caller = self.0.as_ref();
        caller.is_some_and(|caller| caller.effects.load(Ordering::Relaxed))
    }

    /// Whether it is known that no write has had an effect.
    pub fn is_without_effects(&self) -> bool {
        let caller = self.0.as_ref();
        caller.is_some_and(|caller| !caller.effects.load(Ordering::Relaxed))
    }

    /// A write has had an effect, or may have had one.
    pub(super) fn note_effect(&self) {
        if let Some(caller) = &self.0 {
            caller.effects.store(true, Ordering::Relaxed);
        }
    }

    /// Goes from waiting to `state`, if it waits; what it was before.
    fn change(&self, state: u8) -> u8 {
        let Some(caller) = &self.0 else { return WAITS };
        let order = Ordering::Relaxed;
        let changed = caller.at.compare_exchange(WAITS, state, order, order);
        changed.unwrap_or_else(|other| other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_first_goes_on_and_what_was_not_never_begins() {
        let [patient, hasty] = [(); 2].map(|()| CallerState::new());
        assert!(patient.may_write() && !patient.leave());
        assert!(patient.has_left() && patient.may_write());
        assert!(hasty.leave() && hasty.leave());
        assert!(hasty.has_left() && !hasty.may_write());
    }
}

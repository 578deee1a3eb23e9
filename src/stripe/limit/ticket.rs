//! The urgency of a request, and whether one of its calls was let through.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{Lane, Rank};

/// The urgency of a request. It can increase while the request waits.
///
/// Every request has a ticket, and most requests never wait, so this is not a `watch` channel, which takes ten times as
/// much memory.
#[derive(Debug)]
pub(in crate::stripe) struct Ticket {
    urgency: Mutex<Urgency>,
    changed: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Urgency {
    lane: Lane,
    /// Whether its first call was let through.
    begun: bool,
}

impl Default for Ticket {
    fn default() -> Self {
        Self::new(Lane::default())
    }
}

impl Ticket {
    pub(in crate::stripe) fn new(lane: Lane) -> Self {
        Self {
            urgency: Mutex::new(Urgency { lane, begun: false }),
            changed: Notify::new(),
        }
    }

    pub(in crate::stripe) fn lane(&self) -> Lane {
        self.urgency().lane
    }

    pub(in crate::stripe) fn has_begun(&self) -> bool {
        self.urgency().begun
    }

    /// Records that a call was let through: the request's own, or one that it shares.
    pub(in crate::stripe) fn begin(&self) {
        self.change(|urgency| urgency.begun = true);
    }

    /// Raises the urgency to `lane`, because a request in that lane waits for this one.
    pub(in crate::stripe) fn raise(&self, lane: Lane) {
        self.change(|urgency| urgency.lane = urgency.lane.min(lane));
    }

    fn change(&self, change: impl FnOnce(&mut Urgency)) {
        let mut urgency = self.urgency();
        let before = *urgency;
        change(&mut urgency);
        let has_changed = *urgency != before;
        drop(urgency);
        if has_changed {
            self.changed.notify_waiters();
        }
    }

    fn urgency(&self) -> MutexGuard<'_, Urgency> {
        self.urgency.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn rank(&self) -> Rank {
        match *self.urgency() {
            Urgency {
                lane: Lane::Interactive,
                ..
            } => Rank::Interactive,
            Urgency {
                lane: Lane::Check,
                begun: true,
            } => Rank::Begun,
            Urgency {
                lane: Lane::Check,
                begun: false,
            } => Rank::Check,
            Urgency {
                lane: Lane::Bulk, ..
            } => Rank::Bulk,
        }
    }

    /// Watches for changes of the urgency from now on.
    pub(super) fn raised(&self) -> Raised<'_> {
        Raised {
            ticket: self,
            seen: *self.urgency(),
        }
    }
}

/// Watches a request's urgency.
pub(super) struct Raised<'a> {
    ticket: &'a Ticket,
    seen: Urgency,
}

impl Raised<'_> {
    /// Completes at the next change.
    pub(super) async fn wait(&mut self) {
        loop {
            // Registered before the urgency is read, so that no change is missed in between.
            let mut changed = std::pin::pin!(self.ticket.changed.notified());
            changed.as_mut().enable();
            let now = *self.ticket.urgency();
            if now != self.seen {
                self.seen = now;
                return;
            }
            changed.await;
        }
    }
}

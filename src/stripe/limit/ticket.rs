//! The urgency of a request, and whether one of its calls was let through.

use tokio::sync::watch;

use super::{Lane, Rank};

/// The urgency of a request. It can increase while the request waits.
#[derive(Debug)]
pub(in crate::stripe) struct Ticket(watch::Sender<Urgency>);

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
        Self(watch::Sender::new(Urgency { lane, begun: false }))
    }

    pub(in crate::stripe) fn lane(&self) -> Lane {
        self.0.borrow().lane
    }

    pub(in crate::stripe) fn has_begun(&self) -> bool {
        self.0.borrow().begun
    }

    /// Notes that a call was let through: the request's own, or another one that it shares.
    pub(in crate::stripe) fn begin(&self) {
        self.change(|urgency| urgency.begun = true);
    }

    /// Raises the urgency to `lane`, because a request in that lane waits for this one.
    pub(in crate::stripe) fn raise(&self, lane: Lane) {
        self.change(|urgency| urgency.lane = urgency.lane.min(lane));
    }

    fn change(&self, change: impl FnOnce(&mut Urgency)) {
        self.0.send_if_modified(|urgency| {
            let before = *urgency;
            change(urgency);
            *urgency != before
        });
    }

    pub(super) fn rank(&self) -> Rank {
        match *self.0.borrow() {
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

    /// Watches for a higher urgency than the current one.
    pub(super) fn raised(&self) -> Raised {
        Raised(self.0.subscribe())
    }
}

/// Watches a request's urgency.
pub(super) struct Raised(watch::Receiver<Urgency>);

impl Raised {
    /// Completes at the next change.
    pub(super) async fn wait(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

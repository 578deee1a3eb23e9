//! The queue of an endpoint's deliveries, ordered by time.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::delivery::Delivery;

/// The maximum length of a queue: the number of events that an account keeps. Further deliveries are dropped.
pub(super) const MAX_WAITING: usize = 10_000;

/// The queue of an endpoint.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// By due time in milliseconds, then in order of arrival.
    waiting: BTreeMap<(i64, u64), Delivery>,
    added: u64,
    /// Notified when a delivery is added.
    pub(super) changed: Arc<Notify>,
    /// Cancelled when the queue is discarded.
    pub(super) closed: CancellationToken,
    /// The task that delivers.
    pub(super) worker: Option<JoinHandle<()>>,
}

impl Queue {
    /// Adds a delivery and returns whether there was room.
    pub(super) fn add(&mut self, delivery: Delivery, due: i64) -> bool {
        if self.waiting.len() >= MAX_WAITING {
            return false;
        }
        self.added += 1;
        self.waiting.insert((due, self.added), delivery);
        self.changed.notify_one();
        true
    }

    /// How many deliveries wait.
    pub(super) fn len(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// Whether its endpoint was deleted; `false` for an empty queue.
    pub(super) fn is_of_deleted(&self) -> bool {
        let first = self.waiting.first_key_value();
        first.is_some_and(|(_, delivery)| delivery.endpoint().is_none())
    }

    /// When the first delivery is due.
    pub(super) fn due(&self) -> Option<i64> {
        let ((due, _), _) = self.waiting.first_key_value()?;
        Some(*due)
    }

    /// Takes the first delivery.
    pub(super) fn take(&mut self) -> Option<Delivery> {
        let (_, delivery) = self.waiting.pop_first()?;
        Some(delivery)
    }

    /// Makes deliveries that wait for their first try due at `now`: all, or those of one account's events.
    pub(super) fn release(&mut self, account: Option<&str>, now: i64) {
        let waiting = std::mem::take(&mut self.waiting);
        for ((due, number), delivery) in waiting {
            let is_held =
                delivery.failed == 0 && account.is_none_or(|account| account == delivery.account());
            if is_held && due > now {
                self.added += 1;
                self.waiting.insert((now, self.added), delivery);
            } else {
                self.waiting.insert((due, number), delivery);
            }
        }
        self.changed.notify_one();
    }

    /// Whether the task is running. It stops before the queue is empty only if its runtime stops.
    pub(super) fn has_worker(&self) -> bool {
        let worker = self.worker.as_ref();
        worker.is_some_and(|worker| !worker.is_finished())
    }
}

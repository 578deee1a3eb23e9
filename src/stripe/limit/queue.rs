//! Waiting calls: a queue for each rank and endpoint, since a full endpoint must not delay the others.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Rank;

/// The waiting calls by rank and endpoint. Each queue is in the order of arrival.
#[derive(Debug, Default)]
pub(super) struct Queues {
    waiting: BTreeMap<(Rank, &'static str), BTreeMap<u64, Waiter>>,
    len: usize,
    arrivals: u64,
    /// The one waiting call that sleeps until capacity frees, and when that is. The others sleep until they are woken.
    keeper: Option<(Waiter, Instant)>,
}

/// A waiting call. Clones refer to the same call.
#[derive(Clone, Debug)]
pub(super) struct Waiter(Arc<WaiterState>);

#[derive(Debug)]
struct WaiterState {
    arrival: u64,
    endpoint: &'static str,
    rank: Mutex<Rank>,
    progress: AtomicU8,
    wake: Notify,
}

const WAITS: u8 = 0;
const THROUGH: u8 = 1;
const USED_UP: u8 = 2;

impl Waiter {
    pub(super) fn rank(&self) -> Rank {
        *self.0.rank.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the call was let through.
    pub(super) fn is_through(&self) -> bool {
        self.0.progress.load(Ordering::Relaxed) == THROUGH
    }

    /// Records that the call is being made.
    pub(super) fn use_up(&self) {
        self.0.progress.store(USED_UP, Ordering::Relaxed);
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.0.progress.load(Ordering::Relaxed) == USED_UP
    }

    /// Completes when the call should check its state.
    pub(super) async fn woken(&self) {
        self.0.wake.notified().await;
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Queues {
    /// The number of waiting calls.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The number of waiting calls ahead of a new one of this rank.
    pub(super) fn ahead_of(&self, rank: Rank) -> usize {
        let before = self.waiting.iter().take_while(|((of, _), _)| *of <= rank);
        before.map(|(_, queue)| queue.len()).sum()
    }

    /// The first call of each queue.
    pub(super) fn heads(&self) -> Vec<(Rank, u64, &'static str)> {
        let queues = self.waiting.iter();
        queues
            .filter_map(|((rank, endpoint), queue)| {
                Some((*rank, *queue.first_key_value()?.0, *endpoint))
            })
            .collect()
    }

    /// Adds a call at the end.
    pub(super) fn join(&mut self, rank: Rank, endpoint: &'static str) -> Waiter {
        self.arrivals += 1;
        let waiter = Waiter(Arc::new(WaiterState {
            arrival: self.arrivals,
            endpoint,
            rank: Mutex::new(rank),
            progress: AtomicU8::new(WAITS),
            wake: Notify::new(),
        }));
        self.insert(rank, waiter.clone());
        waiter
    }

    fn insert(&mut self, rank: Rank, waiter: Waiter) {
        let queue = self.waiting.entry((rank, waiter.0.endpoint)).or_default();
        queue.insert(waiter.0.arrival, waiter);
        self.len += 1;
    }

    fn remove(&mut self, rank: Rank, arrival: u64, endpoint: &'static str) -> Option<Waiter> {
        let queue = self.waiting.get_mut(&(rank, endpoint))?;
        let waiter = queue.remove(&arrival)?;
        if queue.is_empty() {
            self.waiting.remove(&(rank, endpoint));
        }
        self.len -= 1;
        if self
            .keeper
            .as_ref()
            .is_some_and(|(keeper, _)| keeper.is(&waiter))
        {
            self.keeper = None;
        }
        Some(waiter)
    }

    /// Removes a call, whether or not it was let through.
    pub(super) fn leave(&mut self, waiter: &Waiter) {
        self.remove(waiter.rank(), waiter.0.arrival, waiter.0.endpoint);
    }

    /// Removes a call and lets it through.
    pub(super) fn let_through(&mut self, rank: Rank, arrival: u64, endpoint: &'static str) {
        if let Some(waiter) = self.remove(rank, arrival, endpoint) {
            waiter.0.progress.store(THROUGH, Ordering::Relaxed);
            waiter.0.wake.notify_one();
        }
    }

    /// Changes a call's rank, keeping its order of arrival.
    pub(super) fn change_rank(&mut self, waiter: &Waiter, to: Rank) {
        if let Some(waiter) = self.remove(waiter.rank(), waiter.0.arrival, waiter.0.endpoint) {
            *waiter.0.rank.lock().unwrap_or_else(PoisonError::into_inner) = to;
            self.insert(to, waiter);
        }
    }

    /// Schedules one of the waiting calls to check again at `at`.
    pub(super) fn schedule_check(&mut self, at: Option<Instant>, now: Instant) {
        let Some(at) = at else {
            self.keeper = None;
            return;
        };
        let keeper = match self.keeper.take() {
            Some((keeper, then)) if now < then && then <= at => {
                self.keeper = Some((keeper, then));
                return;
            }
            Some((keeper, _)) => Some(keeper),
            None => self
                .waiting
                .values()
                .find_map(|queue| Some(queue.first_key_value()?.1.clone())),
        };
        if let Some(keeper) = keeper {
            keeper.0.wake.notify_one();
            self.keeper = Some((keeper, at));
        }
    }

    /// When this call must check again. Far in the future if another call does.
    pub(super) fn wake_time(&self, waiter: &Waiter) -> Instant {
        const NEVER: std::time::Duration = std::time::Duration::from_secs(86_400);
        match &self.keeper {
            Some((keeper, at)) if keeper.is(waiter) => *at,
            _ => Instant::now() + NEVER,
        }
    }
}

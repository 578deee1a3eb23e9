//! Calls that wait: a queue for each rank and endpoint, since an endpoint that is full holds up no other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Rank;

/// Who waits, by rank and endpoint; each queue in the order of arrival.
#[derive(Debug, Default)]
pub(super) struct Queues {
    waiting: BTreeMap<(Rank, &'static str), BTreeMap<u64, Waiter>>,
    len: usize,
    arrivals: u64,
    /// Who looks again at that time.
    keeper: Option<(Waiter, Instant)>,
}

/// A call that waits. Clones are about the same one.
#[derive(Clone, Debug)]
pub(super) struct Waiter(Arc<Place>);

#[derive(Debug)]
struct Place {
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

    /// Whether it was let through.
    pub(super) fn is_through(&self) -> bool {
        self.0.progress.load(Ordering::Relaxed) == THROUGH
    }

    /// The call is made.
    pub(super) fn use_up(&self) {
        self.0.progress.store(USED_UP, Ordering::Relaxed);
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.0.progress.load(Ordering::Relaxed) == USED_UP
    }

    /// Completes when there is something to look at.
    pub(super) async fn woken(&self) {
        self.0.wake.notified().await;
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Queues {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many wait that go before a newcomer of this rank.
    pub(super) fn up_to(&self, rank: Rank) -> usize {
        let before = self.waiting.iter().take_while(|((of, _), _)| *of <= rank);
        before.map(|(_, queue)| queue.len()).sum()
    }

    /// Who is first in each queue.
    pub(super) fn heads(&self) -> Vec<(Rank, u64, &'static str)> {
        let queues = self.waiting.iter();
        queues
            .filter_map(|((rank, endpoint), queue)| {
                Some((*rank, *queue.first_key_value()?.0, *endpoint))
            })
            .collect()
    }

    /// Adds one more at the end.
    pub(super) fn join(&mut self, rank: Rank, endpoint: &'static str) -> Waiter {
        self.arrivals += 1;
        let waiter = Waiter(Arc::new(Place {
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

    /// Takes it out, whether or not it was let through.
    pub(super) fn leave(&mut self, waiter: &Waiter) {
        self.remove(waiter.rank(), waiter.0.arrival, waiter.0.endpoint);
    }

    /// Takes it out, and tells it that it may make its call.
    pub(super) fn let_through(&mut self, rank: Rank, arrival: u64, endpoint: &'static str) {
        if let Some(waiter) = self.remove(rank, arrival, endpoint) {
            waiter.0.progress.store(THROUGH, Ordering::Relaxed);
            waiter.0.wake.notify_one();
        }
    }

    /// Gives it another rank, among whose waiters it stands as if it had been there from the beginning.
    pub(super) fn change_rank(&mut self, waiter: &Waiter, to: Rank) {
        if let Some(waiter) = self.remove(waiter.rank(), waiter.0.arrival, waiter.0.endpoint) {
            *waiter.0.rank.lock().unwrap_or_else(PoisonError::into_inner) = to;
            self.insert(to, waiter);
        }
    }

    /// Has one of those who wait look again when time makes room.
    pub(super) fn look_again(&mut self, at: Option<Instant>, now: Instant) {
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

    /// When this one has to look again; never, if another one does.
    pub(super) fn wakes(&self, waiter: &Waiter) -> Instant {
        const NEVER: std::time::Duration = std::time::Duration::from_secs(86_400);
        match &self.keeper {
            Some((keeper, at)) if keeper.is(waiter) => *at,
            _ => Instant::now() + NEVER,
        }
    }
}

//! Locks by name. Two changes of one org, or of one usage total, must not interleave, and no usage may be recorded on
//! an item during its change.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, Weak};

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::{Domain, Error, Result};
use crate::admission::AdmissionError;

/// A lock for each name in use. Unused names are removed after a while.
#[derive(Default)]
pub(super) struct Locks(std::sync::Mutex<HashMap<String, Weak<RwLock<()>>>>);

/// When to remove unused names first: early, since thousands of accounts may have locks.
const SWEEP_AT: usize = 16;

/// How many requests may wait for one lock or one idempotency key. More would not be answered in time.
const MOST_WAITING: usize = 32;

impl Domain {
    /// Waits for the lock of `name`, which is held until the guard is dropped. While it waits, the request gives up its
    /// place.
    pub(super) async fn hold(
        &self,
        locks: &Locks,
        name: &str,
    ) -> Result<OwnedRwLockWriteGuard<()>> {
        let lock = locks.join(name).ok_or(AdmissionError::OrgQueue)?;
        let free = lock.clone().try_write_owned().ok();
        self.acquire(free, lock.write_owned()).await
    }

    /// The same for a shared lock.
    pub(super) async fn share(
        &self,
        locks: &Locks,
        name: &str,
    ) -> Result<OwnedRwLockReadGuard<()>> {
        let lock = locks.get(name);
        let free = lock.clone().try_read_owned().ok();
        self.acquire(free, lock.read_owned()).await
    }

    /// Waits for the state of an idempotency key, which another request with the same key may hold. While it waits, the
    /// request gives up its place.
    pub(super) async fn hold_key<T>(&self, known: &Arc<Mutex<T>>) -> Result<OwnedMutexGuard<T>> {
        // Besides what knows of it.
        let others = Arc::strong_count(known) - 1;
        if others > MOST_WAITING {
            return Err(AdmissionError::KeyQueue.into());
        }
        let lock = known.clone();
        let free = lock.clone().try_lock_owned().ok();
        self.acquire(free, lock.lock_owned()).await
    }

    /// Returns the guard if it was `free`, or else waits for it, unless the caller leaves before.
    async fn acquire<G>(&self, free: Option<G>, guard: impl Future<Output = G>) -> Result<G> {
        if let Some(guard) = free {
            return Ok(guard);
        }
        tokio::select! {
            biased;
            () = self.stripe().caller().leaves() => Err(Error::Abandoned),
            guard = self.wait(guard) => guard,
        }
    }

    /// Waits for other requests.
    pub(super) async fn wait<T>(&self, other: impl Future<Output = T>) -> Result<T> {
        match &self.admission {
            Some(admission) => Ok(admission.wait(other).await?),
            None => Ok(other.await),
        }
    }
}

impl Locks {
    /// Waits for the lock of `name` in a background task. The number of waiting tasks is not limited here, since only
    /// one task of each name runs.
    pub(super) async fn exclusive(&self, name: &str) -> OwnedRwLockWriteGuard<()> {
        self.get(name).write_owned().await
    }

    /// The lock of `name`, unless too many requests wait for it. Each waiting request and the holder have a handle.
    fn join(&self, name: &str) -> Option<Arc<RwLock<()>>> {
        let lock = self.get(name);
        let others = Arc::strong_count(&lock) - 1;
        (others <= MOST_WAITING).then_some(lock)
    }

    fn get(&self, name: &str) -> Arc<RwLock<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = locks.get(name).and_then(Weak::upgrade) {
            return lock;
        }
        if locks.len() >= SWEEP_AT && locks.len() == locks.capacity() {
            locks.retain(|_, lock| lock.strong_count() > 0);
            // Where most are held, the next look is worth its while only after as many again.
            let held = locks.len();
            locks.reserve(held);
        }
        let lock = Arc::new(RwLock::default());
        locks.insert(name.to_owned(), Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_one_lock_and_no_more_names_than_holders_for_ever() {
        let locks = Locks::default();
        let held = locks.get("a").try_write_owned().expect("it is free");
        assert!(locks.get("a").try_write().is_err());
        assert!(locks.get("a").try_read().is_err());
        assert!(locks.get("b").try_write().is_ok());
        drop(held);
        assert!(locks.get("a").try_write().is_ok());
        for i in 0..100_000 {
            drop(locks.get(&i.to_string()));
        }
        assert!(locks.0.lock().expect("not poisoned").len() < 100);
    }

    #[test]
    fn who_shares_a_lock_keeps_out_only_who_wants_it_alone() {
        let locks = Locks::default();
        let shared = locks.get("a").try_read_owned().expect("it is free");
        assert!(locks.get("a").try_read().is_ok());
        assert!(locks.get("a").try_write().is_err());
        drop(shared);
        assert!(locks.get("a").try_write().is_ok());
    }

    #[test]
    fn a_queue_has_an_end_and_others_have_their_own() {
        let locks = Locks::default();
        let mut joined: Vec<_> = std::iter::from_fn(|| locks.join("a")).collect();
        assert_eq!(joined.len(), MOST_WAITING + 1);
        assert!(locks.join("b").is_some());
        joined.pop();
        assert!(locks.join("a").is_some());
    }
}

//! Locks by name. Two changes of the same org or usage total must not interleave, and no usage may be reported while a
//! plan is being changed.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, Weak};

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::{Domain, Error, Result};
use crate::admission::AdmissionError;

/// A lock for each name in use. Unused names are removed periodically.
#[derive(Default)]
pub(super) struct Locks(std::sync::Mutex<HashMap<String, Weak<RwLock<()>>>>);

/// The number of names at which unused names are first removed. It is small, since thousands of accounts may have
/// locks.
const SWEEP_AT: usize = 16;

/// The maximum number of requests that wait for one lock or idempotency key. Further requests would time out.
const MAX_WAITING: usize = 32;

impl Domain {
    /// Locks `name` exclusively until the guard is dropped. The request gives up its admission while it waits.
    pub(super) async fn hold(
        &self,
        locks: &Locks,
        name: &str,
    ) -> Result<OwnedRwLockWriteGuard<()>> {
        let lock = locks.join(name).ok_or(AdmissionError::OrgQueue)?;
        let free = lock.clone().try_write_owned().ok();
        self.acquire(free, lock.write_owned()).await
    }

    /// Like [`hold`](Self::hold), for a shared lock.
    pub(super) async fn share(
        &self,
        locks: &Locks,
        name: &str,
    ) -> Result<OwnedRwLockReadGuard<()>> {
        let lock = locks.get(name);
        let free = lock.clone().try_read_owned().ok();
        self.acquire(free, lock.read_owned()).await
    }

    /// Locks the state of an idempotency key, which another request with the same key may have locked. The request
    /// gives up its admission while it waits.
    pub(super) async fn hold_key<T>(&self, state: &Arc<Mutex<T>>) -> Result<OwnedMutexGuard<T>> {
        // The cache holds one of the references.
        let others = Arc::strong_count(state) - 1;
        if others > MAX_WAITING {
            return Err(AdmissionError::KeyQueue.into());
        }
        let lock = state.clone();
        let free = lock.clone().try_lock_owned().ok();
        self.acquire(free, lock.lock_owned()).await
    }

    /// Returns the `free` guard, or else waits for `guard`, unless the caller leaves first.
    pub(super) async fn acquire<G>(
        &self,
        free: Option<G>,
        guard: impl Future<Output = G>,
    ) -> Result<G> {
        if let Some(guard) = free {
            return Ok(guard);
        }
        tokio::select! {
            biased;
            () = self.stripe().caller().leaves() => Err(Error::Abandoned),
            guard = self.wait(guard) => guard,
        }
    }

    /// Waits for `other`, which depends on another request. This request gives up its admission meanwhile.
    pub(super) async fn wait<T>(&self, other: impl Future<Output = T>) -> Result<T> {
        match &self.admission {
            Some(admission) => Ok(admission.wait(other).await?),
            None => Ok(other.await),
        }
    }
}

impl Locks {
    /// Locks `name` exclusively, without a limit on the number of waiting tasks. Callers must limit it themselves.
    pub(super) async fn exclusive(&self, name: &str) -> OwnedRwLockWriteGuard<()> {
        self.get(name).write_owned().await
    }

    /// The lock of `name`; `None` if too many requests wait for it. The holder and each waiting request have a
    /// reference to the lock.
    fn join(&self, name: &str) -> Option<Arc<RwLock<()>>> {
        let lock = self.get(name);
        let others = Arc::strong_count(&lock) - 1;
        (others <= MAX_WAITING).then_some(lock)
    }

    fn get(&self, name: &str) -> Arc<RwLock<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = locks.get(name).and_then(Weak::upgrade) {
            return lock;
        }
        if locks.len() >= SWEEP_AT && locks.len() == locks.capacity() {
            locks.retain(|_, lock| lock.strong_count() > 0);
            // If most locks are in use, the next sweep comes when their number has doubled.
            let in_use = locks.len();
            locks.reserve(in_use);
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
    fn a_name_has_one_lock_and_unused_names_are_removed() {
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
    fn a_shared_lock_excludes_only_exclusive_holders() {
        let locks = Locks::default();
        let shared = locks.get("a").try_read_owned().expect("it is free");
        assert!(locks.get("a").try_read().is_ok());
        assert!(locks.get("a").try_write().is_err());
        drop(shared);
        assert!(locks.get("a").try_write().is_ok());
    }

    #[test]
    fn each_queue_is_bounded_separately() {
        let locks = Locks::default();
        let mut joined: Vec<_> = std::iter::from_fn(|| locks.join("a")).collect();
        assert_eq!(joined.len(), MAX_WAITING + 1);
        assert!(locks.join("b").is_some());
        joined.pop();
        assert!(locks.join("a").is_some());
    }
}

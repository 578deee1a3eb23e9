//! Mutual exclusion by name: two changes to one org, or to one usage total, must not interleave.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, Weak};

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{Domain, Error, Result};
use crate::admission::Refused;

/// A lock for each name in use. Names nobody holds any more cost nothing for long.
#[derive(Default)]
pub(super) struct Locks(std::sync::Mutex<HashMap<String, Weak<Mutex<()>>>>);

/// When to look for names that nobody holds: early, since there may be thousands of accounts with locks of their own.
const SWEEP_AT: usize = 16;

/// How many requests may wait for one lock, or with one idempotency key. More would not be answered in time.
const MOST_WAITING: usize = 32;

impl Domain {
    /// Waits for `name`'s lock, which is held until the guard is dropped. The request has no place meanwhile.
    pub(super) async fn hold(&self, locks: &Locks, name: &str) -> Result<OwnedMutexGuard<()>> {
        let lock = locks.join(name).ok_or(Refused::OrgQueue)?;
        self.acquire(lock).await
    }

    /// Waits for what is known of an idempotency key, which another request with the same key may be working on. The
    /// request has no place meanwhile.
    pub(super) async fn hold_key<T>(&self, known: &Arc<Mutex<T>>) -> Result<OwnedMutexGuard<T>> {
        let lock = join(known).ok_or(Refused::KeyQueue)?;
        self.acquire(lock).await
    }

    async fn acquire<T>(&self, lock: Arc<Mutex<T>>) -> Result<OwnedMutexGuard<T>> {
        if let Ok(guard) = lock.clone().try_lock_owned() {
            return Ok(guard);
        }
        tokio::select! {
            biased;
            () = self.stripe().caller().leaves() => Err(Error::Abandoned),
            guard = self.wait(lock.lock_owned()) => guard,
        }
    }

    /// Awaits what other requests have to finish.
    pub(super) async fn wait<T>(&self, other: impl Future<Output = T>) -> Result<T> {
        match &self.admission {
            Some(admission) => Ok(admission.wait(other).await?),
            None => Ok(other.await),
        }
    }
}

impl Locks {
    /// The lock of `name`, unless too many wait for it.
    fn join(&self, name: &str) -> Option<Arc<Mutex<()>>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = locks.get(name).and_then(Weak::upgrade) {
            return join(&lock);
        }
        if locks.len() >= SWEEP_AT && locks.len() == locks.capacity() {
            locks.retain(|_, lock| lock.strong_count() > 0);
            // Where most are held, the next look is worth its while only after as many again.
            let held = locks.len();
            locks.reserve(held);
        }
        let lock = Arc::new(Mutex::default());
        locks.insert(name.to_owned(), Arc::downgrade(&lock));
        Some(lock)
    }
}

/// One more handle of `lock`, for whoever is to hold it; none if too many wait for it.
fn join<T>(lock: &Arc<Mutex<T>>) -> Option<Arc<Mutex<T>>> {
    // Whoever holds it, and all who wait.
    let joined = Arc::strong_count(lock) - 1;
    (joined <= MOST_WAITING).then(|| lock.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_one_lock_and_no_more_names_than_holders_for_ever() {
        let locks = Locks::default();
        let lock = locks.join("a").expect("room");
        let held = lock.try_lock_owned().expect("it is free");
        assert!(locks.join("a").expect("room").try_lock().is_err());
        assert!(locks.join("b").expect("room").try_lock().is_ok());
        drop(held);
        assert!(locks.join("a").expect("room").try_lock().is_ok());
        for i in 0..100_000 {
            drop(locks.join(&i.to_string()));
        }
        assert!(locks.0.lock().expect("not poisoned").len() < 100);
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

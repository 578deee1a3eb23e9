//! Mutual exclusion by name: two changes to one org, or to one usage total, must not interleave.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

type Lock = tokio::sync::Mutex<()>;

/// A lock for each name in use. Names nobody holds any more cost nothing for long.
#[derive(Default)]
pub(super) struct Locks(Mutex<HashMap<String, Weak<Lock>>>);

/// When to look for names that nobody holds: early, since there may be thousands of accounts with locks of their own.
const SWEEP_AT: usize = 16;

impl Locks {
    /// Waits for `name`'s lock, which is held until the guard is dropped.
    pub(super) async fn hold(&self, name: &str) -> OwnedMutexGuard<()> {
        self.get(name).lock_owned().await
    }

    fn get(&self, name: &str) -> Arc<Lock> {
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
        let lock = Arc::new(Lock::default());
        locks.insert(name.to_owned(), Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_name_one_holder_and_no_more_names_than_holders_for_ever() {
        let locks = Locks::default();
        let held = locks.hold("a").await;
        assert!(locks.get("a").try_lock().is_err());
        assert!(locks.get("b").try_lock().is_ok());
        drop(held);
        assert!(locks.get("a").try_lock().is_ok());
        for i in 0..100_000 {
            drop(locks.hold(&i.to_string()).await);
        }
        assert!(locks.0.lock().expect("not poisoned").len() < 100);
    }
}

//! An LRU cache that never evicts an entry in use.
//!
//! The caches of `moka` and `lru` evict entries that are in use. The next request would then create the entry again,
//! with a second set of locks and limits.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A cache with a bound on its size, whose idle entries expire. Clones share it.
#[derive(Clone)]
pub(super) struct PinnedCache<K, V> {
    state: Arc<Mutex<State<K, V>>>,
    capacity: usize,
    time_to_idle: Duration,
    keep: fn(&V) -> bool,
}

struct State<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// The idle entries in the order in which they were unpinned, each with the time of that.
    idle: BTreeMap<u64, (Instant, K)>,
    /// How many times an entry was unpinned.
    unpinned: u64,
}

struct Entry<V> {
    value: V,
    usage: Use,
}

enum Use {
    /// Pinned by this many requests.
    Pinned(usize),
    /// Idle, under this number in `State::idle`.
    Idle(u64),
}

/// An entry that is not evicted until this is dropped.
pub(super) struct Pinned<K: Copy + Eq + Hash, V> {
    cache: PinnedCache<K, V>,
    key: K,
    value: V,
}

impl<K: Copy + Eq + Hash, V: Clone> PinnedCache<K, V> {
    /// A cache of at most `capacity` entries. An idle entry expires after `time_to_idle`. An entry for which `keep` is
    /// false is removed as soon as it is idle.
    pub(super) fn new(capacity: usize, time_to_idle: Duration, keep: fn(&V) -> bool) -> Self {
        let state = State {
            entries: HashMap::new(),
            idle: BTreeMap::new(),
            unpinned: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            capacity,
            time_to_idle,
            keep,
        }
    }

    /// The value of `key`, and whether the cache had it. If not, `make` creates it. None if the cache is full and every
    /// entry is in use.
    pub(super) fn pin(&self, key: K, make: impl FnOnce() -> V) -> Option<(Pinned<K, V>, bool)> {
        // Values are dropped after the lock is released.
        let mut evicted = Vec::new();
        let mut state = self.state();
        state.evict_expired(self.time_to_idle, &mut evicted);
        let cached = state.pin(key);
        let was_cached = cached.is_some();
        let value = if let Some(value) = cached {
            value
        } else {
            if state.entries.len() >= self.capacity {
                evicted.push(state.evict_oldest()?);
            }
            let value = make();
            let entry = Entry {
                value: value.clone(),
                usage: Use::Pinned(1),
            };
            state.entries.insert(key, entry);
            value
        };
        drop(state);
        let pinned = Pinned {
            cache: self.clone(),
            key,
            value,
        };
        Some((pinned, was_cached))
    }

    /// All entries, pinned or idle.
    pub(super) fn all(&self) -> Vec<(K, V)> {
        let mut evicted = Vec::new();
        let mut state = self.state();
        state.evict_expired(self.time_to_idle, &mut evicted);
        let entries = state.entries.iter();
        entries
            .map(|(key, entry)| (*key, entry.value.clone()))
            .collect()
    }
}

impl<K, V> PinnedCache<K, V> {
    fn state(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Eq + Hash, V: Clone> State<K, V> {
    /// Pins the entry of `key` once more, if there is one.
    fn pin(&mut self, key: K) -> Option<V> {
        let entry = self.entries.get_mut(&key)?;
        let pins = match entry.usage {
            Use::Pinned(pins) => pins,
            Use::Idle(number) => {
                self.idle.remove(&number);
                0
            }
        };
        entry.usage = Use::Pinned(pins + 1);
        Some(entry.value.clone())
    }
}

impl<K: Copy + Eq + Hash, V> State<K, V> {
    fn evict_expired(&mut self, time_to_idle: Duration, evicted: &mut Vec<V>) {
        let now = Instant::now();
        while self
            .idle
            .first_key_value()
            .is_some_and(|(_, (since, _))| *since + time_to_idle <= now)
        {
            evicted.extend(self.evict_oldest());
        }
    }

    /// Removes the entry that was idle for longest.
    fn evict_oldest(&mut self) -> Option<V> {
        let (_, (_, key)) = self.idle.pop_first()?;
        self.entries.remove(&key).map(|entry| entry.value)
    }

    /// Unpins the entry of `key`. If it becomes idle and `keep` is false for it, it is removed, and its value returned.
    fn unpin(&mut self, key: K, keep: fn(&V) -> bool) -> Option<V> {
        let entry = self.entries.get_mut(&key)?;
        match entry.usage {
            Use::Pinned(pins) if pins > 1 => entry.usage = Use::Pinned(pins - 1),
            _ if keep(&entry.value) => {
                self.unpinned += 1;
                entry.usage = Use::Idle(self.unpinned);
                self.idle.insert(self.unpinned, (Instant::now(), key));
            }
            _ => return self.entries.remove(&key).map(|entry| entry.value),
        }
        None
    }
}

impl<K: Copy + Eq + Hash, V> Deref for Pinned<K, V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.value
    }
}

impl<K: Copy + Eq + Hash, V> Drop for Pinned<K, V> {
    fn drop(&mut self) {
        let gone = self.cache.state().unpin(self.key, self.cache.keep);
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    type Value = Arc<AtomicUsize>;

    const IDLE: Duration = Duration::from_secs(60);

    /// Values above zero are kept.
    fn cache(most: usize) -> PinnedCache<u32, Value> {
        PinnedCache::new(most, IDLE, |value| value.load(Ordering::Relaxed) > 0)
    }

    fn pin(cache: &PinnedCache<u32, Value>, key: u32) -> Option<Pinned<u32, Value>> {
        Some(cache.pin(key, || Arc::new(AtomicUsize::new(1)))?.0)
    }

    /// Whether pinning `key` finds the existing value.
    fn knows(cache: &PinnedCache<u32, Value>, key: u32) -> bool {
        cache.pin(key, Value::default).expect("room").1
    }

    #[test]
    fn a_pinned_entry_is_neither_evicted_nor_created_again() {
        let cache = cache(10);
        let first = pin(&cache, 0).unwrap();
        for key in 1..5_000 {
            assert!(pin(&cache, key).is_some());
            assert!(cache.all().len() <= 10);
        }
        let second = pin(&cache, 0).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        drop(first);
        for key in 1..20 {
            assert!(pin(&cache, key).is_some());
        }
        assert!(Arc::ptr_eq(&second, &pin(&cache, 0).unwrap()));
    }

    #[test]
    fn a_new_entry_fits_unless_all_are_pinned() {
        let cache = cache(2);
        let (one, two) = (pin(&cache, 1), pin(&cache, 2));
        assert!(one.is_some() && two.is_some());
        assert!(pin(&cache, 3).is_none());
        assert!(pin(&cache, 1).is_some(), "it is there");
        drop(two);
        assert!(pin(&cache, 3).is_some());
        assert!(!knows(&cache, 2), "it made room");
    }

    #[test]
    fn the_latest_entries_stay_and_unwanted_ones_do_not() {
        let cache = cache(3);
        for key in [1, 2, 3, 1, 4] {
            pin(&cache, key).unwrap();
        }
        assert!(knows(&cache, 1) && knows(&cache, 3) && knows(&cache, 4));
        pin(&cache, 1).unwrap().store(0, Ordering::Relaxed);
        assert_eq!(cache.all().len(), 2);
        assert!(!knows(&cache, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_expires_after_being_idle() {
        let cache = cache(10);
        let held = pin(&cache, 1).unwrap();
        pin(&cache, 2).unwrap();
        tokio::time::advance(IDLE / 2).await;
        pin(&cache, 3).unwrap();
        tokio::time::advance(IDLE / 2).await;
        let mut keys: Vec<_> = cache.all().into_iter().map(|(key, _)| key).collect();
        keys.sort_unstable();
        assert_eq!(keys, [1, 3]);
        drop(held);
        assert!(knows(&cache, 1), "it became idle just now");
    }
}

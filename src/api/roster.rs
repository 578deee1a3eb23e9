//! Who is in memory: those that a request holds, and those idle, of whom the one idle for longest makes room for the
//! next. A cache that evicts by itself, as those of `moka` and `lru` do, will not do: what is evicted while it is held would
//! be made a second time, and then there would be two of its locks and its limits.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// At most so many values by key, each until it was idle for so long. Clones share them.
#[derive(Clone)]
pub(super) struct Roster<K, V> {
    state: Arc<Mutex<State<K, V>>>,
    most: usize,
    idle: Duration,
    keep: fn(&V) -> bool,
}

struct State<K, V> {
    known: HashMap<K, Entry<V>>,
    /// When each of the idle ones was let go, in that order.
    idle: BTreeMap<u64, (Instant, K)>,
    let_go: u64,
}

struct Entry<V> {
    value: V,
    now: Now,
}

enum Now {
    /// By so many requests.
    Held(usize),
    /// At this place in the order.
    Idle(u64),
}

/// A value that stays the only one of its key until this is dropped.
pub(super) struct Held<K: Copy + Eq + Hash, V> {
    roster: Roster<K, V>,
    key: K,
    value: V,
}

impl<K: Copy + Eq + Hash, V: Clone> Roster<K, V> {
    /// Room for `most`, each until it was `idle` for that long. What `keep` does not want is not kept when it is let go.
    pub(super) fn new(most: usize, idle: Duration, keep: fn(&V) -> bool) -> Self {
        let state = State {
            known: HashMap::new(),
            idle: BTreeMap::new(),
            let_go: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            most,
            idle,
            keep,
        }
    }

    /// The value of `key`, known or made, and whether it was known; none if all that there is room for are held.
    pub(super) fn hold(&self, key: K, make: impl FnOnce() -> V) -> Option<(Held<K, V>, bool)> {
        // Dropped after the lock is free.
        let mut gone = Vec::new();
        let mut state = self.state();
        state.forget_idle(self.idle, &mut gone);
        let known = state.take(key);
        let was_known = known.is_some();
        let value = if let Some(value) = known {
            value
        } else {
            if state.known.len() >= self.most {
                gone.push(state.pop_idle()?);
            }
            let value = make();
            let entry = Entry {
                value: value.clone(),
                now: Now::Held(1),
            };
            state.known.insert(key, entry);
            value
        };
        drop(state);
        let held = Held {
            roster: self.clone(),
            key,
            value,
        };
        Some((held, was_known))
    }

    /// All that are in memory.
    pub(super) fn all(&self) -> Vec<(K, V)> {
        let mut gone = Vec::new();
        let mut state = self.state();
        state.forget_idle(self.idle, &mut gone);
        let known = state.known.iter();
        known
            .map(|(key, entry)| (*key, entry.value.clone()))
            .collect()
    }
}

impl<K, V> Roster<K, V> {
    fn state(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Eq + Hash, V: Clone> State<K, V> {
    /// One more request holds the value of `key`, if it is known.
    fn take(&mut self, key: K) -> Option<V> {
        let entry = self.known.get_mut(&key)?;
        let holders = match entry.now {
            Now::Held(holders) => holders,
            Now::Idle(place) => {
                self.idle.remove(&place);
                0
            }
        };
        entry.now = Now::Held(holders + 1);
        Some(entry.value.clone())
    }
}

impl<K: Copy + Eq + Hash, V> State<K, V> {
    fn forget_idle(&mut self, idle: Duration, gone: &mut Vec<V>) {
        let now = Instant::now();
        while self
            .idle
            .first_key_value()
            .is_some_and(|(_, (since, _))| *since + idle <= now)
        {
            gone.extend(self.pop_idle());
        }
    }

    /// Forgets the one that was idle for longest.
    fn pop_idle(&mut self) -> Option<V> {
        let (_, (_, key)) = self.idle.pop_first()?;
        self.known.remove(&key).map(|entry| entry.value)
    }

    /// One request less holds the value of `key`; the value, if that was the last and it is not to be kept.
    fn let_go(&mut self, key: K, keep: fn(&V) -> bool) -> Option<V> {
        let entry = self.known.get_mut(&key)?;
        match entry.now {
            Now::Held(holders) if holders > 1 => entry.now = Now::Held(holders - 1),
            _ if keep(&entry.value) => {
                self.let_go += 1;
                entry.now = Now::Idle(self.let_go);
                self.idle.insert(self.let_go, (Instant::now(), key));
            }
            _ => return self.known.remove(&key).map(|entry| entry.value),
        }
        None
    }
}

impl<K: Copy + Eq + Hash, V> Deref for Held<K, V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.value
    }
}

impl<K: Copy + Eq + Hash, V> Drop for Held<K, V> {
    fn drop(&mut self) {
        let gone = self.roster.state().let_go(self.key, self.roster.keep);
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
    fn roster(most: usize) -> Roster<u32, Value> {
        Roster::new(most, IDLE, |value| value.load(Ordering::Relaxed) > 0)
    }

    fn hold(roster: &Roster<u32, Value>, key: u32) -> Option<Held<u32, Value>> {
        Some(roster.hold(key, || Arc::new(AtomicUsize::new(1)))?.0)
    }

    /// Whether holding `key` finds the value that was there.
    fn knows(roster: &Roster<u32, Value>, key: u32) -> bool {
        roster.hold(key, Value::default).expect("room").1
    }

    #[test]
    fn what_is_held_is_neither_forgotten_nor_made_again() {
        let roster = roster(10);
        let first = hold(&roster, 0).unwrap();
        for key in 1..5_000 {
            assert!(hold(&roster, key).is_some());
            assert!(roster.all().len() <= 10);
        }
        let second = hold(&roster, 0).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        drop(first);
        for key in 1..20 {
            assert!(hold(&roster, key).is_some());
        }
        assert!(Arc::ptr_eq(&second, &hold(&roster, 0).unwrap()));
    }

    #[test]
    fn there_is_room_for_a_new_one_unless_all_are_held() {
        let roster = roster(2);
        let (one, two) = (hold(&roster, 1), hold(&roster, 2));
        assert!(one.is_some() && two.is_some());
        assert!(hold(&roster, 3).is_none());
        assert!(hold(&roster, 1).is_some(), "it is there");
        drop(two);
        assert!(hold(&roster, 3).is_some());
        assert!(!knows(&roster, 2), "it made room");
    }

    #[test]
    fn the_latest_are_kept_and_what_is_not_wanted_is_not() {
        let roster = roster(3);
        for key in [1, 2, 3, 1, 4] {
            hold(&roster, key).unwrap();
        }
        assert!(knows(&roster, 1) && knows(&roster, 3) && knows(&roster, 4));
        hold(&roster, 1).unwrap().store(0, Ordering::Relaxed);
        assert_eq!(roster.all().len(), 2);
        assert!(!knows(&roster, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_idle_for_long_is_forgotten() {
        let roster = roster(10);
        let held = hold(&roster, 1).unwrap();
        hold(&roster, 2).unwrap();
        tokio::time::advance(IDLE / 2).await;
        hold(&roster, 3).unwrap();
        tokio::time::advance(IDLE / 2).await;
        let mut keys: Vec<_> = roster.all().into_iter().map(|(key, _)| key).collect();
        keys.sort_unstable();
        assert_eq!(keys, [1, 3]);
        drop(held);
        assert!(knows(&roster, 1), "it became idle just now");
    }
}

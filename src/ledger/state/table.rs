//! A table with pending changes.

use std::collections::HashMap;
use std::hash::Hash;

/// Rows by key. Reads see changes at once. Changes are pending until they are committed or rolled back.
#[derive(Clone, Debug)]
pub(super) struct Table<K, V> {
    rows: HashMap<K, V>,
    /// `None`: removed.
    pending: HashMap<K, Option<V>>,
}

impl<K: Hash + Eq + Clone, V> Table<K, V> {
    pub(super) fn new(rows: impl IntoIterator<Item = (K, V)>) -> Self {
        Self {
            rows: rows.into_iter().collect(),
            pending: HashMap::new(),
        }
    }

    pub(super) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        match self.pending.get(key) {
            Some(changed) => changed.as_ref(),
            None => self.rows.get(key),
        }
    }

    pub(super) fn put(&mut self, key: K, value: V) {
        self.pending.insert(key, Some(value));
    }

    pub(super) fn remove(&mut self, key: K) {
        self.pending.insert(key, None);
    }

    /// Adds a stored row, unless the key is in memory already.
    pub(super) fn recall(&mut self, key: K, value: V) {
        self.rows.entry(key).or_insert(value);
    }

    /// Drops the rows for which `keep` is false from memory. They stay stored.
    pub(super) fn retain(&mut self, keep: impl Fn(&V) -> bool) {
        self.rows.retain(|_, value| keep(value));
    }

    /// The rows without pending changes, in no order.
    #[cfg(feature = "postgres")]
    pub(super) fn into_values(self) -> impl Iterator<Item = V> {
        self.rows.into_values()
    }

    /// The rows including pending changes, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let changed = self
            .pending
            .iter()
            .filter_map(|(key, value)| Some((key, value.as_ref()?)));
        let unchanged = self
            .rows
            .iter()
            .filter(|(key, _)| !self.pending.contains_key(*key));
        changed.chain(unchanged)
    }

    /// The rows that were changed or added since the last commit.
    pub(super) fn changed(&self) -> impl Iterator<Item = &V> {
        self.pending.values().flatten()
    }

    pub(super) fn commit(&mut self) {
        for (key, value) in self.pending.drain() {
            match value {
                Some(value) => drop(self.rows.insert(key, value)),
                None => drop(self.rows.remove(&key)),
            }
        }
    }

    pub(super) fn rollback(&mut self) {
        self.pending.clear();
    }
}

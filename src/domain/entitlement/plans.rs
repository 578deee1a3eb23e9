//! Data that orgs on the same plan share in memory.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::usage::Sold;
use crate::domain::refs::{FeaturePlan, PlanName};

/// The shared data, each kept while an org uses it.
#[derive(Default)]
pub(in crate::domain) struct Plans {
    sold: Shared<String, Sold>,
    granted: Shared<Vec<FeaturePlan>, Granted>,
}

/// The grants of a phase.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::domain) struct Granted {
    pub(in crate::domain) features: Vec<FeaturePlan>,
    pub(in crate::domain) plans: Vec<PlanName>,
    pub(in crate::domain) fragments: Vec<FeaturePlan>,
}

impl Plans {
    /// Shares the data of a price among all orgs with the same terms.
    pub(super) fn share_sold(&self, price: &str, sold: Sold) -> Arc<Sold> {
        self.sold.share(price, sold)
    }

    /// Shares the grants of a phase among all orgs that have them.
    pub(in crate::domain) fn share_granted(&self, granted: Granted) -> Arc<Granted> {
        let features = granted.features.clone();
        self.granted.share(&features, granted)
    }
}

/// Shared values by key.
struct Shared<K, V>(Mutex<HashMap<K, Weak<V>>>);

impl<K, V> Default for Shared<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Eq> Shared<K, V> {
    fn share<Q>(&self, key: &Q, value: V) -> Arc<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = shared.get(key).and_then(Weak::upgrade)
            && *known == value
        {
            return known;
        }
        if shared.len() == shared.capacity() {
            shared.retain(|_, value| value.strong_count() > 0);
            let held = shared.len();
            shared.reserve(held);
        }
        let value = Arc::new(value);
        shared.insert(key.to_owned(), Arc::downgrade(&value));
        value
    }
}

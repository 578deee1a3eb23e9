//! What the orgs on a plan have in common, which is in memory once for all of them.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::usage::Sold;
use crate::domain::refs::{FeaturePlan, PlanName};

/// What is sold, as long as an org is remembered that it is sold to.
#[derive(Default)]
pub(in crate::domain) struct Plans {
    sold: Shared<String, Sold>,
    granted: Shared<Vec<FeaturePlan>, Granted>,
}

/// What a phase grants.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::domain) struct Granted {
    pub(in crate::domain) features: Vec<FeaturePlan>,
    pub(in crate::domain) plans: Vec<PlanName>,
    pub(in crate::domain) fragments: Vec<FeaturePlan>,
}

impl Plans {
    /// What a price sells, shared with all orgs that it is sold to on the same terms.
    pub(super) fn share_sold(&self, price: &str, sold: Sold) -> Arc<Sold> {
        self.sold.share(price, sold)
    }

    /// What a phase grants, shared with all orgs that it is granted to.
    pub(in crate::domain) fn share_granted(&self, granted: Granted) -> Arc<Granted> {
        let features = granted.features.clone();
        self.granted.share(&features, granted)
    }
}

/// Values by what they are found by.
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

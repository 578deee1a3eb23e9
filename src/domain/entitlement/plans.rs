//! Data about plans that orgs share in memory.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::usage::SoldFeature;
use crate::domain::refs::{FeaturePlan, PlanName};

/// The shared data. A value is dropped when no org uses it any more.
#[derive(Default)]
pub(in crate::domain) struct SharedPlanData {
    sold: Interner<String, SoldFeature>,
    granted: Interner<Vec<FeaturePlan>, PhaseGrants>,
}

/// The grants of a phase.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::domain) struct PhaseGrants {
    pub(in crate::domain) features: Vec<FeaturePlan>,
    pub(in crate::domain) plans: Vec<PlanName>,
    pub(in crate::domain) fragments: Vec<FeaturePlan>,
}

impl SharedPlanData {
    /// Shares the data of a price among all orgs with the same terms.
    pub(super) fn share_sold(&self, price: &str, sold: SoldFeature) -> Arc<SoldFeature> {
        self.sold.intern(price, sold)
    }

    /// Shares the grants of a phase among all orgs that have them.
    pub(in crate::domain) fn share_grants(&self, granted: PhaseGrants) -> Arc<PhaseGrants> {
        let features = granted.features.clone();
        self.granted.intern(&features, granted)
    }
}

/// Values by key. Equal values share memory.
struct Interner<K, V>(Mutex<HashMap<K, Weak<V>>>);

impl<K, V> Default for Interner<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Eq> Interner<K, V> {
    fn intern<Q>(&self, key: &Q, value: V) -> Arc<V>
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
            let in_use = shared.len();
            shared.reserve(in_use);
        }
        let value = Arc::new(value);
        shared.insert(key.to_owned(), Arc::downgrade(&value));
        value
    }
}

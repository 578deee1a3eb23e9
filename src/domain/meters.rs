//! Billing meters. Each metered price of their generation has its own meter, which is found by its event name.
//!
//! A pushed plan never changes, so neither do its meters. Two plans that sell the same feature have different meters,
//! so that no event counts twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

use super::pricing::{Aggregate, Feature};
use super::refs::FeaturePlan;
use super::{Domain, Error, Result};
use crate::billing::{Formula, Meter, NewMeter};
use crate::num::hex;

/// Stripe's maximum length of an event name.
const MAX_EVENT_NAME: usize = 100;

/// The length of the digest in a shortened event name.
const DIGEST: usize = 16;

/// The event names of meters, by meter id. They never change.
#[derive(Debug, Default)]
pub(super) struct EventNames(Mutex<HashMap<String, Arc<str>>>);

impl EventNames {
    fn names(&self) -> MutexGuard<'_, HashMap<String, Arc<str>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The account's active meters by event name, read when they are first needed.
#[derive(Debug, Default)]
pub(super) struct KnownMeters(OnceCell<HashMap<String, Meter>>);

/// The name of the events that count a feature's usage: its price's lookup key, shortened if necessary.
fn event_name(feature: &FeaturePlan) -> String {
    let key = feature.lookup_key();
    if key.len() <= MAX_EVENT_NAME {
        return key;
    }
    let digest = hex(&Sha256::digest(key.as_bytes()));
    let (digest, _) = digest.split_at(DIGEST);
    // Lookup keys are ASCII.
    let (beginning, _) = key.split_at(MAX_EVENT_NAME - DIGEST - 1);
    format!("{beginning}-{digest}")
}

/// The formula for an aggregate. A meter has no maximum and no perpetual level, so Tier sends it the current level.
fn formula(aggregate: Aggregate) -> Formula {
    match aggregate {
        Aggregate::Sum => Formula::Sum,
        Aggregate::Max | Aggregate::Last | Aggregate::Perpetual => Formula::Last,
    }
}

impl Domain {
    /// The id of the meter that counts a feature's usage. The meter is created if it does not exist.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the account has a meter with that event name and other settings.
    pub(super) async fn meter_of(
        &self,
        name: &FeaturePlan,
        feature: &Feature,
        known: &KnownMeters,
    ) -> Result<String> {
        let event_name = event_name(name);
        let formula = formula(feature.aggregate);
        let known = known.0.get_or_try_init(|| self.active_meters()).await?;
        if let Some(meter) = known.get(&event_name) {
            return usable(meter, &formula);
        }
        let create = self.billing().create_meter(NewMeter {
            event_name: &event_name,
            display_name: name.as_str(),
            formula: &formula,
        });
        let refused = match create.send().await {
            Ok(meter) => return Ok(meter.id),
            Err(error) if error.is_invalid_request() => error,
            Err(error) => return Err(error.into()),
        };
        // Another push may have been faster. Stripe's error for that has no code.
        match self.active_meters().await?.get(&event_name) {
            Some(meter) => usable(meter, &formula),
            None => Err(refused.into()),
        }
    }

    /// The event name of the meter with this id.
    pub(super) async fn event_name_of(&self, meter: &str) -> Result<Arc<str>> {
        let shared = self.shared().await?;
        let known = shared.event_names.names().get(meter).cloned();
        if let Some(name) = known {
            return Ok(name);
        }
        let found = self.billing().meter(meter).await?;
        let name: Arc<str> = found.event_name.into();
        let mut names = shared.event_names.names();
        names.insert(meter.to_owned(), Arc::clone(&name));
        Ok(name)
    }

    async fn active_meters(&self) -> Result<HashMap<String, Meter>> {
        let meters = self.billing().active_meters().await?.into_iter();
        let by_name = meters.map(|meter| (meter.event_name.clone(), meter));
        Ok(by_name.collect())
    }
}

/// The meter's id.
///
/// # Errors
/// [`Error::Invalid`] if it does not count by `formula`.
fn usable(meter: &Meter, formula: &Formula) -> Result<String> {
    if meter.counts_with(formula) {
        return Ok(meter.id.clone());
    }
    Err(Error::Invalid(format!(
        "the meter {} of the event {} exists with other settings: deactivate it in Stripe, and push again",
        meter.id, meter.event_name
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_name_fits() {
        let of = |length: usize| {
            let name = format!("feature:{}@plan:p@1", "x".repeat(length));
            event_name(&name.parse().expect("a feature"))
        };
        assert_eq!(of(1), "tier__feature-x-plan-p-1");
        assert_eq!(of(77).len(), 100);
        let names = [of(77), of(78), of(79), of(150)];
        for name in &names {
            assert_eq!(name.len(), 100, "{name}");
            assert!(name.starts_with("tier__feature-xxx"), "{name}");
        }
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{names:?}");
        assert!(of(77).ends_with("-plan-p-1") && !of(78).ends_with("-plan-p-1"));
    }
}

//! Used quantities, for readers that never wait for the disk.

use std::collections::{HashMap, HashSet};
use std::sync::RwLock;

use super::state::{ItemUsed, State, Used};
use super::transactor::Figures;
use super::values::{Feature, Org, Time};

/// The figures of every feature of every org after the last commit.
#[derive(Debug, Default)]
pub(super) struct View {
    /// Locked only while figures are copied, never during a write to disk.
    used: RwLock<HashMap<Org, HashMap<Feature, Vec<Used>>>>,
}

impl View {
    pub(super) fn publish(&self, figures: Figures) {
        if figures.is_empty() {
            return;
        }
        let mut all = self.used.write().expect("no publisher panics");
        for (org, feature, used) in figures {
            all.entry(org).or_default().insert(feature, used);
        }
    }

    /// The used quantity in the period that began at `period_start`; `None` if nothing was reported in it.
    pub(super) fn used(&self, org: &str, feature: &str, period_start: Time) -> Option<Used> {
        let all = self.used.read().expect("no publisher panics");
        in_period(all.get(org)?.get(feature)?, period_start).cloned()
    }

    /// The same, with the units that are reserved at `now`, both after the same commit.
    pub(super) fn used_and_reserved(
        &self,
        org: &str,
        feature: &str,
        period_start: Time,
        now: Time,
    ) -> (Option<Used>, i64) {
        let all = self.used.read().expect("no publisher panics");
        let Some(periods) = all.get(org).and_then(|features| features.get(feature)) else {
            return (None, 0);
        };
        let reserved = periods.last().map_or(0, |newest| newest.reserved(now));
        (in_period(periods, period_start).cloned(), reserved)
    }

    /// The used quantity of each item of an org, oldest period first.
    pub(super) fn items(&self, org: &str) -> Vec<ItemUsed> {
        let all = self.used.read().expect("no publisher panics");
        let features = all.get(org).into_iter().flat_map(HashMap::values);
        let periods = features.flatten();
        periods.flat_map(|used| &used.items).cloned().collect()
    }
}

/// The figures of one period. A perpetual level also holds in later ones.
fn in_period(periods: &[Used], period_start: Time) -> Option<&Used> {
    let exact = periods
        .iter()
        .find(|used| used.period_start == period_start);
    let perpetual = || periods.last().filter(|used| used.is_perpetual);
    exact.or_else(perpetual)
}

/// The figures of all records in a state.
pub(super) fn all_figures(state: &State) -> Figures {
    figures(state, state.uses())
}

/// The figures that the pending changes of a state affect.
pub(super) fn changed_figures(state: &State) -> Figures {
    figures(state, state.changed_uses())
}

fn figures(state: &State, features: HashSet<(Org, Feature)>) -> Figures {
    let figures = features.into_iter().map(|(org, feature)| {
        let used = state.used_by_period(&org, &feature);
        (org, feature, used)
    });
    figures.collect()
}

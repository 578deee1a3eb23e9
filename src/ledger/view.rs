//! Used quantities, for readers that never wait for the disk.

use std::collections::{HashMap, HashSet};
use std::sync::RwLock;
use std::time::{Duration, Instant};

use super::state::{ItemUsed, State, Used};
use super::transactor::{Figures, Learned, Notice};
use super::values::{Feature, Org, PlanNumber, Time};

/// The figures of every feature of every org after the last commit.
#[derive(Debug, Default)]
pub(super) struct View {
    /// Locked only while figures are copied, never during a write to disk.
    used: RwLock<HashMap<Org, HashMap<Feature, Vec<Used>>>>,
    /// The plans of orgs that other processes may change.
    plans: RwLock<HashMap<Org, PlanNumber>>,
    /// The time of the database that processes share, and when it was read.
    clock: RwLock<Option<(Time, Instant)>>,
    /// When the changes of other processes were last read; `None` if the ledger is not shared.
    synced: RwLock<Option<Instant>>,
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

    /// Takes in news from other processes, and returns the notices among them.
    pub(super) fn learn(&self, learned: Learned) -> Vec<Notice> {
        if let Some(clock) = learned.clock {
            *self.clock.write().expect("no publisher panics") = Some(clock);
        }
        self.learn_plans(learned.plans);
        learned.notices
    }

    /// Notes that the changes of other processes were read, in a read that began at `began`.
    pub(super) fn synced(&self, began: Instant) {
        *self.synced.write().expect("no publisher panics") = Some(began);
    }

    /// How long ago the changes of other processes were read; zero if the ledger is not shared.
    pub(super) fn behind(&self) -> Duration {
        let synced = *self.synced.read().expect("no publisher panics");
        synced.map_or(Duration::ZERO, |began| began.elapsed())
    }

    pub(super) fn learn_plans(&self, plans: Vec<(Org, PlanNumber)>) {
        if plans.is_empty() {
            return;
        }
        let mut all = self.plans.write().expect("no publisher panics");
        for (org, plan) in plans {
            let known = all.entry(org).or_default();
            // Numbers only ascend; an older one may arrive late over another connection.
            *known = plan.max(*known);
        }
    }

    /// The approximate time of the database that processes share.
    pub(super) fn shared_time(&self) -> Option<Time> {
        let (time, since) = (*self.clock.read().expect("no publisher panics"))?;
        let passed = i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX);
        Some(time.plus(passed))
    }

    /// The last known number of an org's plan.
    pub(super) fn plan(&self, org: &str) -> PlanNumber {
        let all = self.plans.read().expect("no publisher panics");
        all.get(org).copied().unwrap_or_default()
    }

    /// The used quantity in the period that began at `period_start`; `None` if nothing was reported in it.
    pub(super) fn used(&self, org: &str, feature: &str, period_start: Time) -> Option<Used> {
        let all = self.used.read().expect("no publisher panics");
        in_period(all.get(org)?.get(feature)?, period_start).cloned()
    }

    /// The result of [`used`](Self::used), and the units that are reserved at `now`, both after the same commit.
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

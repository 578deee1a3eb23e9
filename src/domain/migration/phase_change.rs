//! Computes the phases of an org after a migration. Pure.

use std::collections::BTreeSet;

use crate::domain::phases::Phase;
use crate::domain::refs::FeaturePlan;

/// The current phase of an org, or a future one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OrgPhase {
    /// When it begins, in Unix seconds. None: it is the current one.
    pub(super) start: Option<i64>,
    /// Its features. None: the subscription ends.
    pub(super) features: BTreeSet<FeaturePlan>,
    pub(super) trial: bool,
    /// The id of a coupon, or empty for no coupon. None: keep the current one.
    pub(super) coupon: Option<String>,
}

/// The features that a migration removes, and their replacements.
#[derive(Clone, Debug)]
pub(super) struct FeatureExchange {
    /// A group is exchanged only if an org has all its features.
    groups: Vec<FeatureGroup>,
    /// Features without a replacement. An org that has one of them cannot be moved.
    irreplaceable: BTreeSet<FeaturePlan>,
}

#[derive(Clone, Debug)]
struct FeatureGroup {
    from: BTreeSet<FeaturePlan>,
    to: BTreeSet<FeaturePlan>,
}

/// The change of an org's phases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PhaseChange {
    /// The phases to request. The current phase is left out if it does not change.
    pub(super) phases: Vec<OrgPhase>,
    /// When the first change takes place, in Unix seconds.
    pub(super) effective: i64,
}

impl OrgPhase {
    /// Converts phases from Stripe. `has_begun` means that the first one is the current phase.
    pub(super) fn all(phases: Vec<Phase>, has_begun: bool) -> Vec<Self> {
        let coupon = |phase: &Phase| phase.coupon.as_ref().map(|coupon| coupon.id.clone());
        let current_coupon = phases.first().filter(|_| has_begun).and_then(coupon);
        let read = |(i, phase): (usize, Phase)| {
            let is_current = i == 0 && has_begun;
            // A coupon that continues is not redeemed again.
            let coupon = coupon(&phase);
            let continues = is_current || (coupon.is_some() && coupon == current_coupon);
            let ends = phase.features.is_empty();
            Self {
                start: (!is_current).then_some(phase.effective),
                features: phase.features.into_iter().collect(),
                trial: phase.trial,
                coupon: (!continues && !ends).then(|| coupon.unwrap_or_default()),
            }
        };
        phases.into_iter().enumerate().map(read).collect()
    }
}

impl FeatureExchange {
    /// Exchanges a whole plan.
    pub(super) fn whole(from: BTreeSet<FeaturePlan>, to: BTreeSet<FeaturePlan>) -> Self {
        Self {
            groups: vec![FeatureGroup { from, to }],
            irreplaceable: BTreeSet::new(),
        }
    }

    /// Exchanges each feature by itself.
    pub(super) fn each(
        features: impl IntoIterator<Item = (FeaturePlan, FeaturePlan)>,
        irreplaceable: BTreeSet<FeaturePlan>,
    ) -> Self {
        let groups = features.into_iter().map(|(from, to)| FeatureGroup {
            from: [from].into(),
            to: [to].into(),
        });
        Self {
            groups: groups.collect(),
            irreplaceable,
        }
    }

    /// Whether a phase with these features changes.
    pub(super) fn applies_to(&self, features: &BTreeSet<FeaturePlan>) -> bool {
        let mut groups = self.groups.iter();
        groups.any(|group| group.from.is_subset(features))
            || self.irreplaceable_of(features).next().is_some()
    }

    /// The features without a replacement among `features`.
    pub(super) fn irreplaceable_of<'a>(
        &'a self,
        features: &'a BTreeSet<FeaturePlan>,
    ) -> impl Iterator<Item = &'a FeaturePlan> {
        self.irreplaceable.intersection(features)
    }

    fn applied(&self, phase: &OrgPhase) -> OrgPhase {
        let mut features = phase.features.clone();
        for FeatureGroup { from, to } in &self.groups {
            if from.is_subset(&phase.features) {
                features.retain(|feature| !from.contains(feature));
                features.extend(to.iter().cloned());
            }
        }
        OrgPhase {
            features,
            ..phase.clone()
        }
    }

    /// The change of `phases` by an exchange at the time `at`. None if nothing changes. A phase that contains that time
    /// is split.
    pub(super) fn phase_change(
        &self,
        phases: &[OrgPhase],
        at: i64,
        now: i64,
    ) -> Option<PhaseChange> {
        let mut requested: Vec<OrgPhase> = Vec::with_capacity(phases.len() + 1);
        let mut effective = None;
        for (i, phase) in phases.iter().enumerate() {
            let starts = phase.start.unwrap_or(now);
            let next = phases.get(i + 1).and_then(|next| next.start);
            if !self.applies_to(&phase.features) || next.is_some_and(|next| next <= at) {
                requested.push(phase.clone());
            } else if at <= starts {
                effective.get_or_insert(starts);
                requested.push(self.applied(phase));
            } else {
                effective.get_or_insert(at);
                requested.push(phase.clone());
                requested.push(OrgPhase {
                    start: Some(at),
                    ..self.applied(phase)
                });
            }
        }
        let effective = effective?;
        if phases.first().is_some_and(|first| first.start.is_none())
            && requested.first() == phases.first()
        {
            requested.remove(0);
        }
        Some(PhaseChange {
            phases: requested,
            effective,
        })
    }
}

impl PhaseChange {
    /// The requested phase at a time. None if that is the unchanged current phase.
    pub(super) fn at(&self, time: i64) -> Option<&OrgPhase> {
        let begun = self.phases.iter();
        begun
            .rev()
            .find(|phase| phase.start.is_none_or(|start| start <= time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 100;

    fn features(names: &str) -> BTreeSet<FeaturePlan> {
        let names = names.split_whitespace();
        let name = |name: &str| {
            let (feature, plan) = name.split_once('@').expect("a plan");
            format!("feature:{feature}@plan:{plan}@1")
                .parse()
                .expect("a feature")
        };
        names.map(name).collect()
    }

    fn org_phase(start: Option<i64>, names: &str) -> OrgPhase {
        OrgPhase {
            start,
            features: features(names),
            trial: false,
            coupon: None,
        }
    }

    fn exchange() -> FeatureExchange {
        FeatureExchange::whole(features("a@old b@old"), features("a@new c@new"))
    }

    /// The requested phases, and the time of the first change.
    fn change(phases: &[OrgPhase], at: i64) -> Option<(Vec<OrgPhase>, i64)> {
        let change = exchange().phase_change(phases, at, NOW)?;
        Some((change.phases, change.effective))
    }

    #[test]
    fn the_current_phase_is_exchanged_now_or_split() {
        let has = [org_phase(None, "a@old b@old x@other")];
        let gets = "a@new c@new x@other";
        for at in [0, NOW] {
            let expected = (vec![org_phase(None, gets)], NOW);
            assert_eq!(change(&has, at), Some(expected));
        }
        let expected = (vec![org_phase(Some(150), gets)], 150);
        assert_eq!(change(&has, 150), Some(expected));
    }

    #[test]
    fn only_an_org_with_the_whole_plan_is_moved() {
        assert_eq!(change(&[org_phase(None, "a@old")], NOW), None);
        assert_eq!(change(&[org_phase(None, "a@new c@new")], NOW), None);
        assert_eq!(change(&[], NOW), None);
    }

    #[test]
    fn each_feature_is_exchanged_by_itself() {
        let named = |name: &str| features(name).pop_first().expect("a feature");
        let pairs = ["a", "b"].map(|name| {
            let of = |plan| named(&format!("{name}@{plan}"));
            (of("old"), of("new"))
        });
        let exchange = FeatureExchange::each(pairs, features("z@archived"));
        for (has, gets) in [
            ("a@old x@other", "a@new x@other"),
            ("a@old b@old", "a@new b@new"),
        ] {
            let change = exchange.phase_change(&[org_phase(None, has)], NOW, NOW);
            let expected = vec![org_phase(None, gets)];
            assert_eq!(change.map(|change| change.phases), Some(expected));
        }
        assert_eq!(
            exchange.phase_change(&[org_phase(None, "x@other")], NOW, NOW),
            None
        );
        let cannot = features("z@archived x@other");
        assert!(exchange.applies_to(&cannot));
        assert_eq!(exchange.irreplaceable_of(&cannot).count(), 1);
    }

    #[test]
    fn later_phases_follow_and_an_end_stays() {
        let has = [
            org_phase(None, "x@other"),
            org_phase(Some(200), "a@old b@old"),
            org_phase(Some(300), "x@other"),
            org_phase(Some(400), "a@old b@old"),
            org_phase(Some(500), ""),
        ];
        let rest = [
            org_phase(Some(300), "x@other"),
            org_phase(Some(400), "a@new c@new"),
            org_phase(Some(500), ""),
        ];
        let all = |first: &[OrgPhase]| [first, &rest].concat();
        let exchanged = all(&[org_phase(Some(200), "a@new c@new")]);
        assert_eq!(change(&has, NOW), Some((exchanged.clone(), 200)));
        assert_eq!(change(&has, 200), Some((exchanged, 200)));
        let split = all(&[
            org_phase(Some(200), "a@old b@old"),
            org_phase(Some(250), "a@new c@new"),
        ]);
        assert_eq!(change(&has, 250), Some((split, 250)));
        let last = all(&[org_phase(Some(200), "a@old b@old")]);
        assert_eq!(change(&has, 300), Some((last, 400)));
        assert_eq!(change(&has, 500), None, "it has ended by then");
    }

    #[test]
    fn the_phase_at_a_time_is_the_last_that_has_begun() {
        let has = [
            org_phase(None, "a@old b@old"),
            org_phase(Some(300), "x@other"),
        ];
        let change = exchange().phase_change(&has, 200, NOW).expect("a change");
        let at = |time| change.at(time).map(|phase| phase.start);
        assert_eq!(at(150), None);
        assert_eq!(at(200), Some(Some(200)));
        assert_eq!(at(300), Some(Some(300)));
    }
}

//! Computes the phases of an org after a migration. Pure.

use std::collections::BTreeSet;

use crate::domain::phases::Phase;
use crate::domain::refs::FeaturePlan;

/// A phase of an org: the one in force, or a future one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// When it begins, in Unix seconds. None: it is in force.
    pub(super) start: Option<i64>,
    /// Its features. None: the subscription ends.
    pub(super) features: BTreeSet<FeaturePlan>,
    pub(super) trial: bool,
    /// The id of a coupon, or empty for no coupon. None: the coupon in force.
    pub(super) coupon: Option<String>,
}

/// The features that a migration removes, and those that replace them.
#[derive(Clone, Debug)]
pub(super) struct Swap {
    /// Only all features of a part together are exchanged.
    parts: Vec<Part>,
    /// Features for which there are none. An org that has one of them cannot be moved.
    irreplaceable: BTreeSet<FeaturePlan>,
}

#[derive(Clone, Debug)]
struct Part {
    from: BTreeSet<FeaturePlan>,
    to: BTreeSet<FeaturePlan>,
}

/// The change of an org's phases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Course {
    /// The phases to request. The phase in force is left out if it does not change.
    pub(super) phases: Vec<Stretch>,
    /// When the first change takes place, in Unix seconds.
    pub(super) effective: i64,
}

impl Stretch {
    /// Converts the phases from Stripe. `has_begun` means that the first one is in force.
    pub(super) fn all(phases: Vec<Phase>, has_begun: bool) -> Vec<Self> {
        let coupon = |phase: &Phase| phase.coupon.as_ref().map(|coupon| coupon.id.clone());
        let in_force = phases.first().filter(|_| has_begun).and_then(coupon);
        let read = |(i, phase): (usize, Phase)| {
            let is_in_force = i == 0 && has_begun;
            // A coupon that continues is not redeemed again.
            let own = coupon(&phase);
            let goes_on = is_in_force || (own.is_some() && own == in_force);
            let ends = phase.features.is_empty();
            Self {
                start: (!is_in_force).then_some(phase.effective),
                features: phase.features.into_iter().collect(),
                trial: phase.trial,
                coupon: (!goes_on && !ends).then(|| own.unwrap_or_default()),
            }
        };
        phases.into_iter().enumerate().map(read).collect()
    }
}

impl Swap {
    /// Exchanges a whole plan.
    pub(super) fn whole(from: BTreeSet<FeaturePlan>, to: BTreeSet<FeaturePlan>) -> Self {
        Self {
            parts: vec![Part { from, to }],
            irreplaceable: BTreeSet::new(),
        }
    }

    /// Exchanges each feature by itself.
    pub(super) fn each(
        features: impl IntoIterator<Item = (FeaturePlan, FeaturePlan)>,
        irreplaceable: BTreeSet<FeaturePlan>,
    ) -> Self {
        let parts = features.into_iter().map(|(from, to)| Part {
            from: [from].into(),
            to: [to].into(),
        });
        Self {
            parts: parts.collect(),
            irreplaceable,
        }
    }

    /// Whether a phase with these features changes.
    pub(super) fn applies_to(&self, features: &BTreeSet<FeaturePlan>) -> bool {
        let mut parts = self.parts.iter();
        parts.any(|part| part.from.is_subset(features))
            || self.irreplaceable_of(features).next().is_some()
    }

    /// Those of the features that cannot be exchanged.
    pub(super) fn irreplaceable_of<'a>(
        &'a self,
        features: &'a BTreeSet<FeaturePlan>,
    ) -> impl Iterator<Item = &'a FeaturePlan> {
        self.irreplaceable.intersection(features)
    }

    fn applied(&self, phase: &Stretch) -> Stretch {
        let mut features = phase.features.clone();
        for Part { from, to } in &self.parts {
            if from.is_subset(&phase.features) {
                features.retain(|feature| !from.contains(feature));
                features.extend(to.iter().cloned());
            }
        }
        Stretch {
            features,
            ..phase.clone()
        }
    }

    /// The change of `phases` if the plan is exchanged `at` that time. None if nothing changes. A phase that contains
    /// that time is split.
    pub(super) fn course(&self, phases: &[Stretch], at: i64, now: i64) -> Option<Course> {
        let mut requested: Vec<Stretch> = Vec::with_capacity(phases.len() + 1);
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
                requested.push(Stretch {
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
        Some(Course {
            phases: requested,
            effective,
        })
    }
}

impl Course {
    /// The phase that is in force at a time. None if it is the current one.
    pub(super) fn at(&self, time: i64) -> Option<&Stretch> {
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

    fn stretch(start: Option<i64>, names: &str) -> Stretch {
        Stretch {
            start,
            features: features(names),
            trial: false,
            coupon: None,
        }
    }

    fn swap() -> Swap {
        Swap::whole(features("a@old b@old"), features("a@new c@new"))
    }

    /// The requested phases, and the time of the first change.
    fn course(phases: &[Stretch], at: i64) -> Option<(Vec<Stretch>, i64)> {
        let course = swap().course(phases, at, NOW)?;
        Some((course.phases, course.effective))
    }

    #[test]
    fn the_phase_in_force_is_exchanged_now_or_split() {
        let has = [stretch(None, "a@old b@old x@other")];
        let gets = "a@new c@new x@other";
        for at in [0, NOW] {
            let expected = (vec![stretch(None, gets)], NOW);
            assert_eq!(course(&has, at), Some(expected));
        }
        let expected = (vec![stretch(Some(150), gets)], 150);
        assert_eq!(course(&has, 150), Some(expected));
    }

    #[test]
    fn only_an_org_with_the_whole_plan_is_moved() {
        assert_eq!(course(&[stretch(None, "a@old")], NOW), None);
        assert_eq!(course(&[stretch(None, "a@new c@new")], NOW), None);
        assert_eq!(course(&[], NOW), None);
    }

    #[test]
    fn each_feature_is_exchanged_by_itself() {
        let named = |name: &str| features(name).pop_first().expect("a feature");
        let pairs = ["a", "b"].map(|name| {
            let of = |plan| named(&format!("{name}@{plan}"));
            (of("old"), of("new"))
        });
        let swap = Swap::each(pairs, features("z@archived"));
        for (has, gets) in [
            ("a@old x@other", "a@new x@other"),
            ("a@old b@old", "a@new b@new"),
        ] {
            let course = swap.course(&[stretch(None, has)], NOW, NOW);
            let expected = vec![stretch(None, gets)];
            assert_eq!(course.map(|course| course.phases), Some(expected));
        }
        assert_eq!(swap.course(&[stretch(None, "x@other")], NOW, NOW), None);
        let cannot = features("z@archived x@other");
        assert!(swap.applies_to(&cannot));
        assert_eq!(swap.irreplaceable_of(&cannot).count(), 1);
    }

    #[test]
    fn later_phases_follow_and_an_end_stays() {
        let has = [
            stretch(None, "x@other"),
            stretch(Some(200), "a@old b@old"),
            stretch(Some(300), "x@other"),
            stretch(Some(400), "a@old b@old"),
            stretch(Some(500), ""),
        ];
        let rest = [
            stretch(Some(300), "x@other"),
            stretch(Some(400), "a@new c@new"),
            stretch(Some(500), ""),
        ];
        let all = |first: &[Stretch]| [first, &rest].concat();
        let exchanged = all(&[stretch(Some(200), "a@new c@new")]);
        assert_eq!(course(&has, NOW), Some((exchanged.clone(), 200)));
        assert_eq!(course(&has, 200), Some((exchanged, 200)));
        let split = all(&[
            stretch(Some(200), "a@old b@old"),
            stretch(Some(250), "a@new c@new"),
        ]);
        assert_eq!(course(&has, 250), Some((split, 250)));
        let last = all(&[stretch(Some(200), "a@old b@old")]);
        assert_eq!(course(&has, 300), Some((last, 400)));
        assert_eq!(course(&has, 500), None, "it has ended by then");
    }

    #[test]
    fn the_phase_at_a_time_is_the_last_that_has_begun() {
        let has = [stretch(None, "a@old b@old"), stretch(Some(300), "x@other")];
        let course = swap().course(&has, 200, NOW).expect("a change");
        let at = |time| course.at(time).map(|phase| phase.start);
        assert_eq!(at(150), None);
        assert_eq!(at(200), Some(Some(200)));
        assert_eq!(at(300), Some(Some(300)));
    }
}

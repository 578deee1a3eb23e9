//! Adds phases to those that an org has.

use super::{ResolvedPhase, normalise};
use crate::domain::{Error, Result};

/// Merges the `requested` phases into the phases `to_come`. A requested phase replaces one that begins at the same
/// time. All other phases are kept, and so is an end of the subscription.
///
/// # Errors
/// [`Error::Invalid`] for a phase that would begin after the end, and for more phases than Stripe allows.
pub(in crate::domain) fn with_phases_to_come(
    requested: &[ResolvedPhase],
    to_come: Vec<ResolvedPhase>,
    now: i64,
) -> Result<Vec<ResolvedPhase>> {
    let mut phases = to_come;
    for phase in requested {
        let begins = Some(phase.effective.unwrap_or(now));
        let ends_before =
            |other: &ResolvedPhase| other.features.is_empty() && other.effective < begins;
        if phases.iter().any(ends_before) {
            return Err(Error::Invalid(
                "the subscription ends before this phase would begin: subscribe the org after that"
                    .into(),
            ));
        }
        phases.retain(|other| other.effective != begins);
        let index = phases.partition_point(|other| other.effective < begins);
        let before = index.checked_sub(1).map(|before| &phases[before]);
        // The coupon stays until a phase says otherwise.
        let coupon = before.and_then(|before| before.coupon.clone());
        phases.insert(
            index,
            ResolvedPhase {
                coupon: phase.coupon.clone().or(coupon),
                ..phase.clone()
            },
        );
    }
    normalise(phases, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::billing::AggregateUsage;
    use crate::domain::catalog::{BillingTerms, PricedFeature};
    use crate::domain::pricing::NO_LIMIT;

    const NOW: i64 = 1_000;

    /// A phase with this plan. An empty name ends the subscription.
    fn phase(effective: Option<i64>, plan: &str) -> ResolvedPhase {
        let feature = |plan: &str| {
            let name = format!("feature:x@plan:{plan}@1");
            PricedFeature {
                name: name.parse().expect("a name"),
                price_id: name,
                metered: false,
                aggregate: AggregateUsage::Sum,
                generation: None,
                billing: BillingTerms::default(),
                free: false,
                archived: false,
                limit: NO_LIMIT,
            }
        };
        let plan = Some(plan).filter(|plan| !plan.is_empty());
        ResolvedPhase {
            effective,
            trial: false,
            features: plan.map(feature).into_iter().collect(),
            coupon: None,
        }
    }

    /// The plans, each with its start, after `requested` was appended.
    fn append(requested: (Option<i64>, &str), to_come: &[(i64, &str)]) -> String {
        let to_come = to_come.iter().map(|(at, plan)| phase(Some(*at), plan));
        match with_phases_to_come(&[phase(requested.0, requested.1)], to_come.collect(), NOW) {
            Err(error) => error.to_string(),
            Ok(phases) => {
                let shown = phases.iter().map(|phase| {
                    let plan = phase.features.first().map(|feature| feature.name.plan());
                    let plan = plan.map_or("end".to_owned(), |plan| plan.name().to_owned());
                    let at = phase
                        .effective
                        .map_or("now".to_owned(), |at| at.to_string());
                    format!("{plan} {at}")
                });
                shown.collect::<Vec<_>>().join(", ")
            }
        }
    }

    #[test]
    fn phases_before_and_after_stay() {
        let over =
            "the subscription ends before this phase would begin: subscribe the org after that";
        for (requested, to_come, expected) in [
            ((None, "a"), &[][..], "a now"),
            ((Some(2_000), "a"), &[], "a 2000"),
            ((None, "a"), &[(2_000, "b")], "a now, b 2000"),
            ((Some(NOW), "a"), &[(2_000, "b")], "a now, b 2000"),
            ((Some(1_500), "a"), &[(2_000, "b")], "a 1500, b 2000"),
            (
                (Some(2_500), "a"),
                &[(2_000, "b"), (3_000, "c")],
                "b 2000, a 2500, c 3000",
            ),
            (
                (Some(2_000), "a"),
                &[(2_000, "b"), (3_000, "c")],
                "a 2000, c 3000",
            ),
            ((None, "a"), &[(2_000, "")], "a now, end 2000"),
            ((Some(1_500), "a"), &[(2_000, "")], "a 1500, end 2000"),
            ((Some(2_000), "a"), &[(2_000, "")], "a 2000"),
            ((Some(2_001), "a"), &[(2_000, "")], over),
        ] {
            assert_eq!(
                append(requested, to_come),
                expected,
                "{requested:?} {to_come:?}"
            );
        }
    }

    #[test]
    fn there_are_no_more_phases_than_stripe_allows() {
        let to_come: Vec<(i64, &str)> = (1..=10).map(|n| (NOW + n, "b")).collect();
        assert!(append((None, "a"), &to_come[1..]).starts_with("a now"));
        let refused = append((None, "a"), &to_come);
        assert_eq!(
            refused,
            "a subscription can have at most 10 phases, the running one included"
        );
    }
}

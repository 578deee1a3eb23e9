//! When phases and trials begin and end.

use super::*;

#[test]
fn a_kept_trial_stays_a_trial_to_its_end_or_the_phases() {
    for (trial_end, expected) in [
        (Some(LATEST), (true, None)),
        (Some(LATER + 1), (true, None)),
        (Some(NOW + 10), (false, Some(NOW + 10))),
        (Some(NOW - 10), (false, None)),
    ] {
        let sub = subscription(Some(&schedule_json("active", trial_end)));
        let action = decide(
            CurrentState::Subscribed(&sub),
            &[request(Some(LATER), &["q"])],
            NOW,
        );
        let Action::Replace(_, plan) = action else {
            panic!("{action:?}")
        };
        assert_eq!(
            (plan.phases[0].trial, plan.phases[0].trial_end),
            expected,
            "{trial_end:?}"
        );
    }
}

#[test]
fn a_subscription_without_a_schedule_gets_one() {
    for schedule in [None, Some(schedule_json("released", None))] {
        let sub = subscription(schedule.as_ref());
        let unscheduled = |end| NewPhase {
            coupon: Some("ten".into()),
            metadata: mark()
                .into_iter()
                .chain([("app".into(), "x".into())])
                .collect(),
            ..kept(end)
        };
        let decide =
            |requested: &[ResolvedPhase]| decide(CurrentState::Subscribed(&sub), requested, NOW);
        assert_eq!(
            decide(&[request(None, &["p"])]),
            Action::Adopt(
                "sub_1".into(),
                on(vec![unscheduled(PhaseEnd::Now), next(None, "ten", &["p"])])
            )
        );
        assert_eq!(
            decide(&[request(Some(LATER), &["p"])]),
            Action::Adopt(
                "sub_1".into(),
                on(vec![
                    unscheduled(PhaseEnd::At(LATER)),
                    next(None, "ten", &["p"])
                ])
            )
        );
    }
}

#[test]
fn a_trial_without_an_end_lasts_as_long_as_stripe_allows() {
    let trial = |effective| ResolvedPhase {
        trial: true,
        ..request(effective, &["p"])
    };
    let ends = |requested: &[ResolvedPhase]| match decide(CurrentState::Nothing, requested, NOW) {
        Action::Create(plan) => plan.phases.last().and_then(|phase| phase.end),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        ends(&[trial(None)]),
        Some(PhaseEnd::At(NOW + LONGEST_TRIAL))
    );
    assert_eq!(
        ends(&[request(None, &["p"]), trial(Some(LATER))]),
        Some(PhaseEnd::At(LATER + LONGEST_TRIAL))
    );
    assert_eq!(ends(&[trial(None), request(Some(LATER), &["p"])]), None);
}

#[test]
fn a_phase_older_than_its_billing_period_ends_with_the_period() {
    let mut old = schedule_json("active", None);
    old["current_phase"]["start_date"] = json!(NOW - 500);
    let sub = subscription(Some(&old));
    let same = request(None, &["price_old", "price_use"]);
    let action = decide(CurrentState::Subscribed(&sub), &[same], NOW);
    let Action::Replace(_, plan) = action else {
        panic!("{action:?}")
    };
    assert_eq!(plan.phases[0].end, Some(PhaseEnd::At(NOW + 40)));
}

#[test]
fn phases_must_be_in_order_and_only_the_last_may_be_empty() {
    let check = |requested: Vec<ResolvedPhase>| {
        normalise(requested, NOW).map_err(|error| error.to_string())
    };
    assert_eq!(
        check(vec![request(Some(NOW), &["p"])]),
        Ok(vec![request(None, &["p"])])
    );
    assert_eq!(
        check(vec![request(Some(NOW - 9), &[])]),
        Ok(vec![request(None, &[])])
    );
    for (requested, message) in [
        (
            vec![request(None, &["p"]), request(None, &["q"])],
            "phases[1]: effective is required",
        ),
        (
            vec![request(None, &["p"]), request(Some(NOW), &["q"])],
            "phases[1]: effective must be later",
        ),
        (
            vec![request(Some(LATER), &["p"]), request(Some(LATER), &["q"])],
            "phases[1]: effective must be later",
        ),
        (
            vec![request(None, &[]), request(Some(LATER), &["q"])],
            "phases[0]: only the last phase",
        ),
    ] {
        let error = check(requested).expect_err(message);
        assert!(error.starts_with(message), "{error}");
    }
}

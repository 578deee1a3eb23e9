//! The table of decisions: what is × what is asked → what is done.

use serde_json::json;

use super::*;

const NOW: i64 = 1_000_000;
const LATER: i64 = NOW + 100;
const LATEST: i64 = NOW + 200;
const START: i64 = NOW - 50;

fn subscription(schedule: Option<&serde_json::Value>) -> Subscription {
    serde_json::from_value(json!({
        "id": "sub_1", "status": "active", "schedule": schedule,
        "current_period_start": NOW - 60, "current_period_end": NOW + 40,
        "metadata": {"tier.subscription": "default", "app": "x"},
        "discount": {"coupon": {"id": "ten"}},
        "items": {"data": [
            {"id": "si_1", "price": {"id": "price_old", "recurring": {"interval": "month", "usage_type": "licensed"}}, "quantity": 3},
            {"id": "si_2", "price": {"id": "price_use", "recurring": {"interval": "month", "usage_type": "metered"}}, "quantity": 1},
        ]},
    }))
    .expect("a subscription")
}

fn schedule(status: &str, trial_end: Option<i64>) -> Schedule {
    serde_json::from_value(schedule_json(status, trial_end)).expect("a schedule")
}

fn schedule_json(status: &str, trial_end: Option<i64>) -> serde_json::Value {
    json!({
        "id": "sub_sched_1", "status": status,
        "current_phase": {"start_date": START, "end_date": LATER},
        "phases": [
            {"start_date": START - 100, "end_date": START, "items": [{"price": "price_past"}]},
            {"start_date": START, "end_date": LATER, "trial_end": trial_end, "coupon": "five",
             "items": [{"price": "price_a", "quantity": 2}, {"price": "price_foreign"}],
             "metadata": {"note": "kept"}},
            {"start_date": LATER, "end_date": LATEST, "items": [{"price": "price_future"}]},
        ],
    })
}

fn ask(effective: Option<i64>, prices: &[&str]) -> Asked {
    Asked {
        effective,
        trial: false,
        prices: prices.iter().map(|&price| price.into()).collect(),
        coupon: None,
    }
}

fn mark() -> Metadata {
    [("tier.subscription".to_owned(), "default".to_owned())].into()
}

fn phase(end: Option<i64>, prices: &[&str]) -> PlannedPhase {
    PlannedPhase {
        end,
        items: prices.iter().map(|&price| (price.into(), None)).collect(),
        metadata: mark(),
        ..PlannedPhase::default()
    }
}

fn plan(start: Start, phases: Vec<PlannedPhase>) -> NewSchedule {
    NewSchedule {
        start,
        phases,
        ends: false,
    }
}

fn kept(end: i64) -> PlannedPhase {
    PlannedPhase {
        end: Some(end),
        items: vec![("price_a".into(), Some(2)), ("price_foreign".into(), None)],
        coupon: Some("five".into()),
        metadata: mark()
            .into_iter()
            .chain([("note".into(), "kept".into())])
            .collect(),
        ..PlannedPhase::default()
    }
}

#[test]
fn an_org_with_nothing() {
    let decide = |asked: &[Asked]| decide(Standing::Nothing, asked, NOW);
    assert_eq!(
        decide(&[ask(None, &["p"])]),
        Action::Create(plan(Start::Now, vec![phase(None, &["p"])]))
    );
    assert_eq!(
        decide(&[ask(Some(LATER), &["p"]), ask(Some(LATEST), &["q"])]),
        Action::Create(plan(
            Start::At(LATER),
            vec![phase(Some(LATEST), &["p"]), phase(None, &["q"])]
        ))
    );
    assert_eq!(
        decide(&[ask(None, &["p"]), ask(Some(LATER), &[])]),
        Action::Create(NewSchedule {
            start: Start::Now,
            phases: vec![phase(Some(LATER), &["p"])],
            ends: true
        })
    );
    assert_eq!(decide(&[ask(None, &[])]), Action::Nothing);
    assert_eq!(decide(&[ask(Some(LATER), &[])]), Action::Nothing);
}

#[test]
fn a_schedule_that_has_not_begun_is_replaced_or_called_off() {
    let waiting = schedule("not_started", None);
    let decide = |asked: &[Asked]| decide(Standing::Waiting(&waiting), asked, NOW);
    let id = || "sub_sched_1".to_owned();
    assert_eq!(
        decide(&[ask(None, &["p"])]),
        Action::Replace(id(), plan(Start::Now, vec![phase(None, &["p"])]))
    );
    assert_eq!(
        decide(&[ask(Some(LATER), &["p"])]),
        Action::Replace(id(), plan(Start::At(LATER), vec![phase(None, &["p"])]))
    );
    assert_eq!(decide(&[ask(None, &[])]), Action::CallOff(id()));
    assert_eq!(decide(&[ask(Some(LATER), &[])]), Action::CallOff(id()));
}

#[test]
fn a_scheduled_subscription_keeps_or_replaces_its_phase() {
    let sub = subscription(Some(&schedule_json("active", None)));
    let decide = |asked: &[Asked]| decide(Standing::Subscribed(&sub), asked, NOW);
    let replace = |plan| Action::Replace("sub_sched_1".into(), plan);
    assert_eq!(
        decide(&[ask(None, &["p"])]),
        replace(plan(Start::WithCurrentPhase, vec![phase(None, &["p"])]))
    );
    assert_eq!(
        decide(&[ask(None, &["p"]), ask(Some(LATER), &["q"])]),
        replace(plan(
            Start::WithCurrentPhase,
            vec![phase(Some(LATER), &["p"]), phase(None, &["q"])]
        ))
    );
    assert_eq!(
        decide(&[ask(Some(LATEST), &["q"])]),
        replace(plan(
            Start::WithCurrentPhase,
            vec![kept(LATEST), phase(None, &["q"])]
        ))
    );
    assert_eq!(
        decide(&[ask(Some(LATEST), &[])]),
        replace(NewSchedule {
            start: Start::WithCurrentPhase,
            phases: vec![kept(LATEST)],
            ends: true
        })
    );
    assert_eq!(decide(&[ask(None, &[])]), Action::Cancel("sub_1".into()));
}

#[test]
fn a_kept_trial_stays_a_trial_to_its_end_or_the_phases() {
    for (trial_end, expected) in [
        (Some(LATEST), (true, None)),
        (Some(LATER + 1), (true, None)),
        (Some(NOW + 10), (false, Some(NOW + 10))),
        (Some(NOW - 10), (false, None)),
    ] {
        let sub = subscription(Some(&schedule_json("active", trial_end)));
        let action = decide(Standing::Subscribed(&sub), &[ask(Some(LATER), &["q"])], NOW);
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
fn a_subscription_without_a_schedule_is_given_one() {
    for schedule in [None, Some(schedule_json("released", None))] {
        let sub = subscription(schedule.as_ref());
        let decide = |asked: &[Asked]| decide(Standing::Subscribed(&sub), asked, NOW);
        assert_eq!(
            decide(&[ask(None, &["p"])]),
            Action::Adopt(
                "sub_1".into(),
                plan(Start::WithCurrentPhase, vec![phase(None, &["p"])])
            )
        );
        let kept = PlannedPhase {
            end: Some(LATER),
            items: vec![("price_old".into(), Some(3)), ("price_use".into(), None)],
            coupon: Some("ten".into()),
            metadata: mark()
                .into_iter()
                .chain([("app".into(), "x".into())])
                .collect(),
            ..PlannedPhase::default()
        };
        assert_eq!(
            decide(&[ask(Some(LATER), &["p"])]),
            Action::Adopt(
                "sub_1".into(),
                plan(Start::WithCurrentPhase, vec![kept, phase(None, &["p"])])
            )
        );
    }
}

#[test]
fn a_trial_without_an_end_lasts_as_long_as_stripe_allows() {
    let trial = |effective| Asked {
        trial: true,
        ..ask(effective, &["p"])
    };
    let ends = |asked: &[Asked]| match decide(Standing::Nothing, asked, NOW) {
        Action::Create(plan) => plan.phases.last().and_then(|phase| phase.end),
        other => panic!("{other:?}"),
    };
    assert_eq!(ends(&[trial(None)]), Some(NOW + LONGEST_TRIAL));
    assert_eq!(
        ends(&[ask(None, &["p"]), trial(Some(LATER))]),
        Some(LATER + LONGEST_TRIAL)
    );
    assert_eq!(ends(&[trial(None), ask(Some(LATER), &["p"])]), None);
}

#[test]
fn a_phase_older_than_its_billing_period_ends_with_the_period() {
    let mut old = schedule_json("active", None);
    old["current_phase"]["start_date"] = json!(NOW - 500);
    let sub = subscription(Some(&old));
    let action = decide(Standing::Subscribed(&sub), &[ask(None, &["p"])], NOW);
    let Action::Replace(_, plan) = action else {
        panic!("{action:?}")
    };
    assert_eq!(plan.phases, [phase(Some(NOW + 40), &["p"])]);
}

#[test]
fn phases_must_be_in_order_and_only_the_last_may_be_empty() {
    let check = |asked: Vec<Asked>| normalise(asked, NOW).map_err(|error| error.to_string());
    assert_eq!(
        check(vec![ask(Some(NOW), &["p"])]),
        Ok(vec![ask(None, &["p"])])
    );
    assert_eq!(
        check(vec![ask(Some(NOW - 9), &[])]),
        Ok(vec![ask(None, &[])])
    );
    for (asked, message) in [
        (
            vec![ask(None, &["p"]), ask(None, &["q"])],
            "phases[1]: effective is required",
        ),
        (
            vec![ask(None, &["p"]), ask(Some(NOW), &["q"])],
            "phases[1]: effective must be later",
        ),
        (
            vec![ask(Some(LATER), &["p"]), ask(Some(LATER), &["q"])],
            "phases[1]: effective must be later",
        ),
        (
            vec![ask(None, &[]), ask(Some(LATER), &["q"])],
            "phases[0]: only the last phase",
        ),
    ] {
        let error = check(asked).expect_err(message);
        assert!(error.starts_with(message), "{error}");
    }
}

//! The table of decisions: what is × what is asked → what is done.

use serde_json::json;

use super::*;
use crate::billing::{AggregateUsage, Metadata, NewPhaseItem};
use crate::domain::catalog::BillingTerms;

const NOW: i64 = 1_000_000;
const LATER: i64 = NOW + 100;
const LATEST: i64 = NOW + 200;
const START: i64 = NOW - 50;

fn subscription(schedule: Option<&serde_json::Value>) -> Subscription {
    let price = |id: &str, feature: &str, usage_type: &str| {
        json!({"id": id, "metadata": {"tier.feature": feature}, "currency": "usd",
            "recurring": {"interval": "month", "usage_type": usage_type}})
    };
    serde_json::from_value(json!({
        "id": "sub_1", "status": "active", "schedule": schedule,
        "current_period_start": NOW - 60, "current_period_end": NOW + 40,
        "metadata": {"tier.subscription": "default", "app": "x"},
        "discount": {"coupon": {"id": "ten"}},
        "default_payment_method": "pm_pinned",
        "automatic_tax": {"enabled": true},
        "items": {"data": [
            {"id": "si_1", "price": price("price_old", "feature:seat@plan:p@1", "licensed"), "quantity": 3},
            {"id": "si_2", "price": price("price_use", "feature:use@plan:p@1", "metered"), "quantity": 1},
            {"id": "si_3", "price": price("price_foreign", "", "licensed"), "quantity": 4, "metadata": {"its": "own"}},
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
             "items": [{"price": "price_old", "quantity": 2}, {"price": "price_use"}],
             "metadata": {"app": "as it was", "gone": "since"}},
            {"start_date": LATER, "end_date": LATEST, "items": [{"price": "price_future"}]},
        ],
    })
}

fn sold(price: &str) -> PricedFeature {
    PricedFeature {
        name: format!("feature:{}@plan:p@1", price.replace('_', "-"))
            .parse()
            .expect("a name"),
        price_id: price.into(),
        metered: false,
        aggregate: AggregateUsage::Sum,
        billing: BillingTerms::default(),
        free: false,
    }
}

/// What stays of [`subscription`] whatever is sold.
fn foreign() -> NewPhaseItem {
    NewPhaseItem {
        metadata: [("its".to_owned(), "own".to_owned())].into(),
        ..item("price_foreign", Some(4))
    }
}

fn item(price: &str, quantity: Option<u64>) -> NewPhaseItem {
    NewPhaseItem {
        price: price.into(),
        quantity,
        metadata: Metadata::new(),
    }
}

/// What to do about phases, and nothing else.
fn decide(standing: Standing<'_>, asked: &[Asked], now: i64) -> Action {
    let change = Change {
        asked,
        automatic_tax: None,
        payment_method: None,
        now,
    };
    super::decide(standing, change)
}

fn ask(effective: Option<i64>, prices: &[&str]) -> Asked {
    Asked {
        effective,
        trial: false,
        features: prices.iter().map(|&price| sold(price)).collect(),
        coupon: None,
    }
}

fn mark() -> Metadata {
    [("tier.subscription".to_owned(), "default".to_owned())].into()
}

fn phase(end: Option<i64>, prices: &[&str]) -> NewPhase {
    NewPhase {
        end: end.map(PhaseEnd::At),
        items: prices.iter().map(|&price| item(price, None)).collect(),
        metadata: mark(),
        ..NewPhase::default()
    }
}

/// Phases that begin later say when.
fn plan(start: ScheduleStart, mut phases: Vec<NewPhase>) -> NewSchedule {
    for i in 1..phases.len() {
        if let Some(PhaseEnd::At(at)) = phases[i - 1].end {
            let at = ("tier.scheduled".to_owned(), at.to_string());
            phases[i].metadata.extend([at]);
        }
    }
    NewSchedule {
        start,
        phases,
        ends: false,
        automatic_tax: false,
        payment_method: None,
        unprorated: false,
        begins: Some(0),
    }
}

/// What follows in a subscription that had something: the rest of it stays.
fn next(end: Option<i64>, coupon: &str, prices: &[&str]) -> NewPhase {
    let mut phase = phase(end, prices);
    phase.items.push(foreign());
    phase.coupon = Some(coupon.to_owned()).filter(|coupon| !coupon.is_empty());
    phase
}

fn kept(end: PhaseEnd) -> NewPhase {
    NewPhase {
        end: Some(end),
        items: vec![
            item("price_old", Some(3)),
            item("price_use", None),
            foreign(),
        ],
        coupon: Some("five".into()),
        metadata: mark()
            .into_iter()
            .chain([("app".into(), "x".into())])
            .collect(),
        ..NewPhase::default()
    }
}

/// A plan for [`subscription`], whose payment method and tax stay.
fn on(phases: Vec<NewPhase>) -> NewSchedule {
    let ends_now = phases[0].end == Some(PhaseEnd::Now);
    NewSchedule {
        begins: ends_now.then_some(1),
        automatic_tax: true,
        payment_method: Some("pm_pinned".into()),
        ..plan(ScheduleStart::WithCurrentPhase, phases)
    }
}

#[test]
fn an_org_with_nothing() {
    let decide = |asked: &[Asked]| decide(Standing::Nothing, asked, NOW);
    assert_eq!(
        decide(&[ask(None, &["p"])]),
        Action::Create(plan(ScheduleStart::Now, vec![phase(None, &["p"])]))
    );
    assert_eq!(
        decide(&[ask(Some(LATER), &["p"]), ask(Some(LATEST), &["q"])]),
        Action::Create(plan(
            ScheduleStart::At(LATER),
            vec![phase(Some(LATEST), &["p"]), phase(None, &["q"])]
        ))
    );
    assert_eq!(
        decide(&[ask(None, &["p"]), ask(Some(LATER), &[])]),
        Action::Create(NewSchedule {
            ends: true,
            ..plan(ScheduleStart::Now, vec![phase(Some(LATER), &["p"])])
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
        Action::Replace(id(), plan(ScheduleStart::Now, vec![phase(None, &["p"])]))
    );
    assert_eq!(
        decide(&[ask(Some(LATER), &["p"])]),
        Action::Replace(
            id(),
            plan(ScheduleStart::At(LATER), vec![phase(None, &["p"])])
        )
    );
    assert_eq!(decide(&[ask(None, &[])]), Action::CallOff(id()));
    assert_eq!(decide(&[ask(Some(LATER), &[])]), Action::CallOff(id()));
}

#[test]
fn a_scheduled_subscription_keeps_or_ends_its_phase() {
    let sub = subscription(Some(&schedule_json("active", None)));
    let decide = |asked: &[Asked]| decide(Standing::Subscribed(&sub), asked, NOW);
    let replace = |plan| Action::Replace("sub_sched_1".into(), plan);
    assert_eq!(
        decide(&[ask(None, &["p"])]),
        replace(on(vec![kept(PhaseEnd::Now), next(None, "ten", &["p"])]))
    );
    assert_eq!(
        decide(&[ask(None, &["p"]), ask(Some(LATER), &["q"])]),
        replace(on(vec![
            kept(PhaseEnd::Now),
            next(Some(LATER), "ten", &["p"]),
            next(None, "ten", &["q"])
        ]))
    );
    assert_eq!(
        decide(&[ask(Some(LATEST), &["q"])]),
        replace(on(vec![
            kept(PhaseEnd::At(LATEST)),
            next(None, "ten", &["q"])
        ]))
    );
    assert_eq!(
        decide(&[ask(Some(LATEST), &[])]),
        replace(NewSchedule {
            ends: true,
            ..on(vec![kept(PhaseEnd::At(LATEST))])
        })
    );
    assert_eq!(decide(&[ask(None, &[])]), Action::Cancel("sub_1".into()));
}

/// The phases after a change of [`subscription`] now.
fn changed(now: i64, asked: &[Asked]) -> Vec<NewPhase> {
    let sub = subscription(Some(&schedule_json("active", None)));
    match decide(Standing::Subscribed(&sub), asked, now) {
        Action::Replace(_, plan) => plan.phases,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_same_items_and_the_second_in_which_a_phase_began_change_it_in_place() {
    let same = changed(NOW, &[ask(None, &["price_use", "price_old"])]);
    let mut in_place = next(None, "ten", &["price_use", "price_old"]);
    in_place.items[1].quantity = Some(3);
    assert_eq!(same, [in_place]);
    assert_eq!(
        changed(START, &[ask(None, &["p"])]),
        [next(None, "ten", &["p"])]
    );
    // A trial that begins or ends is another phase.
    let trial = Asked {
        trial: true,
        ..ask(None, &["price_use", "price_old"])
    };
    assert_eq!(changed(NOW, &[trial]).len(), 2);
}

#[test]
fn a_quantity_follows_the_name_of_its_feature() {
    let named = |name: &str, price: &str, metered| PricedFeature {
        name: name.parse().expect("a name"),
        metered,
        ..sold(price)
    };
    let asked = Asked {
        features: vec![
            named("feature:use@plan:q@1", "new_use", true),
            named("feature:seat@plan:q@1", "new_seat", false),
            named("feature:seat@plan:r@1", "other_seat", false),
        ],
        ..ask(None, &[])
    };
    let phases = changed(NOW, &[asked]);
    assert_eq!(
        phases[1].items,
        [
            item("new_use", None),
            item("new_seat", Some(3)),
            item("other_seat", None),
            foreign()
        ]
    );
}

#[test]
fn a_coupon_runs_on_until_another_word_is_said() {
    let with = |coupon: Option<&str>, effective, price: &str| Asked {
        coupon: coupon.map(str::to_owned),
        ..ask(effective, &[price])
    };
    let coupons = |asked: &[Asked]| -> Vec<Option<String>> {
        let phases = changed(NOW, asked).into_iter().skip(1);
        phases.map(|phase| phase.coupon).collect()
    };
    let some = |coupon: &str| Some(coupon.to_owned());
    assert_eq!(coupons(&[with(None, None, "p")]), [some("ten")]);
    assert_eq!(coupons(&[with(Some(""), None, "p")]), [None]);
    assert_eq!(
        coupons(&[
            with(None, None, "p"),
            with(Some("new"), Some(LATER), "q"),
            with(None, Some(LATEST), "r")
        ]),
        [some("ten"), some("new"), None]
    );
}

#[test]
fn what_is_mentioned_changes() {
    let sub = subscription(Some(&schedule_json("active", None)));
    let change = Change {
        asked: &[ask(None, &["p"])],
        automatic_tax: Some(false),
        payment_method: Some("pm_new"),
        now: NOW,
    };
    let Action::Replace(_, plan) = super::decide(Standing::Subscribed(&sub), change) else {
        panic!("a subscription with a schedule")
    };
    assert_eq!(
        (plan.automatic_tax, plan.payment_method.as_deref()),
        (false, Some("pm_new"))
    );
}

#[test]
fn what_stripe_would_refuse_is_refused_before() {
    let sub = subscription(None);
    let held = Held::of(Standing::Subscribed(&sub), NOW);
    let billed = |every: &str, currency: &str| PricedFeature {
        billing: BillingTerms {
            every: Some((every.to_owned().into(), 1)),
            currency: currency.into(),
        },
        ..sold("p")
    };
    let check = |held: &Held, features: &[PricedFeature]| {
        held.check(features).map_err(|error| error.to_string())
    };
    let nothing = Held::default();
    assert_eq!(check(&nothing, &[billed("year", "eur")]), Ok(()));
    assert_eq!(check(&held, &[billed("month", "usd")]), Ok(()));
    for (held, features, word) in [
        (
            &nothing,
            vec![billed("month", "usd"), billed("year", "usd")],
            "interval",
        ),
        (
            &nothing,
            vec![billed("month", "usd"), billed("month", "eur")],
            "currency field",
        ),
        // The item that is not Tier's is billed monthly, in dollars.
        (&held, vec![billed("year", "usd")], "interval"),
        (&held, vec![billed("month", "eur")], "currency"),
        (&held, vec![billed("month", "usd"); 20], "21 were given"),
    ] {
        let refused = check(held, &features).expect_err(word);
        assert!(refused.contains(word), "{refused}");
    }
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
        let unscheduled = |end| NewPhase {
            coupon: Some("ten".into()),
            metadata: mark()
                .into_iter()
                .chain([("app".into(), "x".into())])
                .collect(),
            ..kept(end)
        };
        let decide = |asked: &[Asked]| decide(Standing::Subscribed(&sub), asked, NOW);
        assert_eq!(
            decide(&[ask(None, &["p"])]),
            Action::Adopt(
                "sub_1".into(),
                on(vec![unscheduled(PhaseEnd::Now), next(None, "ten", &["p"])])
            )
        );
        assert_eq!(
            decide(&[ask(Some(LATER), &["p"])]),
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
    let trial = |effective| Asked {
        trial: true,
        ..ask(effective, &["p"])
    };
    let ends = |asked: &[Asked]| match decide(Standing::Nothing, asked, NOW) {
        Action::Create(plan) => plan.phases.last().and_then(|phase| phase.end),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        ends(&[trial(None)]),
        Some(PhaseEnd::At(NOW + LONGEST_TRIAL))
    );
    assert_eq!(
        ends(&[ask(None, &["p"]), trial(Some(LATER))]),
        Some(PhaseEnd::At(LATER + LONGEST_TRIAL))
    );
    assert_eq!(ends(&[trial(None), ask(Some(LATER), &["p"])]), None);
}

#[test]
fn a_phase_older_than_its_billing_period_ends_with_the_period() {
    let mut old = schedule_json("active", None);
    old["current_phase"]["start_date"] = json!(NOW - 500);
    let sub = subscription(Some(&old));
    let same = ask(None, &["price_old", "price_use"]);
    let action = decide(Standing::Subscribed(&sub), &[same], NOW);
    let Action::Replace(_, plan) = action else {
        panic!("{action:?}")
    };
    assert_eq!(plan.phases[0].end, Some(PhaseEnd::At(NOW + 40)));
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

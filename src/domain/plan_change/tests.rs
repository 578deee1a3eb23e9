//! The table of decisions: current state × request → action.

mod stays;
mod times;

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
        generation: None,
        billing: BillingTerms::default(),
        free: false,
        archived: false,
        limit: i64::MAX,
    }
}

/// The item of [`subscription`] that is not Tier's. Every change keeps it.
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

/// The decision for phases alone.
fn decide(current_state: CurrentState<'_>, requested: &[ResolvedPhase], now: i64) -> Action {
    let change = PlanChange {
        requested,
        appends: false,
        automatic_tax: None,
        payment_method: None,
        unmetered: None,
        now,
    };
    super::decide(current_state, change)
}

fn request(effective: Option<i64>, prices: &[&str]) -> ResolvedPhase {
    ResolvedPhase {
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

/// Later phases note when they begin.
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
        generation: Generation::Classic,
    }
}

/// A later phase of [`subscription`], with the items that every change keeps.
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

/// A schedule for [`subscription`], with its payment method and tax.
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
    let decide = |requested: &[ResolvedPhase]| decide(CurrentState::Nothing, requested, NOW);
    assert_eq!(
        decide(&[request(None, &["p"])]),
        Action::Create(plan(ScheduleStart::Now, vec![phase(None, &["p"])]))
    );
    assert_eq!(
        decide(&[request(Some(LATER), &["p"]), request(Some(LATEST), &["q"])]),
        Action::Create(plan(
            ScheduleStart::At(LATER),
            vec![phase(Some(LATEST), &["p"]), phase(None, &["q"])]
        ))
    );
    assert_eq!(
        decide(&[request(None, &["p"]), request(Some(LATER), &[])]),
        Action::Create(NewSchedule {
            ends: true,
            ..plan(ScheduleStart::Now, vec![phase(Some(LATER), &["p"])])
        })
    );
    assert_eq!(decide(&[request(None, &[])]), Action::Nothing);
    assert_eq!(decide(&[request(Some(LATER), &[])]), Action::Nothing);
}

#[test]
fn a_schedule_that_has_not_started_is_replaced_or_canceled() {
    let not_started = schedule("not_started", None);
    let decide = |requested: &[ResolvedPhase]| {
        decide(CurrentState::NotStarted(&not_started), requested, NOW)
    };
    let id = || "sub_sched_1".to_owned();
    assert_eq!(
        decide(&[request(None, &["p"])]),
        Action::Replace(id(), plan(ScheduleStart::Now, vec![phase(None, &["p"])]))
    );
    assert_eq!(
        decide(&[request(Some(LATER), &["p"])]),
        Action::Replace(
            id(),
            plan(ScheduleStart::At(LATER), vec![phase(None, &["p"])])
        )
    );
    assert_eq!(decide(&[request(None, &[])]), Action::CancelSchedule(id()));
    assert_eq!(
        decide(&[request(Some(LATER), &[])]),
        Action::CancelSchedule(id())
    );
}

#[test]
fn a_scheduled_subscription_keeps_or_ends_its_phase() {
    let sub = subscription(Some(&schedule_json("active", None)));
    let decide =
        |requested: &[ResolvedPhase]| decide(CurrentState::Subscribed(&sub), requested, NOW);
    let replace = |plan| Action::Replace("sub_sched_1".into(), plan);
    assert_eq!(
        decide(&[request(None, &["p"])]),
        replace(on(vec![kept(PhaseEnd::Now), next(None, "ten", &["p"])]))
    );
    assert_eq!(
        decide(&[request(None, &["p"]), request(Some(LATER), &["q"])]),
        replace(on(vec![
            kept(PhaseEnd::Now),
            next(Some(LATER), "ten", &["p"]),
            next(None, "ten", &["q"])
        ]))
    );
    assert_eq!(
        decide(&[request(Some(LATEST), &["q"])]),
        replace(on(vec![
            kept(PhaseEnd::At(LATEST)),
            next(None, "ten", &["q"])
        ]))
    );
    assert_eq!(
        decide(&[request(Some(LATEST), &[])]),
        replace(NewSchedule {
            ends: true,
            ..on(vec![kept(PhaseEnd::At(LATEST))])
        })
    );
    assert_eq!(
        decide(&[request(None, &[])]),
        Action::CancelSubscription("sub_1".into())
    );
}

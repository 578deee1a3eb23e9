//! Single cases of events of meters.

use super::world::{Fault, World};
use super::*;

/// A target whose item is billed by a meter.
pub(super) fn on_meter(aggregate: Aggregate, number: i64) -> Target {
    let meter = Meter {
        id: "mtr_1".into(),
        customer: "cus_1".into(),
    };
    Target {
        meter: Some(meter),
        ..target("feature:s", aggregate, "si_1", number)
    }
}

/// Reports units, without delivering them.
pub(super) fn report(world: &mut World, target: &Target, n: i64) {
    world.targets.insert(target.feature.clone(), target.clone());
    let report = Event::Report(add(target, n));
    let answer = world.submit(&report).expect("a disk");
    answer.expect("usage that is accepted");
}

fn deliver(world: &mut World, after: i64, fault: Fault) {
    world.advance(after);
    world.deliver(None, fault);
}

/// Reports units, and lets the sender send them.
pub(super) fn sent(world: &mut World, target: &Target, n: i64) {
    report(world, target, n);
    for _ in 0..2 {
        deliver(world, MINUTE, Fault::None);
    }
}

/// 10 units were sent, and 7 are to be sent.
fn seven_waiting() -> (World, Target) {
    let target = on_meter(Aggregate::Sum, 0);
    let mut world = World::new();
    sent(&mut world, &target, 10);
    report(&mut world, &target, 7);
    (world, target)
}

/// The summary of its minute is 0, whether it was counted or not.
#[test]
fn a_level_of_zero_is_sent_again_after_its_outcome_is_lost() {
    for arrives in [true, false] {
        let target = on_meter(Aggregate::Last, 0);
        let mut world = World::new();
        sent(&mut world, &target, 5);
        report(&mut world, &target, 0);
        deliver(&mut world, MINUTE, Fault::Slow);
        if arrives {
            world.arrive();
        }
        for _ in 0..3 {
            deliver(&mut world, 21 * HOUR, Fault::None);
        }
        let total = world.disk.first();
        assert!(!total.is_undelivered() && total.parked.is_none());
        let meter = target.meter.expect("it has one");
        let billed = world.meters.billed(&meter, period(0), Aggregate::Last);
        assert_eq!(billed, 0, "{arrives}");
    }
}

#[test]
fn events_of_two_periods_are_never_taken_for_one() {
    let (before, after) = (on_meter(Aggregate::Sum, 0), on_meter(Aggregate::Sum, 1));
    let mut world = World::new();
    report(&mut world, &before, 3);
    deliver(&mut world, MINUTE, Fault::None);
    assert_eq!(world.disk.first().delivery.number, 0, "it is only read");
    world.advance(PERIOD - HOUR);
    report(&mut world, &after, 4);
    deliver(&mut world, MINUTE, Fault::None);
    let meter = after.meter.expect("it has one");
    for (number, n) in [(0, 3), (1, 4)] {
        let billed = world.meters.billed(&meter, period(number), Aggregate::Sum);
        assert_eq!(billed, n, "period {number}");
    }
}

/// Other programs had recorded 3, and took them back after the ledger had read the meter.
#[test]
fn usage_that_others_took_back_is_not_taken_for_dropped_events() {
    let mut world = World::new();
    report(&mut world, &on_meter(Aggregate::Sum, 0), 5);
    let total = world.disk.first();
    let (id, number) = (total.id, total.delivery.number);
    world.submit(&Event::Summary {
        total: id,
        number,
        value: 3,
    });
    for _ in 0..2 {
        deliver(&mut world, MINUTE, Fault::None);
    }
    let total = world.disk.first();
    assert_eq!((total.external, total.delivery.delivered), (3, 5));
    world.now = period(0).end.plus(2 * HOUR);
    world.submit(&Event::Settle {
        total: id,
        billed: 5,
        is_final: true,
    });
    let total = world.disk.first();
    assert_eq!((total.settled, &total.parked), (Some(5), &None));
}

/// Whether it was sent is known only if it was handed out once.
#[test]
fn an_event_of_an_item_that_is_gone_is_billed_where_its_feature_goes() {
    for is_handed_out in [false, true] {
        let (mut world, target) = seven_waiting();
        if is_handed_out {
            world.advance(MINUTE);
            let sealed = world.seal(None);
            assert_eq!(sealed.events.len(), 1);
        }
        let now = world.now;
        world.meters.removed.insert("mtr_1".into(), now);
        let next = Target {
            item: "si_2".into(),
            meter: None,
            item_start: now,
            ..target.clone()
        };
        world.targets.insert(next.feature.clone(), next.clone());
        let hours = if is_handed_out { 3 } else { 0 };
        for wait in [MINUTE, hours * HOUR, MINUTE, MINUTE, MINUTE] {
            deliver(&mut world, wait, Fault::None);
        }
        let old = world.disk.first().clone();
        assert_eq!((old.n, old.delivery.delivered, old.parked), (10, 10, None));
        let of_next = world.disk.totals.values();
        let of_next: Vec<i64> = of_next
            .filter(|total| total.item == next.item)
            .map(|total| total.delivery.delivered)
            .collect();
        assert_eq!(of_next, [7]);
    }
}

/// The sender and a plan change may both hold the same event.
#[test]
fn an_event_in_two_rounds_is_unsent_only_if_neither_sent_it() {
    for outcome in [
        Outcome::Unsent,
        Outcome::Gone,
        Outcome::Refused {
            reason: "it is gone".into(),
            next: None,
        },
    ] {
        let (mut world, target) = seven_waiting();
        world.advance(MINUTE);
        let first = world.seal(None).events.remove(0);
        let second = world.seal(Some(target.org.clone())).events.remove(0);
        assert_eq!(first.identifier, second.identifier);
        assert_eq!((first.is_new, second.is_new), (true, false));
        let now = world.now;
        world.meters.receive(&second, None, now);
        for outcome in [outcome.clone(), Outcome::Done] {
            let answered = Event::Answered {
                total: first.total,
                number: first.number,
                outcome,
            };
            world
                .submit(&answered)
                .expect("a disk")
                .expect("it is there");
        }
        for _ in 0..3 {
            deliver(&mut world, MINUTE, Fault::None);
        }
        let total = world.disk.first().clone();
        assert_eq!((total.delivery.delivered, total.parked), (17, None));
        let meter = target.meter.expect("it has one");
        let billed = world.meters.billed(&meter, period(0), Aggregate::Sum);
        assert_eq!(billed, 17, "{outcome:?}");
    }
}

/// Its outcome is decided when its period takes no more usage; then it moves.
#[test]
fn a_late_event_of_an_ended_subscription_holds_up_no_change_of_plan() {
    let target = on_meter(Aggregate::Sum, 0);
    let mut world = World::new();
    sent(&mut world, &target, 10);
    world.advance(PERIOD - 2 * HOUR);
    report(&mut world, &target, 7);
    deliver(&mut world, MINUTE, Fault::None);
    world.now = period(0).end.plus(-SECOND);
    report(&mut world, &target, 5);
    deliver(&mut world, 0, Fault::Fails(false));
    world.now = period(0).end.plus(MINUTE);
    let now = world.now;
    world.meters.removed.insert("mtr_1".into(), now);
    let next = Target {
        item: "si_2".into(),
        meter: None,
        item_start: now,
        since: now,
        ..on_meter(Aggregate::Sum, 1)
    };
    world.targets.insert(next.feature.clone(), next.clone());
    deliver(&mut world, 0, Fault::None);
    let org = Some(target.org.clone());
    assert!(world.seal(org).is_empty());
    for _ in 0..9 {
        deliver(&mut world, 30 * MINUTE, Fault::None);
    }
    let old = world.disk.first().clone();
    assert_eq!((old.n, old.delivery.delivered, old.parked), (17, 17, None));
    let moved = world
        .disk
        .totals
        .values()
        .find(|total| total.item == next.item);
    assert_eq!(moved.map(|total| total.delivery.delivered), Some(5));
}

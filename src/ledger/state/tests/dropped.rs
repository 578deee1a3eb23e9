//! Events that Stripe accepts and drops later.

use super::events::{on_meter, report, sent};
use super::world::{Fault, World};
use super::*;

fn report_dropped(world: &mut World) -> Answer {
    let dropped = Event::Dropped(world.disk.first().id);
    let answer = world.submit(&dropped).expect("a disk");
    answer.expect("the total is there")
}

/// Lets the meter be read twice.
fn compare(world: &mut World) {
    for _ in 0..2 {
        world.advance(5 * MINUTE);
        world.deliver(None, Fault::None);
    }
}

/// The meter has dropped 7 of 17 sent units, and Stripe has reported it.
fn seven_dropped() -> (World, Target) {
    let target = on_meter(Aggregate::Sum, 0);
    let mut world = World::new();
    sent(&mut world, &target, 10);
    sent(&mut world, &target, 7);
    world.meters.drop_last();
    assert_eq!(report_dropped(&mut world), Answer::Done);
    (world, target)
}

#[test]
fn what_the_meter_lacks_is_parked_and_sent_again() {
    let (mut world, target) = seven_dropped();
    // Nothing is sent before the comparison.
    sent(&mut world, &target, 5);
    assert_eq!(world.disk.first().delivery.delivered, 17);
    compare(&mut world);
    let parked = world.disk.first().clone();
    assert_eq!((parked.n, parked.delivery.delivered), (22, 10));
    assert!(parked.parked.is_some());
    // Stripe may only have been late, so another report does not send it again.
    sent(&mut world, &target, 0);
    let waits = world.disk.first();
    assert!(waits.parked.is_some() && waits.delivery.delivered == 10);
    // It is reported again.
    assert_eq!(report_dropped(&mut world), Answer::Ignored);
    let retry = world.submit(&Event::Retry(parked.id));
    retry.expect("a disk").expect("it is parked");
    sent(&mut world, &target, 1);
    assert_eq!(report_dropped(&mut world), Answer::Done);
    compare(&mut world);
    let total = world.disk.first();
    assert_eq!(
        (total.parked.as_ref(), total.delivery.delivered),
        (None, 23)
    );
    let meter = target.meter.expect("it has one");
    let billed = world.meters.billed(&meter, period(0), Aggregate::Sum);
    assert_eq!(billed, 23);
}

#[test]
fn a_level_that_the_meter_lacks_is_parked() {
    for (level, later) in [(5, 3), (3, 5)] {
        let target = on_meter(Aggregate::Last, 0);
        let mut world = World::new();
        sent(&mut world, &target, level);
        sent(&mut world, &target, later);
        world.meters.drop_last();
        report_dropped(&mut world);
        compare(&mut world);
        let total = world.disk.first();
        assert_eq!((total.n, total.delivery.delivered), (later, level));
        assert!(total.parked.is_some());
    }
}

/// Late and unrequested answers, and answers about totals without a meter, change nothing.
#[test]
fn other_totals_go_on() {
    let mut world = World::new();
    let classic = target("feature:s", Aggregate::Sum, "si_1", 0);
    sent(&mut world, &classic, 10);
    assert_eq!(report_dropped(&mut world), Answer::Ignored);
    let mut world = World::new();
    let target = on_meter(Aggregate::Sum, 0);
    sent(&mut world, &target, 10);
    let total = world.disk.first().clone();
    let counted = |number| Event::Counted {
        total: total.id,
        number,
        value: Some(3),
    };
    let number = total.delivery.number;
    let unrequested = world.submit(&counted(number)).expect("a disk");
    assert_eq!(unrequested, Ok(Answer::Ignored));
    report_dropped(&mut world);
    let late = world.submit(&counted(number - 1)).expect("a disk");
    assert_eq!(late, Ok(Answer::Ignored));
    compare(&mut world);
    let total = world.disk.first();
    assert_eq!(
        (total.delivery.delivered, total.delivery.check),
        (10, Check::No)
    );
    assert!(total.parked.is_none());
}

/// Stripe may only have been late.
#[test]
fn what_comes_between_two_readings_is_not_missed() {
    let (mut world, _) = seven_dropped();
    world.advance(5 * MINUTE);
    world.deliver(None, Fault::None);
    world.meters.process_all();
    compare(&mut world);
    let total = world.disk.first();
    assert_eq!(
        (total.delivery.delivered, total.parked.as_ref()),
        (17, None)
    );
    assert_eq!(total.delivery.check, Check::No);
}

/// It would look as if other programs had sent less.
#[test]
fn a_summary_during_a_comparison_is_ignored() {
    let (mut world, _) = seven_dropped();
    world.advance(6 * MINUTE);
    let total = world.disk.first();
    let summary = Event::Summary {
        total: total.id,
        number: total.delivery.number,
        value: 10,
    };
    assert_eq!(world.submit(&summary), Some(Ok(Answer::Ignored)));
    compare(&mut world);
    assert!(world.disk.first().parked.is_some());
}

/// Unsent usage waits, as it would without a plan change.
#[test]
fn a_change_of_plan_waits_for_a_comparison_only_if_there_is_something_to_send() {
    for reports in [false, true] {
        let (mut world, target) = seven_dropped();
        let org = Some(target.org.clone());
        for _ in 0..3 {
            // The org keeps using the feature.
            if reports {
                report(&mut world, &target, 1);
            }
            assert_eq!(world.seal(org.clone()).waiting > 0, reports);
            world.advance(MINUTE);
        }
        for _ in 0..10 {
            world.advance(MINUTE);
            world.deliver(org.clone(), Fault::None);
            world.deliver(None, Fault::None);
        }
        let total = world.disk.first();
        assert_eq!(total.delivery.delivered, 10, "{reports}");
        assert!(total.parked.is_some());
        assert!(world.seal(org).is_empty(), "nothing holds it up");
    }
}

#[test]
fn a_meter_that_cannot_be_read_holds_up_nothing() {
    for aggregate in [Aggregate::Sum, Aggregate::Last] {
        let target = on_meter(aggregate, 0);
        let mut world = World::new();
        sent(&mut world, &target, 10);
        report_dropped(&mut world);
        world.advance(5 * MINUTE);
        assert_eq!(world.seal(None).summaries.len(), 1);
        let total = world.disk.first().clone();
        let unread = Event::Counted {
            total: total.id,
            number: total.delivery.number,
            value: None,
        };
        assert_eq!(world.submit(&unread), Some(Ok(Answer::Done)));
        sent(&mut world, &target, 5);
        assert!(!world.disk.first().is_undelivered());
    }
}

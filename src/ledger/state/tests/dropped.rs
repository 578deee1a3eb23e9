//! Events that Stripe accepts and drops later.

use super::world::{Fault, World};
use super::*;

fn on_meter(aggregate: Aggregate) -> Target {
    let meter = Meter {
        id: "mtr_1".into(),
        customer: "cus_1".into(),
    };
    Target {
        meter: Some(meter),
        ..target("feature:s", aggregate, "si_1", 0)
    }
}

/// Reports units, and lets the sender send them.
fn sent(world: &mut World, target: &Target, n: i64) {
    let report = add(target, n);
    world.targets.insert(target.feature.clone(), target.clone());
    let answer = world.submit(&Event::Report(report)).expect("a disk");
    answer.expect("usage that is accepted");
    for _ in 0..2 {
        world.advance(MINUTE);
        world.deliver(None, Fault::None);
    }
}

fn report_dropped(world: &mut World) -> Answer {
    let dropped = Event::Dropped(world.disk.first().id);
    let answer = world.submit(&dropped).expect("a disk");
    answer.expect("the total is there")
}

fn compare(world: &mut World) {
    world.advance(5 * MINUTE);
    world.deliver(None, Fault::None);
}

#[test]
fn what_the_meter_lacks_is_parked_and_sent_again() {
    let target = on_meter(Aggregate::Sum);
    let mut world = World::new();
    sent(&mut world, &target, 10);
    sent(&mut world, &target, 7);
    world.meters.drop_last();
    assert_eq!(report_dropped(&mut world), Answer::Done);
    // Nothing is sent before the comparison.
    sent(&mut world, &target, 5);
    assert_eq!(world.disk.first().delivery.told, 17);
    compare(&mut world);
    let parked = world.disk.first().clone();
    assert_eq!((parked.n, parked.delivery.told), (22, 10));
    assert!(parked.parked.is_some());
    // Stripe may only have been late, so another report does not send it again.
    sent(&mut world, &target, 0);
    let waits = world.disk.first();
    assert!(waits.parked.is_some() && waits.delivery.told == 10);
    // It is reported again.
    assert_eq!(report_dropped(&mut world), Answer::Ignored);
    let retry = world.submit(&Event::Retry(parked.id));
    retry.expect("a disk").expect("it is parked");
    sent(&mut world, &target, 1);
    assert_eq!(report_dropped(&mut world), Answer::Done);
    compare(&mut world);
    let total = world.disk.first();
    assert_eq!((total.parked.as_ref(), total.delivery.told), (None, 23));
    let meter = target.meter.expect("it has one");
    let billed = world.meters.billed(&meter, period(0), Aggregate::Sum);
    assert_eq!(billed, 23);
}

#[test]
fn a_level_that_the_meter_lacks_is_parked() {
    for (level, later) in [(5, 3), (3, 5)] {
        let target = on_meter(Aggregate::Last);
        let mut world = World::new();
        sent(&mut world, &target, level);
        sent(&mut world, &target, later);
        world.meters.drop_last();
        report_dropped(&mut world);
        compare(&mut world);
        let total = world.disk.first();
        assert_eq!((total.n, total.delivery.told), (later, level));
        assert!(total.parked.is_some());
    }
}

/// A late or an unasked answer, and one about what is not on a meter, change nothing.
#[test]
fn other_totals_go_on() {
    let mut world = World::new();
    let classic = target("feature:s", Aggregate::Sum, "si_1", 0);
    sent(&mut world, &classic, 10);
    assert_eq!(report_dropped(&mut world), Answer::Ignored);
    let mut world = World::new();
    let target = on_meter(Aggregate::Sum);
    sent(&mut world, &target, 10);
    let total = world.disk.first().clone();
    let counted = |number| Event::Counted {
        total: total.id,
        number,
        value: 3,
    };
    let number = total.delivery.number;
    let unasked = world.submit(&counted(number)).expect("a disk");
    assert_eq!(unasked, Ok(Answer::Ignored));
    report_dropped(&mut world);
    let late = world.submit(&counted(number - 1)).expect("a disk");
    assert_eq!(late, Ok(Answer::Ignored));
    compare(&mut world);
    let total = world.disk.first();
    assert_eq!((total.delivery.told, total.delivery.check), (10, Check::No));
    assert!(total.parked.is_none());
}

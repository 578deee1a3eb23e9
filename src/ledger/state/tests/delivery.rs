//! Single cases: deliveries to Stripe, and refused deliveries.

use super::world::{Fault, World};
use super::*;

fn sum(number: i64) -> Target {
    target("feature:s", Aggregate::Sum, "si_1", number)
}

/// A world in which `n` units of the target are used, and its item is adopted.
fn reported(target: &Target, n: i64) -> World {
    let mut world = World::new();
    report(&mut world, add(target, n));
    world.advance(30 * SECOND);
    world.deliver(None, Fault::None);
    world
}

fn report(world: &mut World, report: Report) {
    let target = report.target.clone();
    world.targets.insert(target.feature.clone(), target);
    let answer = world.submit(&Event::Report(report)).expect("a disk");
    answer.expect("usage that is accepted");
}

fn first(world: &World) -> &Total {
    world.disk.first()
}

fn at_stripe(world: &World, number: i64) -> i64 {
    let total = first(world);
    let summary = &world.stripe;
    summary.summary(&total.item, period(number), total.aggregate)
}

#[test]
fn many_reports_are_one_set_at_one_second() {
    let mut world = reported(&sum(0), 5);
    world.deliver(None, Fault::None);
    let timestamp = first(&world).delivery.timestamp.expect("a second");
    assert_eq!(timestamp, world.now.seconds());
    for n in [1, 2, 3, -4] {
        report(&mut world, add(&sum(0), n));
    }
    let before = world.stripe.calls;
    world.advance(29 * SECOND);
    world.deliver(None, Fault::None);
    assert_eq!(world.stripe.calls, before, "it waits for more reports");
    world.advance(SECOND);
    world.deliver(None, Fault::None);
    world.deliver(None, Fault::None);
    assert_eq!(world.stripe.calls, before + 1);
    assert_eq!(at_stripe(&world, 0), 7);
    assert_eq!(first(&world).delivery.timestamp, Some(timestamp));
    assert!(!first(&world).is_undelivered());
}

#[test]
fn deliveries_do_not_wait_when_the_item_is_about_to_end() {
    let gone = START.plus(PERIOD / 2);
    let target = Target {
        item_end: Some(gone),
        ..sum(0)
    };
    let mut world = reported(&target, 1);
    world.deliver(None, Fault::None);
    for (before, delivered) in [(3 * MINUTE, 1), (2 * MINUTE, 3), (0, 3)] {
        world.advance(gone.millis() - before - world.now.millis());
        if delivered == 1 {
            report(&mut world, add(&target, 2));
        }
        world.deliver(None, Fault::None);
        assert_eq!(at_stripe(&world, 0), delivered, "{before} before");
        let timestamp = first(&world).delivery.timestamp.expect("a second");
        assert!(timestamp < gone.seconds());
    }
}

#[test]
fn sets_avoid_the_first_second_and_the_end_of_a_period() {
    for (now, timestamp) in [(0, 1), (500, 1), (PERIOD - 1, PERIOD / SECOND - 1)] {
        let mut world = World::new();
        world.now = START.plus(now);
        report(&mut world, add(&sum(0), 5));
        let org = Some(Org::from("org:a"));
        world.deliver(org.clone(), Fault::None);
        world.advance(2 * MINUTE);
        world.deliver(org, Fault::None);
        let chosen = first(&world).delivery.timestamp.expect("a second");
        // Stripe's time is used if it is within the period.
        let expected = (now + 2 * MINUTE) / SECOND;
        let expected = expected.clamp(timestamp, PERIOD / SECOND - 1);
        assert_eq!(chosen, START.seconds() + expected);
        assert_eq!(at_stripe(&world, 0), 5);
    }
}

#[test]
fn a_set_without_an_answer_is_repeated_before_anything_newer() {
    for fault in [
        Fault::AnswerLost,
        Fault::Slow,
        Fault::Dies,
        Fault::Fails(true),
    ] {
        let mut world = reported(&sum(0), 5);
        let sealed = |world: &mut World| {
            world.advance(30 * SECOND);
            let mut sets = world.seal(None).sets;
            sets.pop().expect("a set")
        };
        let first = format!("set:si_1:1:1:{}", world.now.millis());
        world.deliver(None, fault);
        report(&mut world, add(&sum(0), 1));
        let repeated = sealed(&mut world);
        assert_eq!((repeated.quantity, repeated.key), (5, first));
        world.advance(20 * SECOND);
        world.arrive();
        world.deliver(None, Fault::None);
        assert_eq!(at_stripe(&world, 0), 5);
        let newer = sealed(&mut world);
        assert_eq!((newer.quantity, newer.number), (6, 2), "{fault:?}");
    }
}

#[test]
fn a_failure_that_stripe_keeps_is_followed_by_a_newer_set() {
    let mut world = reported(&sum(0), 5);
    world.deliver(None, Fault::Fails(false));
    world.advance(20 * SECOND);
    world.deliver(None, Fault::None);
    assert_eq!(at_stripe(&world, 0), 0, "the same key has the same answer");
    world.advance(30 * SECOND);
    world.deliver(None, Fault::None);
    assert_eq!(at_stripe(&world, 0), 5);
}

#[test]
fn a_set_open_for_too_long_is_settled_by_the_summary() {
    let mut world = reported(&sum(0), 5);
    world.deliver(None, Fault::Slow);
    report(&mut world, add(&sum(0), 1));
    world.advance(20 * HOUR + SECOND);
    assert_eq!(world.seal(None).summaries.len(), 1);
    for _ in 0..3 {
        world.advance(30 * SECOND);
        world.deliver(None, Fault::None);
    }
    assert_eq!(at_stripe(&world, 0), 6);
    let delivery = &first(&world).delivery;
    assert_eq!((delivery.number, delivery.check), (2, Check::No));
}

#[test]
fn an_item_with_usage_is_adopted() {
    for (aggregate, used, delivered) in [
        (Aggregate::Sum, 17, 22),
        (Aggregate::Max, 12, 12),
        (Aggregate::Last, 5, 5),
        (Aggregate::Perpetual, 5, 5),
    ] {
        let target = target("feature:f", aggregate, "si_1", 0);
        let mut world = World::new();
        world.stripe.record(&target.item, world.now.plus(-1000), 12);
        report(&mut world, add(&target, 5));
        world.advance(30 * SECOND);
        world.deliver(None, Fault::None);
        let start = target.period.start;
        let figure = world.state.used(&target.org, &target.feature, start);
        assert_eq!(figure.n, used, "{aggregate:?}");
        world.advance(30 * SECOND);
        world.deliver(None, Fault::None);
        let delivered = if aggregate == Aggregate::Sum {
            delivered - 5
        } else {
            delivered
        };
        assert_eq!(at_stripe(&world, 0), delivered, "{aggregate:?}");
    }
}

/// A report of usage on an item that has usage already, which the ledger has not read.
#[test]
fn a_level_can_be_lowered_before_it_is_adopted_and_a_maximum_of_others_cannot() {
    for (aggregate, lowered) in [
        (Aggregate::Max, Err(Refusal::TooLow { least: 12 })),
        (Aggregate::Last, Ok(7)),
        (Aggregate::Perpetual, Ok(7)),
    ] {
        let target = target("feature:f", aggregate, "si_1", 0);
        let mut world = World::new();
        world.stripe.record(&target.item, world.now.plus(-1000), 12);
        let mut change = |change: Change| {
            let report = Report {
                change,
                recorded: 12,
                ..add(&target, 0)
            };
            let start = target.period.start;
            let answer = world.submit(&Event::Report(report)).expect("a disk");
            answer.map(|_| world.state.used(&target.org, &target.feature, start).n)
        };
        assert_eq!(change(Change::Add(-5)), lowered, "{aggregate:?}");
        if aggregate == Aggregate::Max {
            assert_eq!(change(Change::SetTotal(5)), lowered);
            assert_eq!(change(Change::Add(20)), Ok(20));
            assert_eq!(change(Change::SetTotal(11)), lowered);
            assert_eq!(change(Change::Add(-6)), Ok(14));
            assert_eq!(change(Change::Add(-3)), lowered);
        } else {
            // The second one finds the level that the first one left.
            assert_eq!(change(Change::Add(-1)), Ok(6), "{aggregate:?}");
            let too_low = Err(Refusal::TooLow { least: 0 });
            assert_eq!(change(Change::Add(-7)), too_low, "{aggregate:?}");
        }
        for _ in 0..3 {
            world.advance(30 * SECOND);
            world.deliver(None, Fault::None);
        }
        let total = first(&world);
        assert_eq!(at_stripe(&world, 0), total.billable(), "{aggregate:?}");
        world.disk.verify();
    }
}

#[test]
fn an_existing_level_is_adopted() {
    let target = target("feature:f", Aggregate::Last, "si_1", 0);
    let mut world = World::new();
    world.stripe.record(&target.item, world.now, 12);
    // A total without a level is opened by usage of 0 that is moved into its period.
    report(&mut world, add(&target, 0));
    world.forget_level();
    world.advance(30 * SECOND);
    world.deliver(None, Fault::None);
    assert_eq!(first(&world).n, 12);
    assert!(!first(&world).is_undelivered());
    world.disk.verify();
}

#[test]
fn usage_recorded_by_others_counts_and_a_level_is_set_again() {
    for (aggregate, used) in [
        (Aggregate::Sum, 12),
        (Aggregate::Max, 7),
        (Aggregate::Last, 5),
        (Aggregate::Perpetual, 5),
    ] {
        let target = target("feature:f", aggregate, "si_1", 0);
        let mut world = reported(&target, 5);
        world.deliver(None, Fault::None);
        world.advance(MINUTE);
        world.stripe.record(&target.item, world.now, 7);
        let value = at_stripe(&world, 0);
        let total = first(&world).id;
        let read = |number| Event::Summary {
            total,
            number,
            value,
        };
        // A read that began before the last set was answered is ignored.
        assert_eq!(world.submit(&read(0)), Some(Ok(Answer::Ignored)));
        world.submit(&read(1));
        let start = target.period.start;
        let figure = world.state.used(&target.org, &target.feature, start);
        assert_eq!(figure.n, used, "{aggregate:?}");
        world.advance(MINUTE);
        world.deliver(None, Fault::None);
        assert_eq!(at_stripe(&world, 0), used, "{aggregate:?}");
    }
}

#[test]
fn late_usage_is_billed_in_the_next_period() {
    let mut world = reported(&sum(0), 5);
    world.deliver(None, Fault::None);
    report(&mut world, add(&sum(0), 3));
    world.now = period(0).end.plus(HOUR);
    report(&mut world, add(&sum(1), 1));
    for _ in 0..4 {
        world.advance(MINUTE);
        world.deliver(None, Fault::None);
    }
    assert_eq!((at_stripe(&world, 0), at_stripe(&world, 1)), (5, 4));
    let kinds: Vec<_> = world
        .disk
        .entries
        .iter()
        .map(|one| (one.kind, one.n))
        .collect();
    assert!(kinds.contains(&(EntryKind::LateOut, -3)) && kinds.contains(&(EntryKind::LateIn, 3)));
    world.disk.verify();
}

#[test]
fn usage_that_cannot_be_billed_is_parked() {
    let mut world = reported(&sum(0), 5);
    world.stripe.deleted.insert("si_1".into());
    world.deliver(None, Fault::None);
    let parked = first(&world).parked.clone().expect("a refusal");
    assert_eq!(&*parked.reason, "no longer accepted");
    assert_eq!(world.seal(None), Sealed::default());
    world.crash();
    // An operator has fixed the cause and retries.
    world.stripe.deleted.clear();
    let id = first(&world).id;
    world.submit(&Event::Retry(id));
    world.deliver(None, Fault::None);
    assert_eq!(at_stripe(&world, 0), 5);
    // Or writes it off.
    report(&mut world, add(&sum(0), 2));
    let write_off = Event::WriteOff(id);
    assert_eq!(world.submit(&write_off), Some(Err(Refusal::NotParked)));
    world.stripe.deleted.insert("si_1".into());
    world.advance(MINUTE);
    world.deliver(None, Fault::None);
    world.submit(&write_off);
    assert_eq!(
        (first(&world).n, first(&world).is_undelivered()),
        (5, false)
    );
    world.disk.verify();
}

#[test]
fn a_period_is_settled_with_both_figures() {
    let mut world = reported(&sum(0), 5);
    let total = first(&world).id;
    let settle = |billed| Event::Settle {
        total,
        billed,
        is_final: true,
    };
    world.now = period(0).end.plus(-MINUTE);
    world.deliver(None, Fault::None);
    assert_eq!(world.submit(&settle(5)), Some(Err(Refusal::NotSettleable)));
    world.now = period(0).end.plus(HOUR);
    let answer = |billed| Answer::Settled {
        expected: 5,
        billed,
    };
    assert_eq!(world.submit(&settle(4)), Some(Ok(answer(4))));
    assert_eq!(first(&world).settled, Some(4));
    assert_eq!(world.seal(None), Sealed::default());
}

#[test]
fn a_clock_that_was_set_back_does_not_stop_deliveries() {
    let mut world = reported(&sum(0), 5);
    world.deliver(None, Fault::AnswerLost);
    report(&mut world, add(&sum(0), 1));
    world.now = START.plus(MINUTE);
    world.deliver(None, Fault::None);
    world.advance(30 * SECOND);
    world.deliver(None, Fault::None);
    assert_eq!(at_stripe(&world, 0), 6);
}

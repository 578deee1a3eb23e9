//! Single cases: accepting, levels, plan changes.

use super::world::{Fault, World};
use super::*;

pub(super) fn sum() -> Target {
    target("feature:s", Aggregate::Sum, "si_1", 0)
}

fn accept(world: &mut World, report: Report) -> Result<Answer, Refusal> {
    world.submit(&Event::Report(report)).expect("a disk")
}

fn used(world: &World, target: &Target) -> i64 {
    let start = target.period.start;
    world.state.used(&target.org, &target.feature, start).n
}

#[test]
fn refunds_and_clobbers_lower_a_total_to_zero_at_most() {
    let mut world = World::new();
    let too_low = Err(Refusal::TooLow { least: 0 });
    for (report, result, n) in [
        (add(&sum(), 5), Ok(()), 5),
        (add(&sum(), -3), Ok(()), 2),
        (add(&sum(), -3), too_low, 2),
        (clobber(&sum(), 9), Ok(()), 9),
        (clobber(&sum(), 4), Ok(()), 4),
        (clobber(&sum(), -1), too_low, 4),
        (add(&sum(), i64::MAX), Err(Refusal::TooLarge), 4),
        (clobber(&sum(), 0), Ok(()), 0),
        (add(&sum(), -1), too_low, 0),
    ] {
        let change = report.change;
        assert_eq!(accept(&mut world, report).map(drop), result, "{change:?}");
        assert_eq!(used(&world, &sum()), n, "after {change:?}");
        world.disk.verify();
    }
}

#[test]
fn each_aggregate_has_its_own_arithmetic() {
    for (aggregate, result) in [
        (Aggregate::Sum, 14),
        (Aggregate::Max, 7),
        (Aggregate::Last, 4),
        (Aggregate::Perpetual, 4),
    ] {
        let mut world = World::new();
        let target = target("feature:f", aggregate, "si_1", 0);
        for n in [3, 7, 4] {
            accept(&mut world, add(&target, n)).expect("usage");
        }
        assert_eq!(used(&world, &target), result, "{aggregate:?}");
        // An earlier level changes nothing; a larger maximum does.
        let mut earlier = add(&target, 9);
        earlier.at = Some(world.now.plus(-MINUTE));
        accept(&mut world, earlier).expect("usage");
        let result = match aggregate {
            Aggregate::Sum => 23,
            Aggregate::Max => 9,
            _ => 4,
        };
        assert_eq!(used(&world, &target), result, "{aggregate:?}");
        // A clobber lowers any aggregate.
        accept(&mut world, clobber(&target, 2)).expect("usage");
        assert_eq!(used(&world, &target), 2, "{aggregate:?}");
        accept(&mut world, add(&target, -2)).expect("usage");
        assert_eq!(used(&world, &target), 0, "{aggregate:?}");
    }
}

#[test]
fn a_key_counts_once_and_belongs_to_its_body_and_org() {
    let mut world = World::new();
    let keyed = |body: u8, org: &str| {
        let mut report = add(&sum(), 5);
        report.target.org = org.into();
        report.target.item = format!("si_{org}").as_str().into();
        report.key = Some(Key {
            text: "k".into(),
            body: [body; 16],
        });
        report
    };
    let first = accept(&mut world, keyed(1, "org:a"));
    let Ok(Answer::Accepted { entry, .. }) = first else {
        panic!("{first:?}");
    };
    world.crash();
    let again = Answer::Accepted {
        entry,
        repeated: true,
    };
    assert_eq!(accept(&mut world, keyed(1, "org:a")), Ok(again));
    let other_body = accept(&mut world, keyed(2, "org:a"));
    assert_eq!(other_body, Err(Refusal::KeyReused));
    accept(&mut world, keyed(2, "org:b")).expect("a key of its own");
    assert_eq!(used(&world, &sum()), 5);
    assert_eq!(world.disk.entries.len(), 2);
}

#[test]
fn usage_is_accepted_while_its_period_can_be_billed() {
    let second = target("feature:s", Aggregate::Sum, "si_1", 1);
    let boundary = second.period.start;
    for (now, at, result) in [
        (HOUR, HOUR + 5 * MINUTE, Ok(1)),
        (HOUR, HOUR + 5 * MINUTE + 1, Err(Refusal::TooFarAhead)),
        (HOUR, 0, Ok(1)),
        (HOUR, -1, Err(Refusal::OutsidePeriod)),
        (4 * MINUTE - 1, -1, Ok(0)),
        (4 * MINUTE - 1, -PERIOD, Ok(0)),
        (4 * MINUTE - 1, -PERIOD - 1, Err(Refusal::OutsidePeriod)),
        (4 * MINUTE, -1, Err(Refusal::OutsidePeriod)),
        (PERIOD - 1, PERIOD, Err(Refusal::OutsidePeriod)),
        // The caller has not noticed yet that the period is over.
        (PERIOD + 4 * MINUTE - 1, PERIOD - 1, Ok(1)),
        (PERIOD + 4 * MINUTE, PERIOD - 1, Err(Refusal::OutsidePeriod)),
    ] {
        let mut world = World::new();
        world.now = boundary.plus(now);
        let mut report = add(&second, 1);
        report.at = Some(boundary.plus(at));
        let result_is = accept(&mut world, report).map(|_| used(&world, &second));
        assert_eq!(result_is, result, "{at} at {now}");
    }
}

#[test]
fn a_plan_change_keeps_what_is_used_and_moves_levels() {
    for aggregate in [
        Aggregate::Sum,
        Aggregate::Max,
        Aggregate::Last,
        Aggregate::Perpetual,
    ] {
        let mut world = World::new();
        let old = target("feature:f", aggregate, "si_1", 0);
        let new = target("feature:f", aggregate, "si_2", 0);
        accept(&mut world, add(&old, 7)).expect("usage");
        world.crash();
        assert_eq!(used(&world, &old), 7);
        accept(&mut world, add(&new, 9)).expect("usage");
        let (all, left) = match aggregate {
            Aggregate::Sum => (16, 7),
            _ => (9, 0),
        };
        assert_eq!(used(&world, &new), all, "{aggregate:?}");
        assert_eq!(world.disk.first().n, left, "{aggregate:?}");
        // A clobber or a refund cannot take back what the old item was billed for.
        let least = if aggregate == Aggregate::Sum { 7 } else { 0 };
        let refund = accept(&mut world, add(&new, -10));
        assert_eq!(refund.expect_err("too much"), Refusal::TooLow { least });
        let low = accept(&mut world, clobber(&new, 3));
        assert_eq!(low.is_err(), aggregate == Aggregate::Sum, "{low:?}");
        world.disk.verify();
    }
}

/// The total of an item in the period with this number.
fn total_of<'a>(world: &'a World, item: &str, number: i64) -> &'a Total {
    let mut totals = world.disk.totals.values();
    let is_wanted = |total: &&Total| total.item.as_str() == item && total.period == period(number);
    totals.find(is_wanted).expect("a total of the item")
}

#[test]
fn a_level_that_moves_stays_where_it_was_billed() {
    let mut world = World::new();
    let old = target("feature:f", Aggregate::Perpetual, "si_1", 0);
    accept(&mut world, add(&old, 7)).expect("usage");
    world.advance(MINUTE);
    world.deliver(None, Fault::None);
    world.deliver(None, Fault::None);
    world.now = period(1).start.plus(MINUTE);
    let new = target("feature:f", Aggregate::Perpetual, "si_2", 1);
    accept(&mut world, add(&new, -2)).expect("usage");
    world.crash();
    assert_eq!(used(&world, &new), 5);
    assert_eq!(total_of(&world, "si_1", 0).n, 7);
    assert!(!total_of(&world, "si_1", 0).is_undelivered());
    let left = total_of(&world, "si_1", 1);
    assert_eq!((left.n, left.delivery.delivered), (0, 7));
    // The old item is gone, and the rest of its level with it.
    world.stripe.deleted.insert("si_1".into());
    for _ in 0..3 {
        world.advance(MINUTE);
        world.deliver(None, Fault::None);
    }
    assert!(!total_of(&world, "si_1", 1).is_undelivered());
    assert_eq!(total_of(&world, "si_1", 1).parked, None);
    world.disk.verify();
}

#[test]
fn a_maximum_is_no_level_of_a_later_period() {
    let mut world = World::new();
    let old = target("feature:f", Aggregate::Max, "si_1", 0);
    accept(&mut world, add(&old, 7)).expect("usage");
    world.now = period(1).start.plus(MINUTE);
    let new = target("feature:f", Aggregate::Perpetual, "si_2", 1);
    let refund = accept(&mut world, add(&new, -2));
    assert_eq!(refund, Err(Refusal::TooLow { least: 0 }));
}

/// Another subscription supersedes the one that has the level, in its period or in a later one.
#[test]
fn a_level_moves_to_another_subscription() {
    for later in [0, 1] {
        for newer in [None, Some(3)] {
            let mut world = World::new();
            let mut old = target("feature:f", Aggregate::Perpetual, "si_1", 0);
            accept(&mut world, add(&old, 7)).expect("usage");
            world.advance(MINUTE);
            world.deliver(None, Fault::None);
            world.deliver(None, Fault::None);
            world.now = period(later).start.plus(2 * HOUR);
            let bought = world.now.plus(-MINUTE);
            let new = Target {
                since: bought,
                item_start: bought,
                period: Period {
                    start: bought,
                    end: bought.plus(PERIOD),
                },
                ..target("feature:f", Aggregate::Perpetual, "si_2", 0)
            };
            if let Some(n) = newer {
                accept(&mut world, add(&new, n)).expect("usage");
                world.advance(MINUTE);
                world.deliver(None, Fault::None);
                world.deliver(None, Fault::None);
            }
            old.period = period(later);
            let taken = Event::TakeOver {
                target: new.clone(),
                n: 7,
                timestamp: world.now.seconds(),
                from: Some(old),
            };
            assert_eq!(world.submit(&taken), Some(Ok(Answer::Done)));
            // The change was interrupted, and is made again.
            assert_eq!(world.submit(&taken), Some(Ok(Answer::Ignored)));
            world.crash();
            assert_eq!(used(&world, &new), newer.unwrap_or(7));
            assert_eq!(total_of(&world, "si_1", later).n, 0);
            if later > 0 {
                assert_eq!(total_of(&world, "si_1", 0).n, 7);
            }
            assert_eq!(world.seal(Some("org:a".into())), Sealed::default());
            accept(&mut world, add(&new, -2)).expect("a refund");
            assert_eq!(used(&world, &new), newer.unwrap_or(7) - 2);
            world.disk.verify();
        }
    }
}

/// A regression that the model found.
#[test]
fn a_level_of_zero_keeps_its_time_when_it_moves() {
    let mut world = World::new();
    let old = target("feature:f", Aggregate::Last, "si_1", 0);
    let mut ahead = add(&old, 2);
    ahead.at = Some(world.now.plus(MINUTE));
    accept(&mut world, ahead).expect("usage");
    accept(&mut world, clobber(&old, 0)).expect("usage");
    let new = target("feature:f", Aggregate::Last, "si_2", 0);
    accept(&mut world, add(&new, 1)).expect("usage");
    assert_eq!(used(&world, &new), 0);
}

#[test]
fn only_a_perpetual_level_outlasts_its_period() {
    for aggregate in [Aggregate::Sum, Aggregate::Last, Aggregate::Perpetual] {
        let mut world = World::new();
        accept(
            &mut world,
            add(&target("feature:f", aggregate, "si_1", 0), 7),
        )
        .expect("usage");
        world.now = period(1).start.plus(MINUTE);
        let next = target("feature:f", aggregate, "si_1", 1);
        let stays = if aggregate == Aggregate::Perpetual {
            7
        } else {
            0
        };
        assert_eq!(used(&world, &next), stays);
        // A report for the last second of the old period carries over to the new one.
        let mut late = add(&next, 8);
        late.at = Some(period(0).end.plus(-SECOND));
        accept(&mut world, late).expect("usage");
        let stays = if aggregate == Aggregate::Perpetual {
            8
        } else {
            0
        };
        assert_eq!(used(&world, &next), stays);
        world.disk.verify();
    }
}

#[test]
fn a_level_reported_late_for_the_period_before_leaves_the_newer_one() {
    let mut world = World::new();
    world.now = START.plus(PERIOD);
    let target = target("feature:p", Aggregate::Perpetual, "si_1", 1);
    let mut ahead = add(&target, 3);
    ahead.at = Some(world.now.plus(MINUTE));
    accept(&mut world, ahead).expect("usage");
    let mut late = add(&target, 1);
    late.at = Some(world.now.plus(-MINUTE));
    accept(&mut world, late).expect("usage");
    assert_eq!(used(&world, &target), 3);
    let before = total_of(&world, "si_1", 0);
    assert_eq!(before.n, 1);
}

#[test]
fn a_total_is_refused_below_what_others_have_recorded_however_low_it_is() {
    for n in [4, 0, -1, i64::MIN] {
        let mut world = World::new();
        let report = Report {
            recorded: 5,
            ..clobber(&sum(), n)
        };
        let refused = accept(&mut world, report);
        assert_eq!(refused, Err(Refusal::TooLow { least: 5 }), "{n}");
    }
}

#[test]
fn usage_is_refused_while_another_process_changes_the_plan_and_until_it_is_read_anew() {
    let mut state = State::load(Stored::default());
    let now = START.plus(MINUTE);
    let of_plan = |plan| Target {
        plan: PlanNumber(plan),
        ..sum()
    };
    let report = |plan, key: Option<&str>| {
        Event::Report(Report {
            key: key.map(|text| Key {
                text: text.into(),
                body: [0; 16],
            }),
            ..add(&of_plan(plan), 1)
        })
    };
    let reserve = |plan, id: &str| {
        Event::Reserve(Reserve {
            id: id.into(),
            target: of_plan(plan),
            n: 1,
            ttl: MINUTE,
            on_test_clock: false,
            limit: None,
            commit: false,
        })
    };
    let commit = |plan| Event::Commit {
        id: "first".into(),
        n: None,
        target: of_plan(plan),
    };
    for (stored, plan, is_accepted) in [
        (0, 0, true),
        (1, 0, false),
        // The target was read during a plan change.
        (1, 1, false),
        (2, 0, false),
        (2, 1, false),
        (2, 2, true),
    ] {
        state.know_plans([("org:a".into(), PlanNumber(stored))]);
        let accepted = state.apply(&report(plan, None), now);
        assert_eq!(accepted.is_ok(), is_accepted, "{stored}, {plan}");
        let id = if (stored, plan) == (0, 0) {
            "first"
        } else {
            "next"
        };
        let reserved = state.apply(&reserve(plan, id), now);
        assert_eq!(reserved.is_ok(), is_accepted, "{stored}, {plan}");
        if !is_accepted {
            assert_eq!(accepted, Err(Refusal::PlanChanged));
            assert_eq!(reserved, Err(Refusal::PlanChanged));
            assert_eq!(state.apply(&commit(plan), now), Err(Refusal::PlanChanged));
        }
    }
    assert_eq!(state.apply(&commit(2), now), Ok(Answer::Committed(1)));
    // A report that was accepted before gets the same answer again.
    state.apply(&report(2, Some("key")), now).expect("accepted");
    state.know_plans([("org:a".into(), PlanNumber(3))]);
    let again = state.apply(&report(2, Some("key")), now);
    assert!(matches!(again, Ok(Answer::Accepted { repeated: true, .. })));
    assert_eq!(state.apply(&commit(2), now), Ok(Answer::Committed(1)));
}

//! Single cases of reservations.

use super::cases::sum;
use super::world::World;
use super::*;

fn reserve(id: &str, n: i64, ttl: i64) -> Event {
    Event::Reserve(Reserve {
        id: id.into(),
        target: sum(),
        n,
        ttl,
        on_test_clock: false,
        limit: Some(500),
        commit: false,
    })
}

#[test]
fn reservations_never_exceed_the_limit() {
    let mut world = World::new();
    let granted = (0..20).filter(|id| {
        let answer = world.submit(&reserve(&format!("rsv_{id}"), 75, MINUTE));
        matches!(
            answer,
            Some(Ok(Answer::Reserved {
                expires: Some(_),
                ..
            }))
        )
    });
    assert_eq!(granted.count(), 6);
    let held = |world: &World| {
        let used = world
            .state
            .used(&"org:a".into(), &"feature:s".into(), START);
        (used.n, used.reserved(world.now))
    };
    assert_eq!(held(&world), (0, 450));
    let commit = |id: &str, n| Event::Commit {
        id: id.into(),
        n,
        target: sum(),
    };
    for _ in 0..2 {
        let answer = world.submit(&commit("rsv_0", Some(50)));
        assert_eq!(answer, Some(Ok(Answer::Committed(50))));
        let answer = world.submit(&Event::Release("rsv_1".into()));
        assert_eq!(answer, Some(Ok(Answer::Done)));
        world.crash();
    }
    assert_eq!(held(&world), (50, 300));
    let ended = Some(Err(Refusal::ReservationEnded));
    assert_eq!(world.submit(&commit("rsv_0", Some(49))), ended);
    assert_eq!(world.submit(&commit("rsv_1", None)), ended);
    assert_eq!(world.submit(&Event::Release("rsv_0".into())), ended);
    // It expires by time alone, without an `Expire`.
    world.now = world.now.plus(MINUTE);
    assert_eq!(held(&world), (50, 0));
    assert_eq!(world.submit(&commit("rsv_2", None)), ended);
    assert_eq!(world.submit(&Event::Expire), Some(Ok(Answer::Expired(4))));
    assert_eq!(world.submit(&Event::Expire), Some(Ok(Answer::Expired(0))));
    assert_eq!(world.submit(&Event::Release("rsv_2".into())), ended);
    assert_eq!(held(&world), (50, 0));
    world.disk.verify();
}

#[test]
fn a_reservation_ends_with_its_period() {
    let mut world = World::new();
    world.now = period(0).end.plus(-SECOND);
    let answer = world.submit(&reserve("rsv_1", 75, HOUR));
    let expires = Some(period(0).end);
    let used = 75;
    assert_eq!(answer, Some(Ok(Answer::Reserved { expires, used })));
}

#[test]
fn an_expired_reservation_cannot_be_committed_by_a_slower_clock() {
    let mut world = World::new();
    let granted = |answer| {
        matches!(
            answer,
            Some(Ok(Answer::Reserved {
                expires: Some(_),
                ..
            }))
        )
    };
    assert!(granted(world.submit(&reserve("rsv_1", 450, MINUTE))));
    world.now = world.now.plus(5 * MINUTE);
    assert!(granted(world.submit(&reserve("rsv_2", 450, HOUR))));
    world.now = world.now.plus(-5 * MINUTE);
    let commit = Event::Commit {
        id: "rsv_1".into(),
        n: None,
        target: sum(),
    };
    let ended = Some(Err(Refusal::ReservationEnded));
    assert_eq!(world.submit(&commit), ended);
    let used = world
        .state
        .used(&"org:a".into(), &"feature:s".into(), START);
    assert_eq!((used.n, used.reserved(world.now)), (0, 450));
}

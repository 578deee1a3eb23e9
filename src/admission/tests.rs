use super::*;

fn bounds(server: usize, caller: usize) -> Bounds {
    Bounds {
        server,
        caller,
        bytes: 1000,
    }
}

/// As many requests as are let in.
fn all(places: &Places, share: &Share, bounds: Bounds) -> Vec<Admitted> {
    std::iter::from_fn(|| places.admit(share, None, bounds).ok()).collect()
}

#[test]
fn places_are_taken_and_given_back() {
    let (places, share, two) = (Places::default(), Share::default(), bounds(2, 2));
    let mut admitted = all(&places, &share, two);
    assert_eq!(admitted.len(), 2);
    let refused = |share: &Share, bounds| places.admit(share, None, bounds).map(drop);
    assert_eq!(refused(&share, two), Err(Refused::Server));
    admitted.pop();
    assert_eq!(refused(&share, bounds(2, 1)), Err(Refused::Caller));
    assert_eq!(refused(&share, two), Ok(()));
    assert_eq!(refused(&share, bounds(0, 0)), Err(Refused::Server));
}

#[test]
fn many_busy_callers_leave_places_to_the_next() {
    let (places, bounds) = (Places::default(), bounds(1024, 256));
    let mut busy = Vec::new();
    for caller in 0..5 {
        let admitted = all(&places, &Share::default(), bounds);
        assert!(!admitted.is_empty(), "caller {caller}");
        busy.push(admitted);
    }
    assert_eq!(busy[0].len(), 256);
    assert!(places.admit(&Share::default(), None, bounds).is_ok());
}

#[test]
fn many_busy_orgs_leave_places_to_the_next() {
    let (places, share, bounds) = (Places::default(), Share::default(), bounds(1024, 256));
    let mut busy = Vec::new();
    for org in ["org:a", "org:b", "org:c"] {
        let before = busy.len();
        loop {
            let admitted = places.admit(&share, None, bounds).expect("a place");
            if admitted.admission().for_org(org).is_err() {
                break;
            }
            busy.push(admitted);
        }
        assert!(busy.len() > before, "{org}");
    }
    let other = places.admit(&share, None, bounds).expect("a place");
    assert_eq!(other.admission().for_org("org:d"), Ok(()));
    drop(other);
    busy.clear();
    assert!(locked(&share.0).orgs.is_empty());
}

#[tokio::test]
async fn who_waits_has_no_place_and_gets_one_afterwards() {
    let (places, share, one) = (Places::default(), Share::default(), bounds(1, 1));
    let first = places.admit(&share, None, one).expect("a place");
    first.admission().for_org("org:a").expect("room");
    let waits = first.admission().wait(async {
        let second = places
            .admit(&share, None, one)
            .expect("the place of the first");
        second.admission().for_org("org:a").expect("room");
        let waits = second.admission().wait(async {});
        assert_eq!(waits.await, Err(Refused::Queue));
    });
    assert_eq!(waits.await, Ok(()));
    assert!(places.admit(&share, None, one).is_err());
    drop(first);
    assert_eq!(*locked(&places.taken), ServersTaken::default());
}

#[tokio::test]
async fn nobody_waits_once_the_server_stops() {
    let (places, share) = (Places::default(), Share::default());
    let admitted = places.admit(&share, None, bounds(1, 1)).expect("a place");
    let mut waits = Box::pin(admitted.admission().wait(std::future::pending::<()>()));
    assert!(futures::poll!(&mut waits).is_pending());
    places.stopping.cancel();
    assert_eq!(waits.await, Err(Refused::Stopping));
    let late = admitted.admission().wait(async {});
    assert_eq!(late.await, Err(Refused::Stopping));
}

#[test]
fn the_bytes_of_all_bodies_are_bounded_and_no_caller_takes_them_all() {
    let (places, bounds) = (Places::default(), bounds(100, 50));
    let (one, other) = (Share::default(), Share::default());
    let buffers = |share: &Share| {
        let admitted = places.admit(share, None, bounds).expect("a place");
        let buffer = || {
            let mut buffer = admitted.admission().buffer();
            buffer.grow_to(100).map(|()| buffer)
        };
        std::iter::from_fn(|| buffer().ok()).collect::<Vec<_>>()
    };
    let ones = buffers(&one);
    assert_eq!(ones.len(), 7, "three times as much as is left");
    assert!(!buffers(&other).is_empty());
    let admitted = places.admit(&one, None, bounds).expect("a place");
    let mut large = admitted.admission().buffer();
    assert_eq!(large.grow_to(1001), Err(Refused::Bytes));
    drop(ones);
    assert_eq!(large.grow_to(1000), Ok(()));
    drop(large);
    assert_eq!(locked(&places.taken).all.bytes, 0);
}

#[tokio::test]
async fn a_request_that_is_gone_takes_no_place_again() {
    let (places, share) = (Places::default(), Share::default());
    let admitted = places.admit(&share, None, bounds(1, 1)).expect("a place");
    let admission = admitted.admission().clone();
    drop(admitted);
    assert_eq!(admission.wait(async {}).await, Ok(()));
    assert_eq!(locked(&places.taken).all.working, 0);
}

#[test]
fn one_address_with_many_keys_leaves_room_to_others() {
    let (places, bounds) = (Places::default(), bounds(100, 50));
    let [one, other] = [1, 2].map(|last| Some(IpAddr::from([192, 0, 2, last])));
    let admit = |peer| places.admit(&Share::default(), peer, bounds);
    let ones: Vec<_> = std::iter::from_fn(|| admit(one).ok()).collect();
    assert_eq!(ones.len(), 75, "three times as many as are left");
    assert_eq!(admit(one).map(drop), Err(Refused::Peer));
    let others = admit(other).expect("a place");
    let unbounded = admit(None).expect("a place");
    let buffers: Vec<_> = ones
        .iter()
        .map_while(|admitted| {
            let mut buffer = admitted.admission().buffer();
            buffer.grow_to(100).ok().map(|()| buffer)
        })
        .collect();
    assert_eq!(buffers.len(), 7, "three times as much as is left");
    for admitted in [&others, &unbounded] {
        assert_eq!(admitted.admission().buffer().grow_to(100), Ok(()));
    }
    drop((ones, others, unbounded, buffers));
    assert_eq!(*locked(&places.taken), ServersTaken::default());
}

#[test]
fn who_shares_with_nobody_may_have_all_from_one_address() {
    let (places, share, all) = (Places::default(), Share::default(), bounds(8, 8));
    let peer = Some(IpAddr::from([192, 0, 2, 1]));
    let admitted: Vec<_> = std::iter::from_fn(|| places.admit(&share, peer, all).ok()).collect();
    assert_eq!(admitted.len(), 8);
    let mut buffer = admitted[0].admission().buffer();
    assert_eq!(buffer.grow_to(1000), Ok(()));
}

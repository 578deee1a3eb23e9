use super::*;

fn limits(server: usize, caller: usize) -> AdmissionLimits {
    AdmissionLimits {
        server,
        caller,
        bytes: 1000,
    }
}

/// Admits requests until one is refused.
fn all(slots: &RequestSlots, caller: &CallerSlots, limits: AdmissionLimits) -> Vec<Admitted> {
    std::iter::from_fn(|| slots.admit(caller, None, limits).ok()).collect()
}

#[test]
fn slots_are_taken_and_given_back() {
    let (slots, caller, two) = (
        RequestSlots::default(),
        CallerSlots::default(),
        limits(2, 2),
    );
    let mut admitted = all(&slots, &caller, two);
    assert_eq!(admitted.len(), 2);
    let refused = |caller: &CallerSlots, limits| slots.admit(caller, None, limits).map(drop);
    assert_eq!(refused(&caller, two), Err(AdmissionError::Server));
    admitted.pop();
    assert_eq!(refused(&caller, limits(2, 1)), Err(AdmissionError::Caller));
    assert_eq!(refused(&caller, two), Ok(()));
    assert_eq!(refused(&caller, limits(0, 0)), Err(AdmissionError::Server));
}

#[test]
fn many_busy_callers_leave_slots_to_the_next() {
    let (slots, limits) = (RequestSlots::default(), limits(1024, 256));
    let mut busy = Vec::new();
    for caller in 0..5 {
        let admitted = all(&slots, &CallerSlots::default(), limits);
        assert!(!admitted.is_empty(), "caller {caller}");
        busy.push(admitted);
    }
    assert_eq!(busy[0].len(), 256);
    assert!(slots.admit(&CallerSlots::default(), None, limits).is_ok());
}

#[test]
fn many_busy_orgs_leave_slots_to_the_next() {
    let (slots, caller, limits) = (
        RequestSlots::default(),
        CallerSlots::default(),
        limits(1024, 256),
    );
    let mut busy = Vec::new();
    for org in ["org:a", "org:b", "org:c"] {
        let before = busy.len();
        loop {
            let admitted = slots.admit(&caller, None, limits).expect("a slot");
            if admitted.admission().count_for_org(org).is_err() {
                break;
            }
            busy.push(admitted);
        }
        assert!(busy.len() > before, "{org}");
    }
    let other = slots.admit(&caller, None, limits).expect("a slot");
    assert_eq!(other.admission().count_for_org("org:d"), Ok(()));
    drop(other);
    busy.clear();
    assert!(locked(&caller.0).orgs.is_empty());
}

#[tokio::test]
async fn a_waiting_request_has_no_slot_and_gets_one_afterwards() {
    let (slots, caller, one) = (
        RequestSlots::default(),
        CallerSlots::default(),
        limits(1, 1),
    );
    let first = slots.admit(&caller, None, one).expect("a slot");
    first.admission().count_for_org("org:a").expect("room");
    let waits = first.admission().wait(async {
        let second = slots
            .admit(&caller, None, one)
            .expect("the place of the first");
        second.admission().count_for_org("org:a").expect("room");
        let waits = second.admission().wait(async {});
        assert_eq!(waits.await, Err(AdmissionError::Queue));
    });
    assert_eq!(waits.await, Ok(()));
    assert!(slots.admit(&caller, None, one).is_err());
    drop(first);
    assert_eq!(*locked(&slots.counts), ServerCounts::default());
}

#[tokio::test]
async fn no_request_waits_once_the_server_stops() {
    let (slots, caller) = (RequestSlots::default(), CallerSlots::default());
    let admitted = slots.admit(&caller, None, limits(1, 1)).expect("a slot");
    let mut waits = Box::pin(admitted.admission().wait(std::future::pending::<()>()));
    assert!(futures::poll!(&mut waits).is_pending());
    slots.stopping.cancel();
    assert_eq!(waits.await, Err(AdmissionError::Stopping));
    let late = admitted.admission().wait(async {});
    assert_eq!(late.await, Err(AdmissionError::Stopping));
}

#[test]
fn body_bytes_are_bounded_and_shared_among_callers() {
    let (slots, limits) = (RequestSlots::default(), limits(100, 50));
    let (one, other) = (CallerSlots::default(), CallerSlots::default());
    let buffers = |caller: &CallerSlots| {
        let admitted = slots.admit(caller, None, limits).expect("a slot");
        let buffer = || {
            let mut buffer = admitted.admission().buffer();
            buffer.grow_to(100).map(|()| buffer)
        };
        std::iter::from_fn(|| buffer().ok()).collect::<Vec<_>>()
    };
    let ones = buffers(&one);
    assert_eq!(ones.len(), 7, "three times as much as is left");
    assert!(!buffers(&other).is_empty());
    let admitted = slots.admit(&one, None, limits).expect("a slot");
    let mut large = admitted.admission().buffer();
    assert_eq!(large.grow_to(1001), Err(AdmissionError::Bytes));
    drop(ones);
    assert_eq!(large.grow_to(1000), Ok(()));
    drop(large);
    assert_eq!(locked(&slots.counts).all.bytes, 0);
}

#[tokio::test]
async fn a_finished_request_takes_no_slot_again() {
    let (slots, caller) = (RequestSlots::default(), CallerSlots::default());
    let admitted = slots.admit(&caller, None, limits(1, 1)).expect("a slot");
    let admission = admitted.admission().clone();
    drop(admitted);
    assert_eq!(admission.wait(async {}).await, Ok(()));
    assert_eq!(locked(&slots.counts).all.running, 0);
}

#[test]
fn one_address_with_many_keys_leaves_room_to_others() {
    let (slots, limits) = (RequestSlots::default(), limits(100, 50));
    let [one, other] = [1, 2].map(|last| Some(IpAddr::from([192, 0, 2, last])));
    let admit = |peer| slots.admit(&CallerSlots::default(), peer, limits);
    let ones: Vec<_> = std::iter::from_fn(|| admit(one).ok()).collect();
    assert_eq!(ones.len(), 75, "three times as many as are left");
    assert_eq!(admit(one).map(drop), Err(AdmissionError::Peer));
    let others = admit(other).expect("a slot");
    let unbounded = admit(None).expect("a slot");
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
    assert_eq!(*locked(&slots.counts), ServerCounts::default());
}

#[test]
fn a_sole_caller_may_use_all_slots_from_one_address() {
    let (slots, caller, all) = (
        RequestSlots::default(),
        CallerSlots::default(),
        limits(8, 8),
    );
    let peer = Some(IpAddr::from([192, 0, 2, 1]));
    let admitted: Vec<_> = std::iter::from_fn(|| slots.admit(&caller, peer, all).ok()).collect();
    assert_eq!(admitted.len(), 8);
    let mut buffer = admitted[0].admission().buffer();
    assert_eq!(buffer.grow_to(1000), Ok(()));
}

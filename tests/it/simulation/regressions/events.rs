//! Lists that once failed with two servers without a ledger, and plans on meters.

use super::*;

fn replay(list: &[Op]) {
    replay_on(Usage::Events, list);
}

/// One server sent the first level. Stripe's next answer had the other server's level, but the first server still
/// showed its own.
#[test]
fn a_level_that_the_other_server_has_set_since() {
    replay(&[
        ask(
            1,
            Subscribe {
                to: 2,
                trial: false,
            },
        ),
        HangUp {
            at: 1,
            org: 1,
            request: Clobber { feature: 3, n: 22 },
            calls: 6,
            again: None,
        },
        ask(
            1,
            Report {
                feature: 3,
                n: 4,
                keyed: true,
            },
        ),
    ]);
}

/// A report locked the org's plan twice. A plan change waited between the two locks, so both requests hung for ten
/// seconds. The operations before them make them run at the right times.
#[test]
fn a_change_that_comes_between_two_steps_of_a_report() {
    let subscribe = Subscribe { to: 4, trial: true };
    let left = |org, request| HangUp {
        at: 0,
        org,
        request,
        calls: 11,
        again: Some(0),
    };
    let keyed = |feature, n| Report {
        feature,
        n,
        keyed: true,
    };
    replay(&[
        Ask {
            at: 1,
            org: 2,
            request: subscribe,
        },
        Fault {
            fault: CutBody,
            calls: 9,
        },
        left(
            1,
            Subscribe {
                to: 4,
                trial: false,
            },
        ),
        left(2, Cancel),
        ask(0, keyed(4, 9)),
        ask(0, TrialThenPaid { to: 2, hours: 5 }),
        Buy {
            at: 0,
            org: 0,
            to: 2,
        },
        Fault {
            fault: Garbage,
            calls: 9,
        },
        ask(0, keyed(1, 0)),
        ask(1, keyed(4, 7)),
        ask(
            0,
            Report {
                feature: 2,
                n: 0,
                keyed: false,
            },
        ),
        AtOnce {
            at: [0, 0],
            orgs: [1, 1],
            requests: [Schedule { to: 4, hours: 48 }, keyed(0, 16)],
            hang_up: Some(6),
        },
    ]);
}

/// Both servers credited the unused time on the unpaid invoice. The second server found the credit note of the first.
/// It took the part that the invoice could no longer credit for paid.
#[test]
fn two_servers_that_end_an_unpaid_plan() {
    replay(&[
        Ask {
            at: 1,
            org: 2,
            request: Phases {
                now: 3,
                then: 4,
                hours: 48,
            },
        },
        ask(
            2,
            Subscribe {
                to: 5,
                trial: false,
            },
        ),
        HangUp {
            at: 1,
            org: 0,
            request: Subscribe {
                to: 0,
                trial: false,
            },
            calls: 11,
            again: None,
        },
        Ask {
            at: 1,
            org: 2,
            request: Schedule { to: 2, hours: 1 },
        },
        Advance { hours: 24 },
        Buy {
            at: 1,
            org: 2,
            to: 1,
        },
    ]);
}

/// A server waits for its events of an item that the other server removes. Its client must try again.
#[test]
fn a_change_overtakes_one_that_waits_for_events() {
    replay(&[
        Ask {
            at: 1,
            org: 2,
            request: Phases {
                now: 0,
                then: 4,
                hours: 30,
            },
        },
        ask(
            2,
            Report {
                feature: 0,
                n: 3,
                keyed: true,
            },
        ),
        AtOnce {
            at: [1, 0],
            orgs: [2, 2],
            requests: [
                Subscribe { to: 5, trial: true },
                Phases {
                    now: 5,
                    then: 3,
                    hours: 30,
                },
            ],
            hang_up: None,
        },
    ]);
}

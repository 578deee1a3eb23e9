//! Lists that once failed with a ledger, and plans on usage records.

use super::*;

fn replay(list: &[Op]) {
    replay_on(Usage::Ledger, list);
}

/// Every operation that needs a ledger.
#[test]
fn one_of_each_with_a_ledger() {
    let to = |to| Subscribe { to, trial: false };
    let commit = |number, n| Commit { number, n };
    let lost = Fault {
        fault: DropAfter,
        calls: 9,
    };
    let die = |request, calls| Die {
        org: 0,
        request,
        calls,
    };
    replay(&[
        ask(0, to(0)),
        ask(0, report(3)),
        Deliver,
        ask(0, report(-2)),
        ask(0, Clobber { feature: 0, n: 5 }),
        ask(0, Clobber { feature: 0, n: 4 }),
        ask(0, reserve(4, 5)),
        ask(0, reserve(3, 5)),
        ask(0, reserve(2, 1)),
        Restart { at: 0 },
        ask(0, commit(1, Some(3))),
        ask(0, Release { number: 0 }),
        ask(0, reserve(1, 1)),
        Advance { hours: 1 },
        ask(0, commit(0, None)),
        at_once(0, [reserve(2, 5), reserve(2, 5)]),
        lost,
        ask(0, report(1)),
        lost,
        Deliver,
        die(to(1), 4),
        ask(0, report(7)),
        Advance { hours: 24 },
        ask(0, report(8)),
        ask(0, to(3)),
        ask(0, report(9)),
        die(report(6), 0),
        Buy {
            at: 0,
            org: 0,
            to: 2,
        },
        ask(0, report(2)),
        Advance { hours: 48 },
    ]);
}

/// Stripe has no summary of a period. The settlement concluded that Stripe had not billed that period.
#[test]
fn reports_on_a_subscription_that_has_ended() {
    replay(&[
        ask(
            0,
            Subscribe {
                to: 4,
                trial: false,
            },
        ),
        ask(
            0,
            Report {
                feature: 1,
                n: 18,
                keyed: true,
            },
        ),
        ask(0, report(2)),
        ask(0, Cancel),
    ]);
}

/// Stripe counted usage in the ended period, whose invoice was a draft. The model counted it in the present period.
#[test]
fn an_outage_that_ends_as_the_period_closes() {
    replay(&[
        Buy {
            at: 0,
            org: 2,
            to: 4,
        },
        Outage {
            org: 2,
            calls: 10,
            hours: 24,
            last: Report {
                feature: 2,
                n: 18,
                keyed: false,
            },
        },
    ]);
}

/// The model took two reports with different keys for one report that was sent twice.
#[test]
fn an_outage_that_begins_and_ends_with_the_same_report() {
    replay(&[
        Buy {
            at: 0,
            org: 2,
            to: 2,
        },
        Outage {
            org: 2,
            calls: 4,
            hours: 1,
            last: report(4),
        },
    ]);
}

/// Usage was recorded in the second in which a trial began. The model assumed that usage of the feature had been
/// delivered before, since it counted a report that was still to be sent.
#[test]
fn a_first_report_in_the_second_in_which_a_trial_begins() {
    let trial = Subscribe { to: 2, trial: true };
    replay(&[
        Buy {
            at: 0,
            org: 2,
            to: 2,
        },
        at_once(2, [report(17), trial]),
    ]);
}

/// The org used a paid plan, and began a trial of a plan of zero prices. After the trial, the usage of the paid plan
/// counted in the new period.
#[test]
fn a_paid_plan_before_a_trial_of_a_free_one() {
    let to = |to| TrialThenPaid { to, hours: 5 };
    replay(&[
        ask(1, Schedule { to: 2, hours: 24 }),
        Advance { hours: 30 },
        Outage {
            org: 1,
            calls: 6,
            hours: 100,
            last: Clobber { feature: 1, n: 6 },
        },
        AtOnce {
            at: [0, 0],
            orgs: [1, 1],
            requests: [to(4), reserve(2, 5)],
            hang_up: None,
        },
        Outage {
            org: 2,
            calls: 18,
            hours: 5,
            last: report(7),
        },
        ask(1, reserve(2, 1)),
    ]);
}

/// The trial ended a period early. The settlement of that period took the trial's usage on the same item for its own.
#[test]
fn a_trial_that_begins_within_a_period() {
    replay(&[
        Buy {
            at: 0,
            org: 2,
            to: 0,
        },
        Advance { hours: 100 },
        ask(2, Clobber { feature: 0, n: 3 }),
        ask(2, Subscribe { to: 3, trial: true }),
        Advance { hours: 5 },
        ask(2, report(21)),
        ask(
            2,
            Subscribe {
                to: 5,
                trial: false,
            },
        ),
        Advance { hours: 48 },
    ]);
}

/// A report whose caller hung up was not counted, and the test took its feature for delivered.
#[test]
fn a_level_after_a_report_that_was_not_counted() {
    replay(&[
        ask(2, TrialThenPaid { to: 2, hours: 30 }),
        AtOnce {
            at: [0, 0],
            orgs: [2, 2],
            requests: [
                Report {
                    feature: 3,
                    n: 8,
                    keyed: true,
                },
                Commit { number: 0, n: None },
            ],
            hang_up: Some(5),
        },
        Advance { hours: 24 },
        ask(
            2,
            Report {
                feature: 3,
                n: 2,
                keyed: true,
            },
        ),
        ask(
            2,
            Subscribe {
                to: 5,
                trial: false,
            },
        ),
    ]);
}

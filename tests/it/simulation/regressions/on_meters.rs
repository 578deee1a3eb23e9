//! Lists that once failed with a ledger, and plans on meters.

use super::*;

fn replay(list: &[Op]) {
    replay_on(Usage::Meters, list);
}

/// The first attempt at late usage failed in an outage of Stripe, and the second came a minute later. The test did not
/// wait for the second attempt.
#[test]
fn an_outage_over_the_end_of_a_period() {
    replay(&[
        ask(
            2,
            Subscribe {
                to: 1,
                trial: false,
            },
        ),
        Outage {
            org: 2,
            calls: 2,
            hours: 30,
            last: Report {
                feature: 1,
                n: 14,
                keyed: true,
            },
        },
    ]);
}

/// A trial began in the middle of a period. Its usage alone was compared with the ledger's total of the whole period.
#[test]
fn a_trial_that_begins_a_period_within_another() {
    replay(&[
        Buy {
            at: 0,
            org: 0,
            to: 2,
        },
        Advance { hours: 30 },
        Outage {
            org: 0,
            calls: 1,
            hours: 30,
            last: report(-6),
        },
        Die {
            org: 0,
            request: TrialThenPaid { to: 2, hours: 5 },
            calls: 0,
        },
        ask(0, report(6)),
    ]);
}

/// The server tries again after a minute. The model did not let that minute pass.
#[test]
fn a_refund_after_an_outage() {
    replay(&[
        ask(1, Schedule { to: 0, hours: 24 }),
        Advance { hours: 24 },
        Outage {
            org: 1,
            calls: 17,
            hours: 100,
            last: report(-1),
        },
    ]);
}

/// A plan returns, and its meter keeps the earlier usage. The model did not know that.
#[test]
fn a_plan_that_returns() {
    replay(&[
        Buy {
            at: 0,
            org: 1,
            to: 3,
        },
        ask(1, report(14)),
        ask(
            1,
            Phases {
                now: 2,
                then: 0,
                hours: 30,
            },
        ),
        Advance { hours: 30 },
        ask(1, report(15)),
    ]);
}

/// The org bought the plan that it already had. The level of the old item was set to 0, which the new item counted too.
#[test]
fn the_same_plan_is_bought_again() {
    replay(&[
        ask(2, TrialThenPaid { to: 2, hours: 24 }),
        Advance { hours: 100 },
        Op::Batch {
            org: 2,
            reports: [
                Report {
                    feature: 0,
                    n: -7,
                    keyed: true,
                },
                Report {
                    feature: 2,
                    n: 3,
                    keyed: true,
                },
                Report {
                    feature: 0,
                    n: 11,
                    keyed: true,
                },
            ],
        },
        Buy {
            at: 0,
            org: 2,
            to: 2,
        },
    ]);
}

/// Usage of two hours ago belonged to the period before. That period takes usage for fifty minutes after its end, and
/// the model allowed only four.
#[test]
fn a_report_of_the_period_before() {
    replay(&[
        ask(
            0,
            Subscribe {
                to: 4,
                trial: false,
            },
        ),
        Outage {
            org: 2,
            calls: 15,
            hours: 24,
            last: Report {
                feature: 2,
                n: 11,
                keyed: false,
            },
        },
        Deliver,
        AtOnce {
            at: [0, 0],
            orgs: [0, 0],
            requests: [
                Request::ReportAt {
                    feature: 0,
                    n: 0,
                    ago: 120,
                },
                Clobber { feature: 0, n: 19 },
            ],
            hang_up: None,
        },
    ]);
}

/// The first deliveries in the outage reached Stripe, and only its answers were lost. The model did not know that.
#[test]
fn an_outage_with_answers_that_are_cut() {
    replay(&[
        ask(
            1,
            Subscribe {
                to: 4,
                trial: false,
            },
        ),
        ask(
            1,
            Report {
                feature: 0,
                n: 7,
                keyed: false,
            },
        ),
        Fault {
            fault: CutBody,
            calls: 3,
        },
        Outage {
            org: 1,
            calls: 4,
            hours: 24,
            last: Report {
                feature: 0,
                n: 0,
                keyed: false,
            },
        },
    ]);
}

/// A server sends an event a minute after the one before. The model waited only half a minute.
#[test]
fn a_clobber_just_after_a_delivery() {
    let report = |feature, n, keyed| Report { feature, n, keyed };
    let outage = |org, calls, hours, last| Outage {
        org,
        calls,
        hours,
        last,
    };
    replay(&[
        ask(
            0,
            Subscribe {
                to: 4,
                trial: false,
            },
        ),
        outage(2, 15, 24, report(2, 11, false)),
        outage(1, 13, 1, report(2, 1, true)),
        Op::Batch {
            org: 0,
            reports: [report(0, -3, true), report(3, 1, false), report(0, 2, true)],
        },
        AtOnce {
            at: [0, 0],
            orgs: [2, 2],
            requests: [report(4, 13, true), Request::Card { declines: true }],
            hang_up: Some(7),
        },
        ask(0, report(0, -1, false)),
        Deliver,
        at_once(
            0,
            [
                Request::ReportAt {
                    feature: 0,
                    n: 0,
                    ago: 120,
                },
                Clobber { feature: 0, n: 19 },
            ],
        ),
    ]);
}

/// An event that is sent in the second in which a trial begins belongs to the trial. A server waits for that second to
/// pass, but waiting takes no time in the simulation.
#[test]
fn a_report_in_the_second_in_which_a_trial_begins() {
    let report = |feature, n, keyed| Report { feature, n, keyed };
    replay(&[
        Buy {
            at: 0,
            org: 1,
            to: 4,
        },
        at_once(1, [report(0, 7, false), report(1, 12, true)]),
        at_once(1, [report(1, 16, true), TrialThenPaid { to: 3, hours: 30 }]),
    ]);
}

/// On a busy machine, the test let a day pass while an event was on its way. Stripe had forgotten its identifier by then,
/// and counted it twice.
#[test]
fn an_event_on_its_way_when_a_day_passes() {
    replay(&[
        Buy {
            at: 0,
            org: 0,
            to: 3,
        },
        ask(
            0,
            Report {
                feature: 1,
                n: 2,
                keyed: false,
            },
        ),
        ask(
            0,
            Report {
                feature: 0,
                n: 18,
                keyed: false,
            },
        ),
        Restart { at: 0 },
        Advance { hours: 24 },
    ]);
}

/// The outage ended after the period's invoice was final, and before it was known which events Stripe had counted. The
/// test expected the usage in the next period already.
#[test]
fn an_outage_that_ends_before_events_are_decided() {
    replay(&[
        Die {
            org: 2,
            request: TrialThenPaid { to: 2, hours: 5 },
            calls: 11,
        },
        Advance { hours: 24 },
        ask(
            2,
            Report {
                feature: 0,
                n: 7,
                keyed: false,
            },
        ),
        Outage {
            org: 2,
            calls: 6,
            hours: 5,
            last: Report {
                feature: 1,
                n: 7,
                keyed: false,
            },
        },
    ]);
}

/// The trial went on with other items, and its invoice was yet to come. Its usage counted as not billed.
#[test]
fn a_trial_that_is_extended_with_another_plan() {
    replay(&[
        Die {
            org: 0,
            request: TrialThenPaid { to: 1, hours: 24 },
            calls: 8,
        },
        Outage {
            org: 0,
            calls: 8,
            hours: 1,
            last: Report {
                feature: 3,
                n: 12,
                keyed: true,
            },
        },
        ask(0, Subscribe { to: 3, trial: true }),
        Advance { hours: 48 },
        Advance { hours: 48 },
        Advance { hours: 48 },
    ]);
}

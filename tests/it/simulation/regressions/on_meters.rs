//! The same for servers with a ledger whose plans are on meters.

use super::*;

fn replay(list: &[Op]) {
    replay_on(Usage::Meters, list);
}

/// What was too late for its period was asked for while Stripe was away, and asked again a minute later. The model did
/// not wait for that.
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
        Away {
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

/// What a trial used that began in the middle of a period was compared with the ledger's total of that period.
#[test]
fn a_trial_that_begins_a_period_within_another() {
    replay(&[
        Buy {
            at: 0,
            org: 0,
            to: 2,
        },
        Advance { hours: 30 },
        Away {
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

/// The server was not given the minute after which it asks again.
#[test]
fn a_refund_after_an_outage() {
    replay(&[
        ask(1, Schedule { to: 0, hours: 24 }),
        Advance { hours: 24 },
        Away {
            org: 1,
            calls: 17,
            hours: 100,
            last: report(-1),
        },
    ]);
}

/// The meter of a plan that returns goes on, of which the model knew nothing.
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

/// The org bought the plan that it had. The level of the old item was set to 0, which counted for the new one too.
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

/// Usage of two hours ago was of the period before, which takes it for fifty minutes. The model knew of four.
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
        Away {
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

/// The first deliveries of the outage reached Stripe, whose answers were cut. The model did not know.
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
        Away {
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

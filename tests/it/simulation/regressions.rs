//! Shortened lists that once failed. Each of them is kept.

mod events;
mod on_meters;
mod with_ledger;

use super::ops::Fault::{CutBody, DropAfter, Garbage, TooMany};
use super::ops::Op::{
    self, Advance, Ask, AtOnce, Buy, Deliver, Die, Fault, HangUp, Outage, Restart,
};
use super::ops::Request;
use super::ops::Request::{
    Cancel, CancelLater, Clobber, Commit, Phases, Release, Report, Reserve, Schedule, Subscribe,
    TrialThenPaid,
};
use super::run::Usage;
use super::{INVOICE_DRAFTS, run};

/// A request to the first server.
const fn ask(org: u8, request: Request) -> Op {
    Ask {
        at: 0,
        org,
        request,
    }
}

/// Two concurrent requests about an org, one to each server.
const fn at_once(org: u8, requests: [Request; 2]) -> Op {
    AtOnce {
        at: [0, 1],
        orgs: [org, org],
        requests,
        hang_up: None,
    }
}

fn replay(list: &[Op]) {
    replay_on(Usage::Records, list);
}

fn replay_on(usage: Usage, list: &[Op]) {
    let runtime = run::runtime();
    for draft in INVOICE_DRAFTS {
        let world = async { run::World::start(draft, usage).await.run(list).await };
        let outcome = runtime.block_on(world);
        outcome.expect("what failed once does not fail again");
    }
}

/// A report of calls, with an idempotency key.
const fn report(n: i8) -> Request {
    Report {
        feature: 0,
        n,
        keyed: true,
    }
}

const fn reserve(n: u8, hours: u8) -> Request {
    Reserve {
        feature: 0,
        n,
        hours,
        number: 0,
    }
}

/// Every kind of operation, each at least once.
#[test]
fn one_of_each() {
    replay(&[
        ask(
            0,
            Subscribe {
                to: 0,
                trial: false,
            },
        ),
        ask(
            0,
            Report {
                feature: 0,
                n: 3,
                keyed: true,
            },
        ),
        Fault {
            fault: DropAfter,
            calls: 2,
        },
        ask(
            0,
            Report {
                feature: 0,
                n: 4,
                keyed: false,
            },
        ),
        ask(0, Clobber { feature: 0, n: 9 }),
        ask(0, Clobber { feature: 0, n: 2 }),
        ask(0, Schedule { to: 1, hours: 30 }),
        Advance { hours: 48 },
        ask(
            0,
            Report {
                feature: 0,
                n: 5,
                keyed: false,
            },
        ),
        ask(
            0,
            Report {
                feature: 4,
                n: 5,
                keyed: false,
            },
        ),
        ask(1, TrialThenPaid { to: 2, hours: 24 }),
        ask(
            1,
            Report {
                feature: 1,
                n: 8,
                keyed: true,
            },
        ),
        Advance { hours: 24 },
        ask(
            1,
            Phases {
                now: 2,
                then: 3,
                hours: 5,
            },
        ),
        ask(1, CancelLater { hours: 100 }),
        Advance { hours: 100 },
        ask(0, Cancel),
        at_once(
            0,
            [
                Subscribe {
                    to: 1,
                    trial: false,
                },
                Subscribe { to: 2, trial: true },
            ],
        ),
        HangUp {
            at: 1,
            org: 1,
            request: Report {
                feature: 0,
                n: 2,
                keyed: true,
            },
            calls: 1,
            again: Some(0),
        },
        Restart { at: 1 },
        Buy {
            at: 1,
            org: 2,
            to: 1,
        },
        Advance { hours: 24 },
    ]);
}

/// A trial may last for years. Its usage was still counted in the later periods of the free plan.
#[test]
fn what_a_trial_counted_ends_with_it() {
    replay(&[
        ask(0, Subscribe { to: 0, trial: true }),
        ask(
            0,
            Report {
                feature: 0,
                n: 1,
                keyed: false,
            },
        ),
        ask(
            0,
            Subscribe {
                to: 1,
                trial: false,
            },
        ),
        Advance { hours: 24 },
        ask(
            0,
            Subscribe {
                to: 0,
                trial: false,
            },
        ),
    ]);
    replay(&[
        ask(0, TrialThenPaid { to: 1, hours: 1 }),
        ask(
            0,
            Report {
                feature: 0,
                n: 1,
                keyed: false,
            },
        ),
        ask(0, Subscribe { to: 0, trial: true }),
        ask(
            0,
            Phases {
                now: 0,
                then: 0,
                hours: 1,
            },
        ),
        Advance { hours: 24 },
        ask(
            0,
            Subscribe {
                to: 0,
                trial: false,
            },
        ),
    ]);
}

/// A trial ends in the second in which it began. The period after it begins in the same second.
#[test]
fn a_trial_of_no_length_counts_in_the_period_after_it() {
    replay(&[
        ask(0, TrialThenPaid { to: 0, hours: 1 }),
        ask(0, Clobber { feature: 0, n: 1 }),
        ask(
            0,
            Subscribe {
                to: 5,
                trial: false,
            },
        ),
        ask(
            0,
            Subscribe {
                to: 0,
                trial: false,
            },
        ),
    ]);
}

/// A report arrives after an org is created, and before it is subscribed.
#[test]
fn a_report_while_its_org_is_made() {
    replay(&[
        Fault {
            fault: TooMany,
            calls: 2,
        },
        at_once(
            1,
            [
                Report {
                    feature: 1,
                    n: 4,
                    keyed: false,
                },
                Subscribe {
                    to: 2,
                    trial: false,
                },
            ],
        ),
    ]);
}

/// Two plans sell the feature. Its usage is on the item of one plan, and a request sets usage on the other plan's item.
#[test]
fn a_total_of_a_feature_that_two_plans_sell() {
    replay(&[
        ask(0, Subscribe { to: 2, trial: true }),
        ask(
            0,
            Report {
                feature: 0,
                n: 14,
                keyed: false,
            },
        ),
        ask(0, Subscribe { to: 3, trial: true }),
        Ask {
            at: 1,
            org: 0,
            request: Clobber { feature: 0, n: 35 },
        },
    ]);
}

/// Time is credited while the invoice is a draft. The customer's balance pays the invoice once it is finalized.
#[test]
fn a_draft_that_is_paid_once_it_is_finalized() {
    let subscribe = |to| Subscribe { to, trial: false };
    replay(&[
        Buy {
            at: 1,
            org: 0,
            to: 0,
        },
        ask(0, subscribe(2)),
        Advance { hours: 24 },
        Ask {
            at: 1,
            org: 0,
            request: TrialThenPaid { to: 2, hours: 24 },
        },
        at_once(0, [subscribe(3), subscribe(3)]),
        Ask {
            at: 1,
            org: 0,
            request: subscribe(0),
        },
    ]);
}

/// The planned end of a subscription counted as its actual end. A credit of that second counted as a gift.
#[test]
fn an_end_that_comes_before_the_one_that_was_planned() {
    replay(&[
        Buy {
            at: 0,
            org: 0,
            to: 1,
        },
        Advance { hours: 100 },
        ask(0, Subscribe { to: 2, trial: true }),
        ask(0, CancelLater { hours: 5 }),
        ask(0, Cancel),
    ]);
}

/// Usage of the trial was counted in the period after it.
#[test]
fn a_report_whose_caller_left_before_a_trial() {
    let hang_up = |at, feature, n, keyed, calls| HangUp {
        at,
        org: 2,
        request: Report { feature, n, keyed },
        calls,
        again: None,
    };
    let subscribe = |to| ask(2, Subscribe { to, trial: false });
    replay(&[
        subscribe(4),
        hang_up(0, 0, 10, false, 7),
        subscribe(5),
        ask(2, TrialThenPaid { to: 0, hours: 1 }),
        Advance { hours: 5 },
        hang_up(1, 3, 8, true, 0),
    ]);
}

//! Lists that failed once, shortened. Each stays.

use super::ops::{Fault, Op};
use super::{INVOICE_DRAFTS, run};

fn replay(list: &[Op]) {
    let runtime = run::runtime();
    for draft in INVOICE_DRAFTS {
        let outcome = runtime.block_on(async { run::World::start(draft).await.run(list).await });
        outcome.expect("what failed once does not fail again");
    }
}

/// The operations themselves, each at least once.
#[test]
fn one_of_each() {
    replay(&[
        Op::Subscribe {
            org: 0,
            to: 0,
            trial: false,
        },
        Op::Report {
            org: 0,
            feature: 0,
            n: 3,
            keyed: true,
        },
        Op::Fault {
            fault: Fault::DropAfter,
            calls: 2,
        },
        Op::Report {
            org: 0,
            feature: 0,
            n: 4,
            keyed: false,
        },
        Op::Clobber {
            org: 0,
            feature: 0,
            n: 9,
        },
        Op::Clobber {
            org: 0,
            feature: 0,
            n: 2,
        },
        Op::Schedule {
            org: 0,
            to: 1,
            hours: 30,
        },
        Op::Advance { hours: 48 },
        Op::Report {
            org: 0,
            feature: 0,
            n: 5,
            keyed: false,
        },
        Op::Report {
            org: 0,
            feature: 4,
            n: 5,
            keyed: false,
        },
        Op::TrialThenPaid {
            org: 1,
            to: 2,
            hours: 24,
        },
        Op::Report {
            org: 1,
            feature: 1,
            n: 8,
            keyed: true,
        },
        Op::Advance { hours: 24 },
        Op::Phases {
            org: 1,
            now: 2,
            then: 3,
            hours: 5,
        },
        Op::CancelLater { org: 1, hours: 100 },
        Op::Advance { hours: 100 },
        Op::Cancel { org: 0 },
    ]);
}

/// A trial may last for years, and what was used in it was kept for the free plan's periods after it.
#[test]
fn usage_of_a_trial_ends_with_it() {
    replay(&[
        Op::Subscribe {
            org: 0,
            to: 0,
            trial: true,
        },
        Op::Report {
            org: 0,
            feature: 0,
            n: 1,
            keyed: false,
        },
        Op::Subscribe {
            org: 0,
            to: 1,
            trial: false,
        },
        Op::Advance { hours: 24 },
        Op::Subscribe {
            org: 0,
            to: 0,
            trial: false,
        },
    ]);
    replay(&[
        Op::TrialThenPaid {
            org: 0,
            to: 1,
            hours: 1,
        },
        Op::Report {
            org: 0,
            feature: 0,
            n: 1,
            keyed: false,
        },
        Op::Subscribe {
            org: 0,
            to: 0,
            trial: true,
        },
        Op::Phases {
            org: 0,
            now: 0,
            then: 0,
            hours: 1,
        },
        Op::Advance { hours: 24 },
        Op::Subscribe {
            org: 0,
            to: 0,
            trial: false,
        },
    ]);
}

/// A trial that ends in the second in which it began: the period after it has the same beginning.
#[test]
fn usage_of_a_trial_of_no_length_is_of_the_period_after_it() {
    replay(&[
        Op::TrialThenPaid {
            org: 0,
            to: 0,
            hours: 1,
        },
        Op::Clobber {
            org: 0,
            feature: 0,
            n: 1,
        },
        Op::Subscribe {
            org: 0,
            to: 5,
            trial: false,
        },
        Op::Subscribe {
            org: 0,
            to: 0,
            trial: false,
        },
    ]);
}

//! What may happen to an org.

use proptest::prelude::*;

/// How many orgs a list has.
pub(super) const ORGS: u8 = 3;

/// An hour, in seconds: the unit in which the clock is advanced.
pub(super) const HOUR: i64 = 3600;

/// What an org can be subscribed to: an index into [`COMBINATIONS`].
pub(super) type Combination = u8;

/// References as a client sends them.
pub(super) const COMBINATIONS: &[&[&str]] = &[
    &["plan:free@1"],
    &["plan:pro@1"],
    &["plan:team@1", "plan:data@1"],
    &["plan:free@1", "plan:team@1"],
    &["feature:calls@plan:free@1", "feature:peak@plan:team@1"],
    &["plan:data@1", "feature:seat@plan:pro@1"],
];

/// The features that usage is reported for, and one that it cannot be.
pub(super) const FEATURES: &[&str] = &[
    "feature:calls",
    "feature:peak",
    "feature:store",
    "feature:level",
    "feature:seat",
];

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Op {
    /// From now on, replacing what is and what was planned; perhaps as a trial without an end.
    Subscribe {
        org: u8,
        to: Combination,
        trial: bool,
    },
    /// A trial now, and from `hours` on the same, paid.
    TrialThenPaid { org: u8, to: Combination, hours: u8 },
    /// In `hours`, keeping what is until then.
    Schedule { org: u8, to: Combination, hours: u8 },
    /// One thing now and another in `hours`.
    Phases {
        org: u8,
        now: Combination,
        then: Combination,
        hours: u8,
    },
    /// An end in `hours`.
    CancelLater { org: u8, hours: u8 },
    /// An end now.
    Cancel { org: u8 },
    /// Usage. With `keyed`, it is repeated under one key until it is acknowledged, and once more.
    Report {
        org: u8,
        feature: u8,
        n: u8,
        keyed: bool,
    },
    /// Usage that is set.
    Clobber { org: u8, feature: u8, n: u8 },
    /// Time passes for everybody.
    Advance { hours: u8 },
    /// The next `calls` calls to Stripe go wrong. More of them than a call is tried fail the operation.
    Fault { fault: Fault, calls: u8 },
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    DropBefore,
    DropAfter,
    CutBody,
    TooMany,
    ServerError,
    Conflict,
    Garbage,
}

fn fault() -> impl Strategy<Value = Fault> {
    prop::sample::select(vec![
        Fault::DropBefore,
        Fault::DropAfter,
        Fault::CutBody,
        Fault::TooMany,
        Fault::ServerError,
        Fault::Conflict,
        Fault::Garbage,
    ])
}

/// Any operation; reports and the passing of time more often than the rest.
pub(super) fn op() -> impl Strategy<Value = Op> {
    let org = 0..ORGS;
    let to = || 0..u8::try_from(COMBINATIONS.len()).expect("few");
    let feature = || 0..u8::try_from(FEATURES.len()).expect("few");
    let hours = || prop::sample::select(vec![1_u8, 5, 24, 30, 48, 100]);
    prop_oneof![
        3 => (org.clone(), to(), prop::bool::weighted(0.25))
            .prop_map(|(org, to, trial)| Op::Subscribe { org, to, trial }),
        1 => (org.clone(), to(), hours()).prop_map(|(org, to, hours)| Op::TrialThenPaid { org, to, hours }),
        2 => (org.clone(), to(), hours()).prop_map(|(org, to, hours)| Op::Schedule { org, to, hours }),
        1 => (org.clone(), to(), to(), hours())
            .prop_map(|(org, now, then, hours)| Op::Phases { org, now, then, hours }),
        1 => (org.clone(), hours()).prop_map(|(org, hours)| Op::CancelLater { org, hours }),
        1 => org.clone().prop_map(|org| Op::Cancel { org }),
        8 => (org.clone(), feature(), 0..20_u8, any::<bool>())
            .prop_map(|(org, feature, n, keyed)| Op::Report { org, feature, n, keyed }),
        2 => (org, feature(), 0..40_u8).prop_map(|(org, feature, n)| Op::Clobber { org, feature, n }),
        5 => hours().prop_map(|hours| Op::Advance { hours }),
        4 => (fault(), prop::sample::select(vec![1_u8, 1, 2, 2, 3, 9]))
            .prop_map(|(fault, calls)| Op::Fault { fault, calls }),
    ]
}

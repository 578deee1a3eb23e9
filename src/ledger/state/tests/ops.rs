//! Generators of random operations.

use proptest::prelude::*;

use super::world::Fault;
use super::*;

#[derive(Clone, Debug)]
pub(super) enum Op {
    Report {
        feature: usize,
        n: i64,
        back: i64,
        key: Option<u8>,
    },
    Clobber {
        feature: usize,
        n: i64,
    },
    Reserve {
        n: i64,
        commit: bool,
    },
    Commit {
        which: usize,
        n: Option<i64>,
    },
    Release {
        which: usize,
    },
    Expire,
    Advance(i64),
    Deliver(Fault),
    Arrive,
    /// A plan change. It moves the level itself, or the next report does.
    Change {
        feature: usize,
        moves: bool,
    },
    Crash,
    DiskFails,
    /// Stripe drops the event that it received last, and reports that.
    Drop,
    /// An operator sends dropped and parked usage again.
    Retry,
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => Just(Fault::None),
        1 => Just(Fault::AnswerLost),
        1 => Just(Fault::Slow),
        1 => any::<bool>().prop_map(Fault::Fails),
        1 => Just(Fault::Dies),
    ]
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let times = prop::sample::select(vec![
        1,
        SECOND,
        20 * SECOND,
        30 * SECOND,
        3 * MINUTE,
        2 * HOUR,
        21 * HOUR,
    ]);
    let back = prop_oneof![3 => Just(0), 1 => Just(2 * MINUTE), 1 => Just(-MINUTE)];
    let key = prop::option::weighted(0.3, 0..6_u8);
    let report = (0..4_usize, -5..20_i64, back, key);
    prop_oneof![
        8 => report.prop_map(|(feature, n, back, key)| Op::Report { feature, n, back, key }),
        1 => (0..4_usize, 0..30_i64).prop_map(|(feature, n)| Op::Clobber { feature, n }),
        3 => (1..30_i64, prop::bool::weighted(0.2)).prop_map(|(n, commit)| Op::Reserve { n, commit }),
        2 => (0..20_usize, prop::option::of(0..30_i64)).prop_map(|(which, n)| Op::Commit { which, n }),
        1 => (0..20_usize).prop_map(|which| Op::Release { which }),
        1 => Just(Op::Expire),
        6 => times.prop_map(Op::Advance),
        6 => fault().prop_map(Op::Deliver),
        2 => Just(Op::Arrive),
        1 => (0..4_usize, any::<bool>()).prop_map(|(feature, moves)| Op::Change { feature, moves }),
        1 => Just(Op::Crash),
        1 => Just(Op::DiskFails),
        1 => Just(Op::Drop),
        1 => Just(Op::Retry),
    ]
}

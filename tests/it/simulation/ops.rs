//! The operations of a list: everything that may happen to an org.

use proptest::prelude::*;

/// How many orgs a list has.
pub(super) const ORGS: u8 = 3;

/// How many servers there are over one Stripe.
pub(super) const SERVERS: u8 = 2;

/// An hour, in seconds: the unit in which the clock is advanced.
pub(super) const HOUR: i64 = 3600;

/// The plans and features of a subscription, as an index into [`COMBINATIONS`].
pub(super) type Combination = u8;

/// The plans and features that an org can be subscribed to, as clients name them.
pub(super) const COMBINATIONS: &[&[&str]] = &[
    &["plan:free@1"],
    &["plan:pro@1"],
    &["plan:team@1", "plan:data@1"],
    &["plan:free@1", "plan:team@1"],
    &["feature:calls@plan:free@1", "feature:peak@plan:team@1"],
    &["plan:data@1", "feature:seat@plan:pro@1"],
];

/// The features for which usage is reported. One of them is not metered.
pub(super) const FEATURES: &[&str] = &[
    "feature:calls",
    "feature:peak",
    "feature:store",
    "feature:level",
    "feature:seat",
];

/// One operation. `at` is the server that receives the request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Op {
    /// A request about an org. A failed request is sent again if that is safe.
    Ask { at: u8, org: u8, request: Request },
    /// Two requests at the same time, at one server or at two, about one org or two. The caller of the first one may
    /// hang up after `hang_up` calls to Stripe.
    AtOnce {
        at: [u8; 2],
        orgs: [u8; 2],
        requests: [Request; 2],
        hang_up: Option<u8>,
    },
    /// A request whose caller hangs up after `calls` calls to Stripe, and may repeat it at once at the server `again`.
    HangUp {
        at: u8,
        org: u8,
        request: Request,
        calls: u8,
        again: Option<u8>,
    },
    /// A person of the org subscribes it in Checkout.
    Buy { at: u8, org: u8, to: Combination },
    /// A server restarts, and keeps nothing but its ledger.
    Restart { at: u8 },
    /// With a ledger: a request during which the server crashes, after `calls` calls to Stripe.
    Die {
        org: u8,
        request: Request,
        calls: u8,
    },
    /// With a ledger: usage that is due is delivered to Stripe.
    Deliver,
    /// With a ledger: several reports in one request, which count in the order of `reports`.
    Batch { org: u8, reports: [Request; 3] },
    /// With a ledger: an outage of Stripe for about `hours` hours. It begins with a report of `calls` units of usage,
    /// and ends with the request `last`.
    Outage {
        org: u8,
        calls: u8,
        hours: u8,
        last: Request,
    },
    /// Time passes, at the servers and at Stripe.
    Advance { hours: u8 },
    /// The next `calls` calls to Stripe fail. The operation fails if they are more than the attempts of one call.
    Fault { fault: Fault, calls: u8 },
}

/// A request about an org.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Request {
    /// Sets the card for all later payments, which succeed or are declined.
    Card { declines: bool },
    /// Replaces the current phase and all later ones, perhaps by a trial without an end.
    Subscribe { to: Combination, trial: bool },
    /// Begins a trial now, and the same plan as a paid phase in `hours`.
    TrialThenPaid { to: Combination, hours: u8 },
    /// Keeps the current phase, and replaces it in `hours`.
    Schedule { to: Combination, hours: u8 },
    /// Begins one phase now and another in `hours`.
    Phases {
        now: Combination,
        then: Combination,
        hours: u8,
    },
    /// Cancels in `hours`.
    CancelLater { hours: u8 },
    /// Cancels now.
    Cancel,
    /// Reports usage. A negative `n` is a refund, which needs a ledger. With `keyed`, the report has an idempotency
    /// key, and is sent again once it is acknowledged.
    Report { feature: u8, n: i8, keyed: bool },
    /// Reports usage of `ago` minutes ago, or of a future time if `ago` is negative. This needs a ledger.
    ReportAt { feature: u8, n: u8, ago: i8 },
    /// Sets usage to `n`.
    Clobber { feature: u8, n: u8 },
    /// Reserves usage for `hours`. Reservations are numbered in the order in which the list sends them.
    Reserve {
        feature: u8,
        n: u8,
        hours: u8,
        number: Reservation,
    },
    /// Commits `n` units of a reservation, or all of them. In a list, `number` counts back from the org's last
    /// reservation.
    Commit { number: Reservation, n: Option<u8> },
    /// Releases a reservation. `number` counts as in `Commit`.
    Release { number: Reservation },
}

/// The number of a reservation in its list.
pub(super) type Reservation = u8;

impl Request {
    /// Whether the request asks for a state, so that repeating it changes nothing.
    pub(super) fn is_change(self) -> bool {
        !self.is_usage() && !self.is_of_reservation()
    }

    /// Whether the request reports usage.
    pub(super) fn is_usage(self) -> bool {
        matches!(
            self,
            Self::Report { .. } | Self::ReportAt { .. } | Self::Clobber { .. }
        )
    }

    /// Whether the request is about a reservation.
    pub(super) fn is_of_reservation(self) -> bool {
        self.ends_reservation() || matches!(self, Self::Reserve { .. })
    }

    /// Whether the request begins a trial.
    pub(super) fn is_trial(self) -> bool {
        matches!(
            self,
            Self::Subscribe { trial: true, .. } | Self::TrialThenPaid { .. }
        )
    }

    /// Whether the request has an idempotency key, and so counts once, however often it is sent.
    pub(super) fn is_keyed(self) -> bool {
        matches!(self, Self::Report { keyed: true, .. })
    }

    /// Whether the request ends a reservation. Such a request can be repeated.
    pub(super) fn ends_reservation(self) -> bool {
        matches!(self, Self::Commit { .. } | Self::Release { .. })
    }

    /// The feature whose usage decides the result of the request.
    pub(super) fn depends_on(self) -> Option<&'static str> {
        let feature = match self {
            Self::Clobber { feature, .. } | Self::Reserve { feature, .. } => feature,
            Self::Report { feature, n, .. } if n < 0 => feature,
            _ => return None,
        };
        Some(FEATURES[usize::from(feature)])
    }
}

/// How calls to Stripe fail.
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

fn combination() -> impl Strategy<Value = Combination> {
    0..u8::try_from(COMBINATIONS.len()).expect("few")
}

fn hours() -> impl Strategy<Value = u8> {
    prop::sample::select(vec![1_u8, 5, 24, 30, 48, 100])
}

fn change() -> impl Strategy<Value = Request> {
    prop_oneof![
        3 => (combination(), prop::bool::weighted(0.25))
            .prop_map(|(to, trial)| Request::Subscribe { to, trial }),
        1 => (combination(), hours()).prop_map(|(to, hours)| Request::TrialThenPaid { to, hours }),
        2 => (combination(), hours()).prop_map(|(to, hours)| Request::Schedule { to, hours }),
        1 => (combination(), combination(), hours())
            .prop_map(|(now, then, hours)| Request::Phases { now, then, hours }),
        1 => hours().prop_map(|hours| Request::CancelLater { hours }),
        1 => Just(Request::Cancel),
        1 => any::<bool>().prop_map(|declines| Request::Card { declines }),
    ]
}

fn feature() -> impl Strategy<Value = u8> {
    0..u8::try_from(FEATURES.len()).expect("few")
}

fn report() -> impl Strategy<Value = Request> {
    (feature(), 0..20_i8, any::<bool>()).prop_map(|(feature, n, keyed)| Request::Report {
        feature,
        n,
        keyed,
    })
}

fn clobber() -> impl Strategy<Value = Request> {
    (feature(), 0..40_u8).prop_map(|(feature, n)| Request::Clobber { feature, n })
}

fn usage() -> impl Strategy<Value = Request> {
    prop_oneof![4 => report(), 1 => clobber()]
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![9 => change(), 10 => usage()]
}

/// A request that needs a server with a ledger.
fn ledger_request() -> impl Strategy<Value = Request> {
    let refund = (1..12_i8, any::<bool>()).prop_map(|(n, keyed)| Request::Report {
        feature: 0,
        n: -n,
        keyed,
    });
    // Most reservations are of a feature whose usage adds up, since others are refused.
    let feature = || prop_oneof![9 => Just(0), 1 => feature()];
    let reserve = (feature(), 1..9_u8, prop::sample::select(vec![1_u8, 5, 24]));
    let reserve = reserve.prop_map(|(feature, n, hours)| Request::Reserve {
        feature,
        n,
        hours,
        number: 0,
    });
    let commit = (0..3_u8, prop::option::weighted(0.5, 0..9_u8));
    let commit = commit.prop_map(|(number, n)| Request::Commit { number, n });
    prop_oneof![
        3 => refund,
        2 => report_at(),
        4 => reserve,
        3 => commit,
        1 => (0..3_u8).prop_map(|number| Request::Release { number }),
    ]
}

fn report_at() -> impl Strategy<Value = Request> {
    let ago = prop::sample::select(vec![-6_i8, -4, -1, 1, 10, 120]);
    (feature(), 0..20_u8, ago).prop_map(|(feature, n, ago)| Request::ReportAt { feature, n, ago })
}

/// A report of any kind.
fn any_report() -> impl Strategy<Value = Request> {
    let refund = (1..12_i8).prop_map(|n| Request::Report {
        feature: 0,
        n: -n,
        keyed: true,
    });
    prop_oneof![4 => report(), 1 => clobber(), 1 => refund, 1 => report_at()]
}

/// Two concurrent requests. A plan change and a clobber never run together, since the model cannot know how much
/// usage the clobber adds then.
fn at_once() -> impl Strategy<Value = [Request; 2]> {
    prop_oneof![
        2 => [change(), change()],
        1 => (change(), report()).prop_map(|(change, report)| [change, report]),
        1 => (change(), report()).prop_map(|(change, report)| [report, change]),
        1 => request().prop_map(|same| [same, same]),
        2 => [usage(), usage()],
    ]
}

/// Any operation. Reports and the passing of time are more frequent than the rest.
pub(super) fn op() -> impl Strategy<Value = Op> {
    let org = || 0..ORGS;
    let at = || 0..SERVERS;
    prop_oneof![
        17 => (at(), org(), request()).prop_map(|(at, org, request)| Op::Ask { at, org, request }),
        3 => ([at(), at()], [org(), org()], prop::bool::weighted(0.8), at_once(), prop::option::weighted(0.3, 0..12_u8))
            .prop_map(|(at, [one, other], same_org, requests, hang_up)| {
                let orgs = [one, if same_org { one } else { other }];
                Op::AtOnce { at, orgs, requests, hang_up }
            }),
        2 => (at(), org(), request(), 0..12_u8, prop::option::weighted(0.7, at())).prop_map(
            |(at, org, request, calls, again)| Op::HangUp { at, org, request, calls, again }
        ),
        1 => (at(), org(), combination()).prop_map(|(at, org, to)| Op::Buy { at, org, to }),
        1 => at().prop_map(|at| Op::Restart { at }),
        5 => hours().prop_map(|hours| Op::Advance { hours }),
        4 => (fault(), prop::sample::select(vec![1_u8, 1, 2, 2, 3, 9]))
            .prop_map(|(fault, calls)| Op::Fault { fault, calls }),
    ]
}

/// Any operation of a server with a ledger.
pub(super) fn ledger_op() -> impl Strategy<Value = Op> {
    let org = || 0..ORGS;
    let any_request = || prop_oneof![2 => request(), 1 => ledger_request()];
    let together = || {
        prop_oneof![
            2 => at_once(),
            1 => [usage_with_ledger(), usage_with_ledger()],
            1 => (change(), ledger_request()).prop_map(|(change, other)| [change, other]),
            1 => ledger_request().prop_map(|same| [same, same]),
        ]
    };
    prop_oneof![
        16 => (org(), any_request()).prop_map(|(org, request)| Op::Ask { at: 0, org, request }),
        4 => (org(), together(), prop::option::weighted(0.3, 0..12_u8)).prop_map(
            |(org, requests, hang_up)| Op::AtOnce { at: [0, 0], orgs: [org, org], requests, hang_up }
        ),
        1 => (org(), any_request(), 0..12_u8, prop::option::weighted(0.7, Just(0))).prop_map(
            |(org, request, calls, again)| Op::HangUp { at: 0, org, request, calls, again }
        ),
        2 => (org(), any_request(), 0..12_u8)
            .prop_map(|(org, request, calls)| Op::Die { org, request, calls }),
        1 => (org(), combination()).prop_map(|(org, to)| Op::Buy { at: 0, org, to }),
        1 => Just(Op::Restart { at: 0 }),
        3 => Just(Op::Deliver),
        2 => (org(), [any_report(), any_report(), any_report()])
            .prop_map(|(org, reports)| Op::Batch { org, reports }),
        2 => (org(), 0..20_u8, hours(), any_report())
            .prop_map(|(org, calls, hours, last)| Op::Outage { org, calls, hours, last }),
        4 => hours().prop_map(|hours| Op::Advance { hours }),
        4 => (fault(), prop::sample::select(vec![1_u8, 1, 2, 2, 3, 9]))
            .prop_map(|(fault, calls)| Op::Fault { fault, calls }),
    ]
}

fn usage_with_ledger() -> impl Strategy<Value = Request> {
    prop_oneof![1 => usage(), 1 => ledger_request()]
}

//! Random subscriptions: their items, and the acts that change them.

use proptest::prelude::*;

/// The three ways in which usage is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Usage records with classic billing, in 2022-11-15.
    Records,
    /// Meters with classic billing, in 2026-10-28.endive.
    ClassicMeters,
    /// Meters with flexible billing, in 2026-10-28.endive.
    FlexibleMeters,
}

pub(super) const HOUR: i64 = 3600;

/// How the usage of a period becomes one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Formula {
    Sum,
    Last,
}

/// A metered price.
#[derive(Debug)]
pub(super) struct Metered {
    /// Its meter's index in [`METERS`].
    pub(super) meter: usize,
    /// The parameters of its amounts.
    pub(super) form: &'static str,
}

pub(super) const METERS: [(&str, Formula); 2] = [("calls", Formula::Sum), ("users", Formula::Last)];

/// Two prices of each meter. Stripe does not document the cost of a tier without usage, so the first tiers have no flat
/// amount.
pub(super) const METERED: [Metered; 4] = [
    Metered {
        meter: 0,
        form: "unit_amount=3",
    },
    Metered {
        meter: 0,
        form: "billing_scheme=tiered&tiers_mode=graduated&tiers[0][up_to]=50&tiers[0][unit_amount]=7\
            &tiers[1][up_to]=inf&tiers[1][unit_amount]=2&tiers[1][flat_amount]=101",
    },
    Metered {
        meter: 1,
        form: "unit_amount=11",
    },
    Metered {
        meter: 1,
        form: "billing_scheme=tiered&tiers_mode=volume&tiers[0][up_to]=60&tiers[0][unit_amount]=5\
            &tiers[1][up_to]=inf&tiers[1][unit_amount]=4&tiers[1][flat_amount]=53",
    },
];

/// The cost of usage by one of the [`METERED`] prices in cents, line by line.
pub(super) fn costs(price: usize, usage: i64) -> Vec<i64> {
    match (price, usage) {
        (0, _) => vec![usage * 3],
        (1, ..=50) => vec![usage * 7],
        (1, _) => vec![50 * 7, (usage - 50) * 2, 101],
        (2, _) => vec![usage * 11],
        (_, ..=60) => vec![usage * 5],
        _ => vec![usage * 4, 53],
    }
}

/// The price of a seat, in cents.
pub(super) const SEAT: i64 = 1009;

/// A coupon for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coupon {
    Percent(i64),
    Amount(i64),
}

pub(super) const COUPONS: [Coupon; 3] = [
    Coupon::Percent(33),
    Coupon::Percent(100),
    Coupon::Amount(700),
];

/// Stripe's `proration_behavior`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behavior {
    None,
    CreateProrations,
    AlwaysInvoice,
}

impl Behavior {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::CreateProrations => "create_prorations",
            Self::AlwaysInvoice => "always_invoice",
        }
    }
}

/// The change of one metered item. The first number chooses one of the existing items; prices are indices in
/// [`METERED`]. Nothing happens if there is no item, or if another item already has the price.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Add(usize),
    Price(usize, usize),
    Remove(usize),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// Usage of a meter, or with usage records of an item.
    Report(usize, i64),
    /// A request that changes the seats, a metered item, or both. There is no request if it would change nothing.
    Update(Option<i64>, Option<Change>, Behavior),
    SetCoupon(Option<Coupon>),
    CancelAtPeriodEnd(bool),
    Cancel {
        invoice_now: bool,
        prorate: bool,
    },
}

/// The second phase of a schedule.
#[derive(Clone, Debug)]
pub(super) struct Phase {
    /// How many days after the start it begins. The first period has 30.
    pub(super) day: i64,
    pub(super) seats: i64,
    pub(super) metered: Vec<usize>,
    pub(super) coupon: Option<Coupon>,
    pub(super) behavior: Behavior,
}

/// One case of the property.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) mode: Mode,
    pub(super) seats: i64,
    pub(super) metered: Vec<usize>,
    pub(super) coupon: Option<Coupon>,
    /// The days of a trial at the start; 0 is none.
    pub(super) trial: i64,
    /// Another phase, if the subscription is made by a schedule.
    pub(super) next: Option<Phase>,
    /// The acts, each with the hours since the act before. At least one hour, because Stripe does not document to which
    /// price an event at the time of a change belongs.
    pub(super) acts: Vec<(i64, Act)>,
}

fn behavior() -> impl Strategy<Value = Behavior> {
    prop_oneof![
        Just(Behavior::None),
        Just(Behavior::CreateProrations),
        Just(Behavior::AlwaysInvoice),
    ]
}

fn coupon() -> impl Strategy<Value = Option<Coupon>> {
    prop::option::of(prop::sample::select(&COUPONS[..]))
}

fn metered() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        1 => Just(Vec::new()),
        5 => prop::sample::subsequence(vec![0, 1, 2, 3], 1..4).prop_shuffle(),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let change = prop_oneof![
        1 => (0_usize..4).prop_map(Change::Add),
        2 => (0_usize..4, 0_usize..4).prop_map(|(item, price)| Change::Price(item, price)),
        1 => (0_usize..4).prop_map(Change::Remove),
    ];
    let update = (
        prop::option::of(1_i64..5),
        prop::option::weighted(0.8, change),
        behavior(),
    );
    prop_oneof![
        10 => (0_usize..4, -20_i64..100).prop_map(|(which, value)| Act::Report(which, value)),
        8 => update.prop_map(|(seats, change, behavior)| Act::Update(seats, change, behavior)),
        1 => coupon().prop_map(Act::SetCoupon),
        1 => any::<bool>().prop_map(Act::CancelAtPeriodEnd),
        2 => any::<(bool, bool)>().prop_map(|(invoice_now, prorate)| Act::Cancel {
            invoice_now,
            prorate,
        }),
    ]
}

fn phase() -> impl Strategy<Value = Phase> {
    let sold = (1_i64..5, metered(), coupon());
    // Often at the end of the first period.
    let day = prop_oneof![1_i64..30, Just(30)];
    (day, sold, behavior()).prop_map(|(day, (seats, metered, coupon), behavior)| Phase {
        day,
        seats,
        metered,
        coupon,
        behavior,
    })
}

pub(super) fn case() -> impl Strategy<Value = Case> {
    let mode = prop_oneof![
        Just(Mode::Records),
        Just(Mode::ClassicMeters),
        Just(Mode::FlexibleMeters),
    ];
    let sold = (1_i64..5, metered(), coupon());
    let trial = prop_oneof![2 => Just(0_i64), 1 => 1_i64..20];
    let next = prop_oneof![Just(None), phase().prop_map(Some)];
    // At most 10 × 200 hours, which is less than three months. Whole days often end with a period.
    let hours = prop_oneof![
        (1_i64..200).boxed(),
        (1_i64..9).prop_map(|days| days * 24).boxed()
    ];
    let acts = prop::collection::vec((hours, act()), 1..10);
    (mode, sold, trial, next, acts).prop_map(|(mode, sold, trial, next, mut acts)| {
        let (seats, metered, coupon) = sold;
        if next.is_some() {
            // The end of a subscription with a schedule cannot be changed by a request.
            acts.retain(|(_, act)| !matches!(act, Act::CancelAtPeriodEnd(_)));
        }
        Case {
            mode,
            seats,
            metered,
            coupon,
            // A trial of the first phase ends with it or before.
            trial: next.as_ref().map_or(trial, |next| trial.min(next.day)),
            next,
            acts,
        }
    })
}

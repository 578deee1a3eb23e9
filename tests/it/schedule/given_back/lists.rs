//! Lists of an org's steps in one month, and what the org owes in the end.

/// A step on one day of January 2023, which has 31 days.
pub(super) enum Step {
    /// Makes payments fail from now on.
    Decline,
    /// Subscribes to plans or features now.
    To(&'static [&'static str]),
    /// Subscribes now, with a coupon.
    With(&'static str, &'static [&'static str]),
    /// Subscribes now, until ten days later.
    ForTenDays(&'static [&'static str]),
    /// Schedules plans or features for a minute later, or the end of the subscription if there are none.
    Later(&'static [&'static str]),
    /// Ends the subscription.
    Cancel,
    /// Reads the org, which settles earlier changes.
    Read,
    /// Sets the quantity to 50 seats in Stripe, and invoices them at once.
    Raise,
    /// Voids the newest invoice in Stripe.
    Void,
}

use Step::{Cancel, Decline, ForTenDays, Later, Raise, Read, To, Void, With};

/// A day costs 100 cents on A and on the yearly plan, 300 on B, and 500 on X.
pub(super) const A: &str = "plan:a@1";
pub(super) const B: &str = "plan:b@1";
pub(super) const X: &str = "plan:x@1";
pub(super) const YEAR: &str = "plan:year@1";
pub(super) const FREE: &str = "plan:free@1";

/// A name, the steps with their days, and the cents that the org owes in the end.
pub(super) type List = (&'static str, &'static [(u32, Step)], i64);

pub(super) const LISTS: &[List] = &[
    // The org changes its plan and changes back within a second.
    (
        "away and back in one second, beside what waits",
        &[
            (0, Decline),
            (0, To(&[A])),
            (1, To(&[B])),
            (2, To(&[A])),
            (2, To(&[B])),
            (4, Cancel),
        ],
        1000,
    ),
    (
        "a year and back in one second",
        &[
            (0, Decline),
            (0, To(&[A])),
            (1, To(&[B])),
            (2, To(&[YEAR])),
            (2, To(&[B])),
            (4, Cancel),
        ],
        1000,
    ),
    // The org changes its plan and changes back, more than once.
    (
        "there and back twice, then a scheduled downgrade",
        &[
            (0, To(&[B])),
            (1, To(&[A])),
            (2, To(&[B])),
            (3, To(&[A])),
            (4, To(&[B])),
            (4, Later(&[A])),
            (5, Cancel),
        ],
        900,
    ),
    (
        "there and back, then a year that is declined",
        &[
            (0, To(&[B])),
            (1, To(&[A])),
            (2, To(&[B])),
            (3, Decline),
            (3, To(&[YEAR])),
            (4, Cancel),
        ],
        800,
    ),
    // A scheduled change or end of an unpaid plan.
    (
        "a scheduled end",
        &[(0, Decline), (0, To(&[A])), (0, Later(&[]))],
        0,
    ),
    (
        "a plan for ten days",
        &[(0, Decline), (0, ForTenDays(&[A])), (11, Read)],
        1000,
    ),
    (
        "a scheduled downgrade",
        &[(0, Decline), (0, To(&[B])), (0, Later(&[A])), (10, Cancel)],
        1000,
    ),
    (
        "a year, and then a scheduled month",
        &[
            (0, Decline),
            (0, To(&[YEAR])),
            (0, Later(&[A])),
            (10, Cancel),
        ],
        1000,
    ),
    (
        "a scheduled year",
        &[
            (0, Decline),
            (0, To(&[A])),
            (10, Later(&[YEAR])),
            (20, Cancel),
        ],
        2000,
    ),
    (
        "a scheduled end of what was paid",
        &[(0, To(&[A])), (10, Later(&[]))],
        1000,
    ),
    // A discount that has ended.
    (
        "a coupon for one time",
        &[(0, With("free", &[B])), (10, To(&[FREE]))],
        0,
    ),
    (
        "a coupon for one time, then a year",
        &[(0, With("free", &[B])), (10, To(&[YEAR])), (20, Cancel)],
        1000,
    ),
    (
        "a coupon for one time, then an end",
        &[(0, With("free", &[B])), (10, Cancel)],
        0,
    ),
    (
        "a coupon that is taken away",
        &[(0, With("half", &[B])), (10, With("", &[FREE]))],
        1500,
    ),
    (
        "a coupon for one time, then a schedule",
        &[(0, With("free", &[B])), (10, Later(&[FREE]))],
        0,
    ),
    (
        "a coupon that goes on",
        &[(0, With("half", &[B])), (10, To(&[A])), (20, Cancel)],
        2000,
    ),
    // Paid time that was credited on an unpaid invoice.
    (
        "a month, then a year",
        &[
            (0, To(&[B])),
            (10, Decline),
            (10, To(&[YEAR])),
            (20, Cancel),
        ],
        4000,
    ),
    (
        "a month, a year, then free",
        &[
            (0, To(&[B])),
            (10, Decline),
            (10, To(&[YEAR])),
            (20, To(&[FREE])),
        ],
        4000,
    ),
    (
        "two months, then a year",
        &[
            (0, To(&[A])),
            (5, To(&[B])),
            (10, Decline),
            (10, To(&[YEAR])),
            (20, Cancel),
        ],
        3000,
    ),
    (
        "a raise",
        &[(0, To(&[A])), (10, Decline), (10, Raise), (20, Cancel)],
        51_000,
    ),
    (
        "a raise, then free",
        &[(0, To(&[A])), (10, Decline), (10, Raise), (20, To(&[FREE]))],
        51_000,
    ),
    (
        "a void raise",
        &[
            (0, To(&[A])),
            (10, Decline),
            (10, Raise),
            (10, Void),
            (20, Cancel),
        ],
        2000,
    ),
    // Several charges on one unpaid invoice.
    (
        "one of two goes, then the other",
        &[
            (0, Decline),
            (0, To(&[A, X])),
            (10, To(&[X])),
            (20, To(&[FREE])),
        ],
        11_000,
    ),
    (
        "both go in one second",
        &[
            (0, Decline),
            (0, To(&[A, X])),
            (10, To(&[X])),
            (10, To(&[FREE])),
        ],
        6000,
    ),
    (
        "one goes, the other ends",
        &[(0, Decline), (0, To(&[A, X])), (10, To(&[A])), (20, Cancel)],
        7000,
    ),
    // Unpaid charges and pending items.
    (
        "unpaid beside waiting",
        &[(0, Decline), (0, To(&[A])), (10, To(&[A, X])), (20, Cancel)],
        7000,
    ),
    (
        "unpaid beside waiting, then a year",
        &[
            (0, Decline),
            (0, To(&[A])),
            (10, To(&[A, X])),
            (20, To(&[YEAR])),
            (30, Cancel),
        ],
        8000,
    ),
    (
        "there and back",
        &[
            (0, Decline),
            (0, To(&[A])),
            (10, To(&[B])),
            (20, To(&[A])),
            (30, Cancel),
        ],
        5000,
    ),
];

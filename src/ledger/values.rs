//! Basic types of the ledger.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

macro_rules! text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(
    /// An org. The ledger does not interpret the text.
    Org
);
text!(
    /// A feature. The ledger does not interpret the text.
    Feature
);
text!(
    /// The id of the subscription item that bills the usage.
    Item
);
text!(
    /// The id of a reservation, chosen by the caller.
    ReservationId
);

/// An instant, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Time(i64);

/// One second, in milliseconds.
pub(super) const SECOND: i64 = 1_000;
/// One minute, in milliseconds.
pub(super) const MINUTE: i64 = 60 * SECOND;
/// One hour, in milliseconds.
pub(crate) const HOUR: i64 = 60 * MINUTE;

impl Time {
    /// The instant `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The instant `seconds` seconds after the Unix epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(SECOND))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(SECOND)
    }

    /// The instant `millis` milliseconds later; earlier if negative.
    #[must_use]
    pub const fn plus(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

/// A billing period. The end is exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Period {
    /// Its first instant.
    pub start: Time,
    /// The first instant after it.
    pub end: Time,
}

impl Period {
    /// Whether `at` is within it.
    pub fn contains(&self, at: Time) -> bool {
        self.start <= at && at < self.end
    }
}

/// How the reports of a period are aggregated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// The sum.
    Sum,
    /// The maximum.
    Max,
    /// The last report.
    Last,
    /// The last report, which carries over from period to period.
    Perpetual,
}

impl Aggregate {
    /// Whether the figure is a level, which follows the feature from item to item, rather than a quantity consumed on
    /// one item.
    pub fn is_level(self) -> bool {
        self != Self::Sum
    }

    /// Its name in the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Max => "max",
            Self::Last => "last",
            Self::Perpetual => "perpetual",
        }
    }

    /// The aggregate with this [name](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Sum, Self::Max, Self::Last, Self::Perpetual]
            .into_iter()
            .find(|aggregate| aggregate.name() == name)
    }
}

/// A billing meter, and the customer whose events it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meter {
    /// `mtr_…`.
    pub id: Arc<str>,
    /// `cus_…`.
    pub customer: Arc<str>,
}

/// The number of an org's plan among processes that share a ledger. A plan change makes it odd when it begins and even
/// when it ends, so each plan has a new number. Always 0 if the ledger is not shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlanNumber(pub i64);

impl PlanNumber {
    /// Whether the plan is being changed.
    pub fn is_changing(self) -> bool {
        self.0 % 2 != 0
    }

    /// The number after the change in progress, if there is one.
    #[must_use]
    pub fn after_change(self) -> Self {
        Self(self.0 + self.0 % 2)
    }
}

/// The item and period that bill usage of a feature now, according to the org's subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The org.
    pub org: Org,
    /// The feature.
    pub feature: Feature,
    /// The org's current metered item for the feature.
    pub item: Item,
    /// When the item's subscription began. Levels of an earlier subscription no longer apply.
    pub since: Time,
    /// The meter of the item's price; `None`: its usage is recorded on the item.
    pub meter: Option<Meter>,
    /// How the item's price aggregates.
    pub aggregate: Aggregate,
    /// The running period.
    pub period: Period,
    /// The period before it, if the org had this item in it.
    pub previous: Option<Period>,
    /// When the item was created.
    pub item_start: Time,
    /// When the item is scheduled to end, if it is.
    pub item_end: Option<Time>,
    /// The number of the org's plan before the subscription was read from Stripe.
    pub plan: PlanNumber,
}

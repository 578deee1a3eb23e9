//! The words of the ledger: who, what, where and when.

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
    /// Whose usage it is. The ledger gives the text no meaning.
    Org
);
text!(
    /// What is used. The ledger gives the text no meaning.
    Feature
);
text!(
    /// What the usage is billed on: the id of one item of one subscription.
    Item
);
text!(
    /// The id of a reservation, made by the caller.
    ReservationId
);

/// Milliseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Time(i64);

/// One second, in milliseconds.
pub(super) const SECOND: i64 = 1_000;
/// One minute, in milliseconds.
pub(super) const MINUTE: i64 = 60 * SECOND;
/// One hour, in milliseconds.
pub(super) const HOUR: i64 = 60 * MINUTE;

impl Time {
    /// The instant that many milliseconds after 1970 began.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The instant that many seconds after 1970 began.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(SECOND))
    }

    /// Milliseconds since 1970.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(SECOND)
    }

    /// The instant `millis` later; earlier if negative.
    #[must_use]
    pub const fn plus(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

/// A billing period, without its end.
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

/// How the reports of a period become one figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// They are added.
    Sum,
    /// The largest counts.
    Max,
    /// The last one counts.
    Last,
    /// The last one counts, and stays from period to period.
    Perpetual,
}

impl Aggregate {
    /// Whether the figure is a level, which follows the feature from item to item, and not an amount used up on one.
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

    /// The aggregate of that [name](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Sum, Self::Max, Self::Last, Self::Perpetual]
            .into_iter()
            .find(|aggregate| aggregate.name() == name)
    }
}

/// Where usage of a feature goes now: what the caller knows from the org's subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whose usage.
    pub org: Org,
    /// Of what.
    pub feature: Feature,
    /// The metered item that the org has for it now.
    pub item: Item,
    /// When the item's subscription began. A level of an earlier one is over.
    pub since: Time,
    /// How the item's price aggregates.
    pub aggregate: Aggregate,
    /// The running period.
    pub period: Period,
    /// The period before it, if the org had this item in it.
    pub previous: Option<Period>,
    /// When the item was created.
    pub item_start: Time,
    /// When it is planned to go, if it is.
    pub item_end: Option<Time>,
}

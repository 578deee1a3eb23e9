//! What is kept of usage: totals, and the entries that they are the result of.

use std::sync::Arc;

use super::super::values::{Aggregate, Feature, Item, Org, Period, Time};

/// A total's number in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TotalId(pub u64);

/// The total of one item in one period, and what Stripe has been told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Total {
    /// Its number.
    pub id: TotalId,
    /// Whose usage.
    pub org: Org,
    /// Of what.
    pub feature: Feature,
    /// The item that it is billed on.
    pub item: Item,
    /// How reports become the total.
    pub aggregate: Aggregate,
    /// The period that it is billed for.
    pub period: Period,
    /// When the item was created.
    pub item_start: Time,
    /// When it is planned to go, as far as the last report knew.
    pub item_end: Option<Time>,
    /// The total: what Stripe is to bill of what came through the ledger.
    pub n: i64,
    /// The `at` of the report that made a level what it is.
    pub level_at: Option<Time>,
    /// What others recorded on the item: added to a `sum`; the level that Stripe shows if it is above the ledger's `max`.
    pub others: i64,
    /// Whether Stripe's summary of the item was read before the first delivery.
    pub adopted: bool,
    /// A level that has left this item and has not reached the next one.
    pub detached: Option<i64>,
    /// What Stripe has been told.
    pub delivery: Delivery,
    /// Set if Stripe refused it for good.
    pub parked: Option<Parked>,
    /// What Stripe billed, once the period is settled.
    pub settled: Option<i64>,
}

/// What Stripe has been told of a total.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The second that the total is recorded at; chosen once.
    pub timestamp: Option<i64>,
    /// Whether the next set takes a later timestamp, because others recorded after this one.
    pub moved: bool,
    /// The number of the last set.
    pub number: u64,
    /// The last set, while it has no definite answer.
    pub open: Option<OpenSet>,
    /// What the last answered set said.
    pub told: i64,
    /// Whether a set later than the last answered one may have been recorded.
    pub unsure: bool,
    /// Whether Stripe's summary must be read.
    pub check: Check,
    /// When the total first differed from what Stripe was told.
    pub changed: Option<Time>,
    /// When a set or a summary was last handed out.
    pub sent: Option<Time>,
}

/// A set that was stored and has no definite answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenSet {
    /// The total that it says.
    pub n: i64,
    /// The second that it is recorded at.
    pub timestamp: i64,
    /// When it was stored.
    pub since: Time,
}

/// When Stripe's summary of an item must be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Check {
    /// It need not.
    #[default]
    No,
    /// Before the next set.
    BeforeNext,
    /// After the next set.
    AfterNext,
}

/// Usage that Stripe refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Stripe's reason.
    pub reason: Arc<str>,
    /// Since when.
    pub since: Time,
}

impl Total {
    /// Whether Stripe has yet to be told the total.
    pub fn is_undelivered(&self) -> bool {
        self.delivery.open.is_some() || self.needs_set()
    }

    /// When usage can no longer be recorded on the item for the period.
    pub(super) fn end(&self) -> Time {
        self.item_end
            .map_or(self.period.end, |end| end.min(self.period.end))
    }

    /// Whether a set with the present total must follow the last one.
    pub(super) fn needs_set(&self) -> bool {
        self.delivery.unsure || self.n != self.delivery.told
    }

    /// Whether it is a level that the ledger knows; it may be 0.
    pub(super) fn has_level(&self) -> bool {
        self.aggregate.is_level() && (self.level_at.is_some() || self.n != 0)
    }

    /// The figure that Stripe should bill, with what others recorded.
    pub fn billable(&self) -> i64 {
        match self.aggregate {
            Aggregate::Sum => self.n.saturating_add(self.others),
            Aggregate::Max => self.n.max(self.others),
            Aggregate::Last | Aggregate::Perpetual => self.n,
        }
    }
}

/// How Stripe's summary of an item and period is not what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// It has so much more than the ledger knows of, which others may have recorded.
    Others(i64),
    /// It has a figure that nothing explains.
    Wrong,
}

impl Total {
    /// How a summary that says `value` is not what Stripe was told; `None`: it is, or that cannot be said.
    pub fn mismatch(&self, value: i64) -> Option<Mismatch> {
        let delivery = &self.delivery;
        if delivery.unsure {
            return None;
        }
        // A set without a definite answer is recorded or not.
        let open = delivery.open.map(|open| open.n);
        let told = [Some(delivery.told), open].into_iter().flatten();
        let expected = told.map(|told| match self.aggregate {
            Aggregate::Sum => told.saturating_add(self.others),
            Aggregate::Max => told.max(self.others),
            Aggregate::Last | Aggregate::Perpetual => told,
        });
        let expected: Vec<i64> = expected.collect();
        let most = expected.iter().copied().max()?;
        match self.aggregate {
            _ if expected.contains(&value) => None,
            Aggregate::Sum | Aggregate::Max if value > most => {
                Some(Mismatch::Others(value.saturating_sub(most)))
            }
            _ => Some(Mismatch::Wrong),
        }
    }
}

/// The number of an entry: ascending in the order of acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(pub u64);

/// One change of a total. Entries are only ever appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub id: EntryId,
    /// The total that it changes.
    pub total: TotalId,
    /// When it was accepted.
    pub accepted: Time,
    /// When the usage happened.
    pub at: Time,
    /// What it is.
    pub kind: EntryKind,
    /// Units.
    pub n: i64,
    /// The total after it.
    pub after: i64,
    /// The caller's idempotency key, with the org that it belongs to.
    pub key: Option<(Org, Key)>,
}

/// An idempotency key, and the request that it was given with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key as the caller gave it. Keys that ascend with time are cheapest to store.
    pub text: Arc<str>,
    /// A digest of the request.
    pub body: [u8; 16],
}

/// What an entry is, and so how it changes the total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A report: aggregated with what is there. Negative: a refund.
    Report,
    /// A committed reservation: aggregated with what is there.
    Commit,
    /// A clobber: takes the place of what is there.
    Clobber,
    /// A level that came from another item or period: takes the place of what is there.
    CarryIn,
    /// A level that left the item: takes the place of what is there.
    CarryOut,
    /// Usage that came too late for its period, in the period that it is billed in: added.
    LateIn,
    /// Usage that came too late for this period: added, with the opposite sign of its `LateIn`.
    LateOut,
    /// The level that an adopted item had: takes the place of what is there.
    Adopt,
    /// Parked usage that was written off: takes the place of what is there.
    WriteOff,
}

impl EntryKind {
    const ALL: [(Self, &str); 9] = [
        (Self::Report, "report"),
        (Self::Commit, "commit"),
        (Self::Clobber, "clobber"),
        (Self::CarryIn, "carry_in"),
        (Self::CarryOut, "carry_out"),
        (Self::LateIn, "late_in"),
        (Self::LateOut, "late_out"),
        (Self::Adopt, "adopt"),
        (Self::WriteOff, "write_off"),
    ];

    /// Its name in the store.
    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(kind, _)| *kind == self);
        found.expect("all kinds are listed").1
    }

    /// The kind of that [name](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, known)| *known == name);
        found.map(|(kind, _)| *kind)
    }
}

/// The largest total: Stripe takes no larger quantity.
pub const LARGEST: i64 = (1 << 53) - 1;

/// A total's figure and the time of its level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figure {
    /// The total.
    pub n: i64,
    /// The `at` of the report that made a level what it is.
    pub level_at: Option<Time>,
}

impl Figure {
    /// The figure after an entry; `None` if it would be below zero or too large to count.
    ///
    /// A negative report lowers any aggregate by its size. A level reported for an earlier time than the one that is there
    /// changes nothing. This is the only arithmetic of totals: a ledger is verified by doing it again.
    pub fn after(self, aggregate: Aggregate, kind: EntryKind, n: i64, at: Time) -> Option<Self> {
        let is_newest = self.level_at.is_none_or(|level_at| at >= level_at);
        let latest = Some(self.level_at.map_or(at, |level_at| level_at.max(at)));
        let n = match kind {
            EntryKind::Report | EntryKind::Commit => match aggregate {
                _ if n < 0 => self.n.checked_add(n)?,
                Aggregate::Sum => self.n.checked_add(n)?,
                Aggregate::Max => self.n.max(n),
                Aggregate::Last | Aggregate::Perpetual if is_newest => n,
                Aggregate::Last | Aggregate::Perpetual => self.n,
            },
            EntryKind::LateIn | EntryKind::LateOut => self.n.checked_add(n)?,
            EntryKind::Clobber
            | EntryKind::CarryIn
            | EntryKind::CarryOut
            | EntryKind::Adopt
            | EntryKind::WriteOff => n,
        };
        let level_at = latest.filter(|_| aggregate.is_level());
        (0..=LARGEST).contains(&n).then_some(Self { n, level_at })
    }
}

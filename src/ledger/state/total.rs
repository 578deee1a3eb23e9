//! Totals, and the entries that change them.

use std::sync::Arc;

use super::super::values::{Aggregate, Feature, Item, MINUTE, Meter, Org, Period, SECOND, Time};

/// A total's number in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TotalId(pub u64);

/// The total of one item in one period, and its delivery to Stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Total {
    /// Its number.
    pub id: TotalId,
    /// The org that used it.
    pub org: Org,
    /// The feature.
    pub feature: Feature,
    /// The item that bills it.
    pub item: Item,
    /// The meter of the item's price; `None`: Stripe has the total as a usage record on the item.
    pub meter: Option<Meter>,
    /// How reports are aggregated.
    pub aggregate: Aggregate,
    /// The billing period.
    pub period: Period,
    /// When the item was created.
    pub item_start: Time,
    /// When the item is scheduled to end, as of the last report.
    pub item_end: Option<Time>,
    /// The total of the usage reported through the ledger.
    pub n: i64,
    /// The `at` of the report that set the current level.
    pub level_at: Option<Time>,
    /// External usage: recorded on the item by other programs. For a `sum` it is added; for a `max` it is the level in
    /// Stripe if that is higher than the ledger's.
    pub external: i64,
    /// Whether Stripe's summary of the item was read before the first delivery.
    pub adopted: bool,
    /// The state of its delivery.
    pub delivery: Delivery,
    /// Set if Stripe refused it permanently.
    pub parked: Option<Parked>,
    /// The quantity that Stripe billed, once the total is settled.
    pub settled: Option<i64>,
}

/// The state of a total's delivery to Stripe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The second at which the total is recorded; chosen once. With a meter: the second of the last event.
    pub timestamp: Option<i64>,
    /// Whether the next set takes a later timestamp, because another program recorded usage after this one.
    pub moved: bool,
    /// With a meter: the total's quantity in the minute of the last answered event.
    pub in_minute: i64,
    /// The number of the last set or event.
    pub number: u64,
    /// The last set or event, while it is unanswered.
    pub open: Option<OpenSet>,
    /// The quantity of the last answered set, or of all answered events of a sum.
    pub delivered: i64,
    /// Whether Stripe may have recorded a set later than the last answered one, or counted an event of a parked total,
    /// so that `delivered` is uncertain.
    pub unsure: bool,
    /// Whether Stripe's summary must be read.
    pub check: Check,
    /// When the total first differed from the delivered quantity.
    pub changed: Option<Time>,
    /// When a set, or a summary that is no comparison, was last handed out.
    pub sent: Option<Time>,
    /// With a meter: how often the last event was handed out. 0 if a version of tier sent it that did not count
    /// attempts.
    pub attempts: u64,
    /// With a meter: the last comparison, while `check` requests one.
    pub compared: Option<Comparison>,
}

/// A comparison of a total with its meter's summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// When it was begun.
    pub at: Time,
    /// The summary as it was last read, if it was too low.
    pub value: Option<i64>,
}

/// A stored set or event without a definite answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenSet {
    /// Its quantity. For an event of a sum, this is a change of the total.
    pub n: i64,
    /// Its `timestamp`, in seconds.
    pub timestamp: i64,
    /// When it was stored.
    pub since: Time,
}

/// When Stripe's summary of an item must be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Check {
    /// Never.
    #[default]
    No,
    /// Before the next set.
    BeforeNext,
    /// After the next set.
    AfterNext,
}

/// Usage that Stripe refused permanently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Stripe's reason.
    pub reason: Arc<str>,
    /// When it was parked.
    pub since: Time,
}

impl Total {
    /// Whether the total is not fully delivered.
    pub fn is_undelivered(&self) -> bool {
        self.delivery.open.is_some() || self.needs_set()
    }

    /// When usage can no longer be recorded on the item for the period.
    pub(super) fn end(&self) -> Time {
        self.item_end
            .map_or(self.period.end, |end| end.min(self.period.end))
    }

    /// Whether another set must follow the last one.
    pub(super) fn needs_set(&self) -> bool {
        self.delivery.unsure || self.n != self.delivery.delivered
    }

    /// Whether the ledger knows a level, which may be 0.
    pub(super) fn has_level(&self) -> bool {
        self.aggregate.is_level() && (self.level_at.is_some() || self.n != 0)
    }

    /// Notes that Stripe has recorded `open`.
    pub(super) fn record_delivered(&mut self, open: OpenSet) {
        let delivery = &mut self.delivery;
        delivery.delivered = delivered_after(
            self.meter.is_some(),
            self.aggregate,
            delivery.delivered,
            open.n,
        );
        if self.meter.is_some() {
            delivery.in_minute = delivered_after(true, self.aggregate, delivery.in_minute, open.n);
        }
        delivery.unsure = false;
    }

    /// The quantity that Stripe should bill, including usage that other programs recorded.
    pub fn billable(&self) -> i64 {
        match self.aggregate {
            Aggregate::Sum => self.n.saturating_add(self.external),
            Aggregate::Max => self.n.max(self.external),
            Aggregate::Last | Aggregate::Perpetual => self.n,
        }
    }
}

/// The quantity that Stripe has after a set, or an event, of `n`. An event of a sum adds to the quantity `before`.
pub(super) fn delivered_after(on_meter: bool, aggregate: Aggregate, before: i64, n: i64) -> i64 {
    if on_meter && aggregate == Aggregate::Sum {
        before.saturating_add(n)
    } else {
        n
    }
}

/// How Stripe's summary of an item and period differs from the delivered quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// It exceeds the expected quantity by this much, which other programs may have recorded.
    External(i64),
    /// It has an unexplained value.
    Wrong,
}

impl Total {
    /// How a summary of `value` differs from the delivered quantity; `None` if it does not, or if the delivered
    /// quantity is uncertain.
    pub fn mismatch(&self, value: i64) -> Option<Mismatch> {
        let delivery = &self.delivery;
        if delivery.unsure {
            return None;
        }
        // An unanswered set may or may not be recorded.
        let open = delivery.open.map(|open| {
            delivered_after(
                self.meter.is_some(),
                self.aggregate,
                delivery.delivered,
                open.n,
            )
        });
        let delivered = [Some(delivery.delivered), open].into_iter().flatten();
        let expected = delivered.map(|delivered| match self.aggregate {
            Aggregate::Sum => delivered.saturating_add(self.external),
            Aggregate::Max => delivered.max(self.external),
            Aggregate::Last | Aggregate::Perpetual => delivered,
        });
        let expected: Vec<i64> = expected.collect();
        let highest = expected.iter().copied().max()?;
        match self.aggregate {
            _ if expected.contains(&value) => None,
            Aggregate::Sum | Aggregate::Max if value > highest => {
                Some(Mismatch::External(value.saturating_sub(highest)))
            }
            _ => Some(Mismatch::Wrong),
        }
    }
}

/// The number of an entry. Numbers ascend in the order of acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(pub u64);

/// One change of a total. Entries are append-only.
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
    /// The kind of change.
    pub kind: EntryKind,
    /// Units.
    pub n: i64,
    /// The resulting total.
    pub after: i64,
    /// The caller's idempotency key, with the org that it belongs to.
    pub key: Option<(Org, Key)>,
}

/// An idempotency key, and the request that used it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The caller's key. Keys that ascend with time are cheapest to store.
    pub text: Arc<str>,
    /// A digest of the request.
    pub body: [u8; 16],
}

/// The kind of an entry, which decides how it changes the total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A report: aggregated with the total. Negative: a refund.
    Report,
    /// A committed reservation: aggregated with the total.
    Commit,
    /// A clobber: replaces the total.
    Clobber,
    /// A level that came from another item or period: replaces the total.
    CarryIn,
    /// A level that left the item: replaces the total.
    CarryOut,
    /// Late usage of an earlier period, in the period that bills it: added.
    LateIn,
    /// Late usage that moved to a later period: added, with the opposite sign of its `LateIn`.
    LateOut,
    /// The existing level of an adopted item: replaces the total.
    Adopt,
    /// Parked usage that was written off: replaces the total.
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

    /// The kind with this [name](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, known)| *known == name);
        found.map(|(kind, _)| *kind)
    }
}

/// The largest total: Stripe takes no larger quantity.
pub const LARGEST: i64 = (1 << 53) - 1;
/// The largest total with a meter. Stripe accepts events whose values have too many digits and drops them later; it
/// does not document how many digits are too many.
pub const LARGEST_ON_METER: i64 = 999_999_999_999_999;

/// The first second of the minute that a second is in. Stripe sums up events by minutes.
pub(super) fn minute_of(second: i64) -> i64 {
    Time::from_seconds(second).millis().div_euclid(MINUTE) * (MINUTE / SECOND)
}

/// A total's figure and the time of its level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figure {
    /// The total.
    pub n: i64,
    /// The `at` of the report that set the current level.
    pub level_at: Option<Time>,
}

impl Figure {
    /// The figure after an entry; `None` if it would be negative or exceed [`LARGEST`].
    ///
    /// A negative report lowers any aggregate by its size. A level reported for an earlier time than the current one
    /// changes nothing. This is the only arithmetic of totals: `verify` repeats it.
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

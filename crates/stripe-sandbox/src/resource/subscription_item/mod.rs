//! The items of a subscription.

pub(crate) mod changes_input;
mod clear_usage;
pub(crate) mod input;
pub(crate) mod routes;
mod usage;
pub(crate) mod view;

use crate::money::period::BillingInterval;
use crate::money::usage::Records;
use crate::params::metadata::Metadata;
use crate::store::ids::Id;
use crate::store::table::Row;

const NAME: &str = "subscription item";

impl Row for Item {
    fn id(&self) -> &Id {
        &self.id
    }
}

/// An item: one price of a subscription.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) id: Id,
    pub(crate) price: Id,
    /// How often the price recurs.
    pub(crate) interval: BillingInterval,
    /// The quantity of a licensed price; `None` for a metered one.
    pub(crate) quantity: Option<i64>,
    pub(crate) created: i64,
    /// The time from which usage counts: the creation or an earlier start date, the time when the item became metered
    /// or its usage was cleared, or the time up to which a previous item has counted.
    pub(crate) counts_since: i64,
    pub(crate) metadata: Metadata,
    pub(crate) records: Records,
    /// The charges for the running period that are not credited yet. Only flexible billing uses them.
    pub(crate) debits: Vec<Debit>,
}

/// A charge for an item in advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Debit {
    pub(crate) quantity: i64,
    /// In cents, after discounts.
    pub(crate) amount: i64,
    pub(crate) period: (i64, i64),
}

/// An item that a subscription is to have, from a phase or a request.
#[derive(Clone, Debug)]
pub(crate) struct ItemSpec {
    /// The item to change, if a request names one; otherwise it is matched by price.
    pub(crate) item: Option<Id>,
    pub(crate) price: Id,
    /// How often the price recurs.
    pub(crate) interval: BillingInterval,
    /// `None` exactly for metered prices.
    pub(crate) quantity: Option<i64>,
    /// Whether a request adds it. It then replaces no item, not even a deleted one with the same price.
    pub(crate) is_new: bool,
    /// Whether the usage so far is dropped. Otherwise it moves with the item to another metered price.
    pub(crate) clear_usage: bool,
    pub(crate) metadata: Metadata,
}

impl ItemSpec {
    /// Whether the item already has the price and quantity of the spec.
    pub(crate) fn matches_item(&self, item: &Item) -> bool {
        item.price == self.price && item.quantity == self.quantity
    }
}

/// A spec that keeps an item unchanged.
pub(crate) fn unchanged_spec(item: &Item) -> ItemSpec {
    ItemSpec {
        item: Some(item.id.clone()),
        price: item.price.clone(),
        interval: item.interval,
        quantity: item.quantity,
        is_new: false,
        clear_usage: false,
        metadata: item.metadata.clone(),
    }
}

/// The shortest interval of items.
pub(crate) fn shortest_interval(specs: &[ItemSpec]) -> BillingInterval {
    let shortest = specs
        .iter()
        .map(|spec| spec.interval)
        .min_by_key(|interval| interval.length());
    shortest.expect("a subscription has at least one item")
}

/// The largest quantity of a licensed price or usage record, which JavaScript clients can still read exactly.
pub(crate) const MAX_QUANTITY: i64 = 9_007_199_254_740_991;

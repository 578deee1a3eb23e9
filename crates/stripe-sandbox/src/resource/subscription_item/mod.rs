//! The items of a subscription.

pub(crate) mod changes_input;
mod clear_usage;
pub(crate) mod input;
pub(crate) mod routes;
mod usage;
pub(crate) mod view;

use crate::money::usage::Records;
use crate::params::metadata::Metadata;
use crate::store::ids::Id;
use crate::store::table::Row;

const WHAT: &str = "subscription item";

impl Row for Item {
    fn id(&self) -> &Id {
        &self.id
    }
}

/// One price of a subscription.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) id: Id,
    pub(crate) price: Id,
    /// Units of a licensed price; a metered one has none.
    pub(crate) quantity: Option<i64>,
    pub(crate) created: i64,
    /// From when usage counts for it: its creation, or when it became metered or lost its usage.
    pub(crate) since: i64,
    pub(crate) metadata: Metadata,
    pub(crate) records: Records,
}

/// What a subscription is to hold: a phase's item, or one of a request.
#[derive(Clone, Debug)]
pub(crate) struct ItemSpec {
    /// The item that it changes, where a request names one; else it is matched by its price.
    pub(crate) item: Option<Id>,
    pub(crate) price: Id,
    /// `None` exactly for metered prices.
    pub(crate) quantity: Option<i64>,
    /// Whether a request adds it: it takes the place of no item, not even of one of the same price that it deletes.
    pub(crate) is_new: bool,
    /// Whether the usage so far is dropped: else it moves with the item to another metered price.
    pub(crate) clear_usage: bool,
    pub(crate) metadata: Metadata,
}

impl ItemSpec {
    /// Whether the item is this spec already.
    pub(crate) fn sells(&self, item: &Item) -> bool {
        item.price == self.price && item.quantity == self.quantity
    }
}

/// An item as it is, as a spec.
pub(crate) fn kept(item: &Item) -> ItemSpec {
    ItemSpec {
        item: Some(item.id.clone()),
        price: item.price.clone(),
        quantity: item.quantity,
        is_new: false,
        clear_usage: false,
        metadata: item.metadata.clone(),
    }
}

/// No quantity of a licensed price or of a usage record is larger, so that what JavaScript clients read is exact.
pub(crate) const MAX_QUANTITY: i64 = 9_007_199_254_740_991;

//! Balance transactions: what a charge or a refund does to the account's balance. They are read off the charges and
//! refunds that make them, and are not kept.

pub(crate) mod routes;
pub(crate) mod view;

use crate::store::ids::Id;

const WHAT: &str = "balance transaction";

const PREFIX: &str = "txn_";

/// The id of the transaction that a charge or a refund has made.
pub(crate) fn id_of(source: &str) -> Id {
    let own = source.split_once('_').map_or(source, |(_, own)| own);
    format!("{PREFIX}{own}").into()
}

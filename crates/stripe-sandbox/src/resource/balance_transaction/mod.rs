//! Balance transactions: the effects of charges and refunds on the account's balance. They are derived from charges and
//! refunds and are not stored.

pub(crate) mod routes;
pub(crate) mod view;

use crate::store::ids::Id;

const NAME: &str = "balance transaction";

const PREFIX: &str = "txn_";

/// The id of the transaction of a charge or a refund.
pub(crate) fn id_of(source: &str) -> Id {
    let suffix = source.split_once('_').map_or(source, |(_, suffix)| suffix);
    format!("{PREFIX}{suffix}").into()
}

//! Charges for removed items whose usage Stripe does not bill.

use super::{ItemChange, Transfer, used_of};
use crate::billing::{InvoiceLine, SubscriptionItem};
use crate::domain::refs::FeatureName;
use crate::domain::schedule::usage_charge::UsageCharge;
use crate::domain::usage::UsedByItem;

impl ItemChange<'_> {
    /// Whether the upcoming invoice has lines for all usage of the removed items that are not cleared.
    pub(super) fn is_priced(
        &self,
        transfer: &Transfer,
        used: &UsedByItem,
        lines: &[InvoiceLine],
    ) -> bool {
        self.removed().all(|(_, item)| {
            let mut lines = lines.iter();
            let is_cleared = transfer.cleared.iter().any(|(id, _)| *id == item.id);
            is_cleared
                || used_of(item, used) == 0
                || lines.any(|line| line.subscription_item.as_ref() == Some(&item.id))
        })
    }

    /// What Stripe would have invoiced for the removed items that are not cleared.
    pub(super) fn charges(
        &self,
        transfer: &Transfer,
        used: &UsedByItem,
        lines: &[InvoiceLine],
    ) -> Vec<UsageCharge> {
        let is_cleared =
            |item: &SubscriptionItem| transfer.cleared.iter().any(|(id, _)| *id == item.id);
        let charge = |(_, item): (FeatureName, &SubscriptionItem)| {
            let used = used_of(item, used);
            let bills_item = |line: &&InvoiceLine| {
                line.subscription_item.as_ref() == Some(&item.id) && !line.proration
            };
            let amounts = lines.iter().filter(bills_item).map(|line| line.amount);
            let amount = amounts.fold(0, i64::saturating_add);
            let feature = item.price.feature_plan()?.to_string();
            (used > 0 && amount > 0 && !is_cleared(item)).then(|| UsageCharge {
                amount,
                currency: item.price.currency.clone(),
                used,
                as_of: self.now,
                feature,
            })
        };
        self.removed().filter_map(charge).collect()
    }
}

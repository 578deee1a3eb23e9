//! Stripe's `add_invoice_items`: invoice items that come with a subscription, a change, or a phase.

use super::unbilled_lines::UnbilledLine;
use super::{catalog, pending_items};
use crate::money::lines::Line;
use crate::money::{round_half_up, times};
use crate::resource::invoice_item::{AddedItem, InvoiceItem};
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::ids::Id;

impl AddedItem {
    fn line(&self, account: &Account, period: (i64, i64)) -> Line {
        let price = account.price(&self.price);
        let rate = catalog::rate(price);
        let amount = round_half_up(times(self.quantity.into(), rate));
        Line {
            quantity: self.quantity.into(),
            amount,
            rate,
            description: catalog::product_name(account, price),
            period,
            proration: false,
            discountable: amount >= 0,
        }
    }

    /// The item's line on the invoice that includes it.
    pub(crate) fn unbilled_line(&self, account: &Account, period: (i64, i64)) -> UnbilledLine {
        UnbilledLine {
            line: self.line(account, period),
            price: Some(self.price.clone()),
            item: None,
            invoice_item: None,
        }
    }
}

/// Adds the items as pending invoice items for the subscription's next invoice, in their order. Their lines are for
/// `period`. Returns their ids.
pub(crate) fn add(
    ctx: &mut Ctx<'_>,
    position: u32,
    items: &[AddedItem],
    period: (i64, i64),
    at: i64,
) -> Vec<Id> {
    let add = |item: &AddedItem| {
        let subscription = ctx.account.subscription(position);
        let line = item.line(ctx.account, period);
        let pending = InvoiceItem {
            price: Some(item.price.clone()),
            ..pending_items::of_subscription(subscription, line, at)
        };
        pending_items::add(ctx, pending)
    };
    items.iter().rev().map(add).collect()
}

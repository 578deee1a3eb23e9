//! Pending invoice items: those that no invoice includes yet.

use crate::money::lines::Line;
use crate::params::metadata::Metadata;
use crate::resource::invoice_item::InvoiceItem;
use crate::resource::subscription::Subscription;
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::ids::Id;

impl InvoiceItem {
    /// Whether an invoice of this subscription includes the item. An item of another subscription is included only when
    /// that one has ended.
    fn is_billed_to(&self, account: &Account, subscription: &Subscription) -> bool {
        let live = |id: &Id| {
            let other = account.billing.subscriptions.get(id);
            other.is_some_and(|other| !other.status.is_ended())
        };
        self.currency == subscription.currency
            && self
                .subscription
                .as_ref()
                .is_none_or(|id| *id == subscription.id || !live(id))
    }
}

/// The pending items for a subscription's next invoice, newest first.
pub(crate) fn pending<'a>(
    account: &'a Account,
    subscription: &'a Subscription,
) -> impl Iterator<Item = &'a InvoiceItem> {
    let items = &account.billing.invoice_items;
    let waiting = items.pending(&subscription.customer).rev();
    waiting.filter(|item| item.is_billed_to(account, subscription))
}

/// An item for a subscription's next invoice, without an id and a price.
pub(crate) fn of_subscription(subscription: &Subscription, line: Line, at: i64) -> InvoiceItem {
    InvoiceItem {
        id: Id::default(),
        customer: subscription.customer.clone(),
        clock: subscription.clock.clone(),
        created: at,
        currency: subscription.currency,
        subscription: Some(subscription.id.clone()),
        item: None,
        price: None,
        credited: None,
        line,
        metadata: Metadata::default(),
        invoice: None,
    }
}

/// Stores an item with a new id and records its event.
pub(crate) fn add(ctx: &mut Ctx<'_>, mut item: InvoiceItem) -> Id {
    item.id = ctx.account.ids.next("ii", 24);
    let (id, at) = (item.id.clone(), item.created);
    let object = item.to_json(ctx.account);
    ctx.account.billing.invoice_items.insert(item);
    ctx.event("invoiceitem.created", &object, at);
    id
}

/// Removes the pending prorations of a subscription.
pub(crate) fn remove_prorations(ctx: &mut Ctx<'_>, subscription: u32, at: i64) {
    let subscription = ctx.account.subscription(subscription);
    let items = &ctx.account.billing.invoice_items;
    let is_own_proration = |item: &&InvoiceItem| {
        item.line.proration && item.subscription.as_ref() == Some(&subscription.id)
    };
    let removed: Vec<Id> = items
        .pending(&subscription.customer)
        .filter(is_own_proration)
        .map(|item| item.id.clone())
        .collect();
    for id in removed {
        remove(ctx, &id, at);
    }
}

/// Removes an item and records its event.
pub(crate) fn remove(ctx: &mut Ctx<'_>, id: &Id, at: i64) {
    let items = &mut ctx.account.billing.invoice_items;
    if let Some(item) = items.table.get(id).cloned() {
        items.remove(id);
        let object = item.to_json(ctx.account);
        ctx.event("invoiceitem.deleted", &object, at);
    }
}

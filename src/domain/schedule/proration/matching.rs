//! Finds the charges for time that a change left unused, and Stripe's credits for it. Pure.

use super::history::{History, TimeCharge};
use super::unused_time::Newest;
use super::{StripeCredits, UnusedTime, UnusedTimeCause};
use crate::billing::{InvoiceItem, Subscription};
use crate::domain::schedule::usage_charge::CLOCK_SKEW;

impl History {
    /// The invoice items that were added after the change was decided.
    fn new_items(&self, unused_time: &UnusedTime) -> &[InvoiceItem] {
        let StripeCredits::NewerThan(Newest {
            item: Some(newest), ..
        }) = &unused_time.credits
        else {
            return &self.items;
        };
        // Items are listed newest first.
        let known = self.items.iter().position(|item| item.id == *newest);
        known.map_or(&self.items[..], |known| &self.items[..known])
    }

    /// Whether a charge is older than the decision for the change. A later charge may be for items that the change did
    /// not remove.
    fn existed_before(&self, charge: &TimeCharge, unused_time: &UnusedTime) -> bool {
        let StripeCredits::NewerThan(newest) = &unused_time.credits else {
            return true;
        };
        if let Some(item) = &charge.invoice_item {
            let mut new = self.new_items(unused_time).iter();
            return !new.any(|new| new.id == *item);
        }
        let mut invoices = self.invoices.iter();
        let newest = invoices.position(|invoice| Some(&invoice.id) == newest.invoice.as_ref());
        newest.is_none_or(|newest| charge.invoice >= Some(newest))
    }

    /// When the change took effect by Stripe's clock, in Unix seconds. None if no invoice item shows it.
    fn change_time(&self, unused_time: &UnusedTime) -> Option<i64> {
        if unused_time.cause.is_end() || unused_time.credits == StripeCredits::InSameSecond {
            return Some(unused_time.at);
        }
        let prorations = self.new_items(unused_time).iter();
        let prorations = prorations.filter(|item| item.proration);
        let dates = prorations.map(|item| item.date);
        // Another change may have followed.
        dates
            .filter(|date| (date - unused_time.at).abs() <= CLOCK_SKEW)
            .min()
    }

    /// Stripe's own credits for the unused time.
    pub(super) fn credits(
        &self,
        unused_time: &UnusedTime,
        subscription: &Subscription,
    ) -> Vec<&InvoiceItem> {
        if !unused_time.cause.is_credited() {
            return Vec::new();
        }
        let change_time = self.change_time(unused_time);
        let is_removed = |item: &InvoiceItem, price: &str| {
            unused_time.cause != UnusedTimeCause::RemovedItems
                || !still_has_item(subscription, price, item.subscription_item.as_deref())
        };
        let is_credit = |item: &&InvoiceItem| {
            item.proration
                && item.amount < 0
                && change_time.is_none_or(|change_time| item.date == change_time)
                && item.time_of().is_some_and(|price| is_removed(item, price))
        };
        self.new_items(unused_time)
            .iter()
            .filter(is_credit)
            .collect()
    }

    /// Whether a charge is for the unused time. `credits` are Stripe's credits for it.
    pub(super) fn includes(
        &self,
        charge: &TimeCharge,
        unused_time: &UnusedTime,
        credits: &[&InvoiceItem],
        subscription: &Subscription,
    ) -> bool {
        let is_removed = match (unused_time.cause, &unused_time.credits) {
            (UnusedTimeCause::RemovedItems, credits) => {
                // The replacement is charged from then on. It may have been removed since.
                let is_later = charge.period.start >= unused_time.at;
                let has_item = still_has_item(subscription, &charge.price, charge.item.as_deref());
                !(has_item || is_later && *credits == StripeCredits::InSameSecond)
            }
            _ => true,
        };
        // Stripe may carry out two changes in the other order. Then it credits what the later decision charged.
        let is_credited = || credits.iter().any(|credit| charge.covers(credit));
        is_removed
            && (unused_time.cause.is_end()
                || self.existed_before(charge, unused_time)
                || is_credited())
    }
}

/// Whether a subscription still has the item that was charged for.
fn still_has_item(subscription: &Subscription, price: &str, charged: Option<&str>) -> bool {
    let mut items = subscription.items.iter();
    items.any(|item| item.price.id == price && charged.is_none_or(|charged| charged == item.id))
}

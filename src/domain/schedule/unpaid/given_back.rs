//! Which charges a change gave back, and which credits of Stripe's are for that. Pure.

use super::books::{Books, Charge};
use super::note::Newest;
use super::{Credits, GivenBack, How};
use crate::billing::{InvoiceItem, Subscription};
use crate::domain::schedule::charge::CLOCK_SKEW;

impl Books {
    /// The invoice items that are newer than those that there were when a change was decided.
    fn new_items(&self, given_back: &GivenBack) -> &[InvoiceItem] {
        let Credits::After(Newest {
            item: Some(newest), ..
        }) = &given_back.credits
        else {
            return &self.items;
        };
        // The newest is listed first.
        let known = self.items.iter().position(|item| item.id == *newest);
        known.map_or(&self.items[..], |known| &self.items[..known])
    }

    /// Whether it was charged before a change was decided. What was charged since may be for what the subscription has by
    /// now, and is not given back by that change.
    fn was_there(&self, charge: &Charge, given_back: &GivenBack) -> bool {
        let Credits::After(newest) = &given_back.credits else {
            return true;
        };
        if let Some(item) = &charge.invoice_item {
            let mut new = self.new_items(given_back).iter();
            return !new.any(|new| new.id == *item);
        }
        let mut invoices = self.invoices.iter();
        let newest = invoices.position(|invoice| Some(&invoice.id) == newest.invoice.as_ref());
        newest.is_none_or(|newest| charge.invoice >= Some(newest))
    }

    /// When a change was made by Stripe's own time, Unix seconds; none if no invoice item tells.
    fn moment(&self, given_back: &GivenBack) -> Option<i64> {
        if given_back.how.is_end() || given_back.credits == Credits::ThatSecond {
            return Some(given_back.at);
        }
        let made = self.new_items(given_back).iter();
        let made = made.filter(|item| item.proration);
        let dates = made.map(|item| item.date);
        // Another change may have followed.
        dates
            .filter(|date| (date - given_back.at).abs() <= CLOCK_SKEW)
            .min()
    }

    /// Stripe's own credits for the time that was given back.
    pub(super) fn credits(
        &self,
        given_back: &GivenBack,
        subscription: &Subscription,
    ) -> Vec<&InvoiceItem> {
        if !given_back.how.is_credited() {
            return Vec::new();
        }
        let moment = self.moment(given_back);
        let goes = |item: &InvoiceItem, price: &str| {
            given_back.how != How::Going
                || !is_held(subscription, price, item.subscription_item.as_deref())
        };
        let is_credit = |item: &&InvoiceItem| {
            item.proration
                && item.amount < 0
                && moment.is_none_or(|moment| item.date == moment)
                && item.time_of().is_some_and(|price| goes(item, price))
        };
        self.new_items(given_back)
            .iter()
            .filter(is_credit)
            .collect()
    }

    /// Whether a charge is for time that was given back.
    pub(super) fn includes(
        &self,
        charge: &Charge,
        given_back: &GivenBack,
        subscription: &Subscription,
    ) -> bool {
        let goes = match (given_back.how, &given_back.credits) {
            (How::Going, credits) => {
                // What took its place is charged from then on, and may be gone since.
                let is_later = charge.period.start >= given_back.at;
                let is_held = is_held(subscription, &charge.price, charge.item.as_deref());
                !(is_held || is_later && *credits == Credits::ThatSecond)
            }
            _ => true,
        };
        goes && (given_back.how.is_end() || self.was_there(charge, given_back))
    }
}

/// Whether a subscription still has the item that was charged for.
fn is_held(subscription: &Subscription, price: &str, charged: Option<&str>) -> bool {
    let mut items = subscription.items.data.iter();
    items.any(|item| item.price.id == price && charged.is_none_or(|charged| charged == item.id))
}

//! What was charged for the time of a subscription, and how much of that is not credited yet. Pure.
//!
//! A line of an invoice charges for a period. Credit notes, Stripe's credits and Tier's credits take parts of that
//! back. What remains of each line is what a change may credit, and the state of the invoice decides how: what an
//! unpaid invoice charges is never credited to the customer.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::reduction::{LinePart, share, unused_amount};
use crate::billing::{CreditNote, CreditNoteStatus, Invoice, InvoiceItem, InvoiceStatus, Period};

/// The metadata key, on Tier's credits, of the price whose time is credited.
pub(in crate::domain::schedule) const TIME: &str = "tier.time";

/// All charges and credits for the time of one subscription.
pub(super) struct History {
    pub(super) invoices: Vec<Invoice>,
    /// Invoice items, pending or invoiced: Stripe's prorations and Tier's adjustments.
    pub(super) items: Vec<InvoiceItem>,
    /// The cents, before discounts, that credit notes took off each line.
    credited_by_line: BTreeMap<String, i64>,
    /// The cents, after discounts, that remain of all lines of an invoice together, by its index. Only for invoices of
    /// which a refund, or a credit note without lines, gave something back.
    remaining_totals: BTreeMap<usize, i64>,
}

/// What remains of one charge for time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TimeCharge {
    /// The index of the invoice in the history. None if it is pending.
    pub(super) invoice: Option<usize>,
    /// The invoice item that it came from. None for the regular line of a period.
    pub(super) invoice_item: Option<String>,
    /// The subscription item, if it is known.
    pub(super) item: Option<String>,
    pub(super) price: String,
    pub(super) currency: String,
    pub(super) period: Period,
    pub(super) part: LinePart,
}

impl InvoiceItem {
    /// The price whose time it charges or credits, if it does.
    pub(super) fn time_of(&self) -> Option<&str> {
        let licensed = self.price.as_ref().filter(|price| price.is_licensed());
        let proration = licensed.filter(|_| self.proration);
        let noted = self.metadata.get(TIME).map(String::as_str);
        noted.or(proration.map(|price| price.id.as_str()))
    }
}

impl TimeCharge {
    /// Whether `credit` is for a part of the time that this charges for.
    pub(super) fn covers(&self, credit: &InvoiceItem) -> bool {
        let (charged, credited) = (self.period, credit.period);
        credit.time_of() == Some(self.price.as_str())
            && charged.start <= credited.start
            && credited.end <= charged.end
    }
}

impl Invoice {
    /// Cents that credit notes and refunds gave back.
    pub(super) fn credited_or_refunded(&self) -> i64 {
        self.credited() + self.refunded()
    }

    /// The cents that remain of all lines, after discounts. None unless a refund, or a credit note without lines, gave
    /// something back.
    pub(super) fn remaining_total(&self, notes: &[CreditNote]) -> Option<i64> {
        let valid = notes
            .iter()
            .filter(|note| note.invoice == self.id && note.status != CreditNoteStatus::Void);
        let (mut credited, mut paid_out, mut is_lined) = (0_i64, 0_i64, true);
        for note in valid {
            credited += note.amount;
            if note.refund.is_some() {
                paid_out += note.amount;
            }
            let lines = note.lines();
            is_lined &=
                !lines.is_empty() && lines.iter().all(|line| line.invoice_line_item.is_some());
        }
        let refunded = (self.refunded() - paid_out).max(0);
        if is_lined && refunded == 0 {
            return None;
        }
        let whole = self
            .lines()
            .iter()
            .filter_map(|line| LinePart::of(line, line.amount));
        let whole = whole.map(|part| part.net).sum();
        Some(share(
            whole,
            (self.total - credited - refunded).max(0),
            self.total,
        ))
    }
}

impl History {
    pub(super) fn new(
        invoices: Vec<Invoice>,
        items: Vec<InvoiceItem>,
        notes: &[CreditNote],
    ) -> Self {
        let remaining_totals = invoices.iter().enumerate();
        let remaining_totals =
            remaining_totals.filter_map(|(i, invoice)| Some((i, invoice.remaining_total(notes)?)));
        Self {
            credited_by_line: Self::credited_by_line(notes),
            remaining_totals: remaining_totals.collect(),
            invoices,
            items,
        }
    }

    /// What credit notes took off each line.
    pub(super) fn credited_by_line(notes: &[CreditNote]) -> BTreeMap<String, i64> {
        let mut credited_by_line = BTreeMap::new();
        for note in notes
            .iter()
            .filter(|note| note.status != CreditNoteStatus::Void)
        {
            for line in note.lines() {
                if let Some(id) = &line.invoice_line_item {
                    let sum = credited_by_line.entry(id.clone()).or_insert(0);
                    *sum = line.amount.saturating_add(*sum);
                }
            }
        }
        credited_by_line
    }

    /// What can still be credited of the charges for time after `at` for which `is_removed` holds. Credits for which
    /// `is_ignored` holds are not deducted.
    pub(super) fn remaining(
        &self,
        at: i64,
        is_removed: impl Fn(&TimeCharge) -> bool,
        is_ignored: impl Fn(&InvoiceItem) -> bool,
    ) -> Vec<TimeCharge> {
        let mut charges = self.invoiced(at);
        charges.extend(self.pending(at));
        charges.sort_by_key(|charge| charge.period.start);
        let counts =
            |item: &&InvoiceItem| item.amount < 0 && !self.is_void(item) && !is_ignored(item);
        for (index, item) in self.items.iter().enumerate().rev() {
            if !counts(&item) {
                continue;
            }
            let mut credit = unused_amount(-item.amount, item.period, at);
            // A change credits the latest charge. Earlier ones have been credited already.
            let mut credited: Vec<&mut TimeCharge> = charges
                .iter_mut()
                .filter(|charge| charge.covers(item) && self.is_older(charge, index))
                .collect();
            credited.sort_by_key(|charge| (Reverse(charge.period.start), self.item_index(charge)));
            for charge in credited {
                let taken = charge.part.net.min(credit);
                credit -= taken;
                charge.part = charge.part.up_to(charge.part.net - taken);
            }
        }
        // What remains of the lines cannot exceed what remains of the whole invoice.
        for (i, remaining_total) in &self.remaining_totals {
            let mut remaining_total = *remaining_total;
            for charge in charges
                .iter_mut()
                .filter(|charge| charge.invoice == Some(*i))
            {
                charge.part = charge.part.up_to(charge.part.net.min(remaining_total));
                remaining_total -= charge.part.net;
            }
        }
        charges.retain(|charge| charge.part.net > 0 && is_removed(charge));
        charges
    }

    /// The index of the charge's invoice item, newest first. Regular lines of a period come after all items of its
    /// first second.
    fn item_index(&self, charge: &TimeCharge) -> usize {
        let mut items = self.items.iter();
        let index = items.position(|item| charge.invoice_item.as_ref() == Some(&item.id));
        index.unwrap_or(usize::MAX)
    }

    /// Whether a charge is older than the credit at `index`. Timestamps do not order events within a second.
    fn is_older(&self, charge: &TimeCharge, index: usize) -> bool {
        if charge.invoice_item.is_some() {
            return self.item_index(charge) > index;
        }
        // Credits that were pending when the period began are on its first invoice, or on an earlier one.
        let Some(credited_on) = &self.items[index].invoice else {
            return true;
        };
        let mut invoices = self.invoices.iter();
        let credited_on = invoices.position(|invoice| invoice.id == *credited_on);
        credited_on.is_some_and(|index| Some(index) < charge.invoice)
    }

    /// Whether an item is on a void invoice, and so credits nothing.
    fn is_void(&self, item: &InvoiceItem) -> bool {
        let mut invoices = self.invoices.iter();
        let invoice = invoices.find(|invoice| item.invoice.as_ref() == Some(&invoice.id));
        invoice.is_some_and(|invoice| invoice.is(&InvoiceStatus::Void))
    }

    /// Pending charges, oldest first.
    fn pending(&self, at: i64) -> impl Iterator<Item = TimeCharge> {
        let pending = self.items.iter().rev();
        let pending = pending.filter(|item| item.invoice.is_none());
        pending.filter_map(move |item| {
            Some(TimeCharge {
                invoice: None,
                invoice_item: Some(item.id.clone()),
                item: item.subscription_item.clone(),
                price: item.time_of()?.to_owned(),
                currency: item.currency.clone(),
                period: item.period,
                part: LinePart::without_line(unused_amount(item.amount, item.period, at))?,
            })
        })
    }

    /// Invoiced charges, oldest first.
    fn invoiced(&self, at: i64) -> Vec<TimeCharge> {
        let mut charges = Vec::new();
        for (i, invoice) in self.invoices.iter().enumerate().rev() {
            for line in invoice.lines() {
                let price = line.price.as_ref().filter(|price| price.is_licensed());
                let credited_by_line = self.credited_by_line.get(&line.id).copied().unwrap_or(0);
                let remaining =
                    unused_amount(line.amount, line.period, at).saturating_sub(credited_by_line);
                if let (Some(price), Some(part)) = (price, LinePart::of(line, remaining)) {
                    charges.push(TimeCharge {
                        invoice: Some(i),
                        invoice_item: line.invoice_item.clone(),
                        item: line.subscription_item.clone(),
                        price: price.id.clone(),
                        currency: line.currency.clone(),
                        period: line.period,
                        part,
                    });
                }
            }
        }
        charges
    }
}

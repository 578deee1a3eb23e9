//! What was charged for time of a subscription, and what of it is not given back yet. Pure.
//!
//! A line of an invoice charges for a time; credit notes and credits, Stripe's own and ours, give parts of it back. What
//! is left of each line is what a change may give back, and where it was charged says how: nobody is credited what an
//! invoice that is not paid charges.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::invoice::{Part, share, unused};
use crate::billing::{CreditNote, CreditNoteStatus, Invoice, InvoiceItem, InvoiceStatus, Period};

/// The metadata key by which a credit of ours names the price whose time it gives back.
pub(in crate::domain::schedule) const TIME: &str = "tier.time";

/// All that charges for time of one subscription, or gives it back.
pub(super) struct Books {
    pub(super) invoices: Vec<Invoice>,
    /// What waits for the next invoice, and all that changes within a period have credited, and we.
    pub(super) items: Vec<InvoiceItem>,
    /// Cents that were taken off, discounts not deducted, by line.
    taken_off: BTreeMap<String, i64>,
    /// Of invoices of which something was given back that is of no line, by place: the cents that are left of all lines,
    /// discounts deducted.
    kept: BTreeMap<usize, i64>,
}

/// What is left of one charge for time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Charge {
    /// The place of the invoice in the books; none for what waits for one.
    pub(super) invoice: Option<usize>,
    /// What waited, or waits, for an invoice; none for what a period began with.
    pub(super) invoice_item: Option<String>,
    /// The subscription item, if that is known.
    pub(super) item: Option<String>,
    pub(super) price: String,
    pub(super) currency: String,
    pub(super) period: Period,
    pub(super) part: Part,
}

impl InvoiceItem {
    /// The price whose time it charges or credits.
    pub(super) fn time_of(&self) -> Option<&str> {
        let licensed = self.price.as_ref().filter(|price| price.is_licensed());
        let proration = licensed.filter(|_| self.proration);
        let noted = self.metadata.get(TIME).map(String::as_str);
        noted.or(proration.map(|price| price.id.as_str()))
    }
}

impl Charge {
    /// Whether a credit is for a part of the time that it charges for.
    fn is_of(&self, credit: &InvoiceItem) -> bool {
        let (whole, part) = (self.period, credit.period);
        credit.time_of() == Some(self.price.as_str())
            && whole.start <= part.start
            && part.end <= whole.end
    }
}

impl Invoice {
    /// Cents that its owner, or we, have given back.
    pub(super) fn given_back(&self) -> i64 {
        self.pre_payment_credit_notes_amount
            + self.post_payment_credit_notes_amount
            + self.refunded()
    }

    /// The cents that are left of all lines, discounts deducted, if something was given back that is of no line: by a
    /// refund, or a credit note over an amount.
    pub(super) fn kept(&self, notes: &[CreditNote]) -> Option<i64> {
        let own = notes
            .iter()
            .filter(|note| note.invoice == self.id && note.status != CreditNoteStatus::Void);
        let (mut credited, mut paid_out, mut is_lined) = (0_i64, 0_i64, true);
        for note in own {
            credited += note.amount;
            if note.refund.is_some() {
                paid_out += note.amount;
            }
            let lines = &note.lines.data;
            is_lined &=
                !lines.is_empty() && lines.iter().all(|line| line.invoice_line_item.is_some());
        }
        let refunded = (self.refunded() - paid_out).max(0);
        if is_lined && refunded == 0 {
            return None;
        }
        let whole = self
            .lines
            .data
            .iter()
            .filter_map(|line| Part::of(line, line.amount));
        let whole = whole.map(|part| part.net).sum();
        Some(share(
            whole,
            (self.total - credited - refunded).max(0),
            self.total,
        ))
    }
}

impl Books {
    pub(super) fn new(
        invoices: Vec<Invoice>,
        items: Vec<InvoiceItem>,
        notes: &[CreditNote],
    ) -> Self {
        let kept = invoices.iter().enumerate();
        let kept = kept.filter_map(|(i, invoice)| Some((i, invoice.kept(notes)?)));
        Self {
            taken_off: Self::taken_off(notes),
            kept: kept.collect(),
            invoices,
            items,
        }
    }

    /// By line, what credit notes have taken off.
    pub(super) fn taken_off(notes: &[CreditNote]) -> BTreeMap<String, i64> {
        let mut taken_off = BTreeMap::new();
        for note in notes
            .iter()
            .filter(|note| note.status != CreditNoteStatus::Void)
        {
            for line in &note.lines.data {
                if let Some(id) = &line.invoice_line_item {
                    let sum = taken_off.entry(id.clone()).or_insert(0);
                    *sum = line.amount.saturating_add(*sum);
                }
            }
        }
        taken_off
    }

    /// The charges for time after `at` that `goes`, without what was given back before. Credits for which `ignored` holds
    /// count for nothing.
    pub(super) fn left(
        &self,
        at: i64,
        goes: impl Fn(&Charge) -> bool,
        ignored: impl Fn(&InvoiceItem) -> bool,
    ) -> Vec<Charge> {
        let mut charges = self.invoiced(at);
        charges.extend(self.waiting(at));
        charges.sort_by_key(|charge| charge.period.start);
        let stands = |item: &&InvoiceItem| item.amount < 0 && !self.is_void(item) && !ignored(item);
        for (place, item) in self.items.iter().enumerate().rev() {
            if !stands(&item) {
                continue;
            }
            let mut credit = unused(-item.amount, item.period, at);
            // A change credits what was charged last: what was before is credited already.
            let mut credited: Vec<&mut Charge> = charges
                .iter_mut()
                .filter(|charge| charge.is_of(item) && self.is_older(charge, place))
                .collect();
            credited.sort_by_key(|charge| (Reverse(charge.period.start), self.place(charge)));
            for charge in credited {
                let taken = charge.part.net.min(credit);
                credit -= taken;
                charge.part = charge.part.up_to(charge.part.net - taken);
            }
        }
        // No more is left of the time than of the whole invoice.
        for (i, kept) in &self.kept {
            let mut kept = *kept;
            for charge in charges
                .iter_mut()
                .filter(|charge| charge.invoice == Some(*i))
            {
                charge.part = charge.part.up_to(charge.part.net.min(kept));
                kept -= charge.part.net;
            }
        }
        charges.retain(|charge| charge.part.net > 0 && goes(charge));
        charges
    }

    /// The place of the invoice item, newest first. What a period began with comes after those of its first second.
    fn place(&self, charge: &Charge) -> usize {
        let mut items = self.items.iter();
        let place = items.position(|item| charge.invoice_item.as_ref() == Some(&item.id));
        place.unwrap_or(usize::MAX)
    }

    /// Whether a charge was made before the credit at that `place`. Times tell no order within a second.
    fn is_older(&self, charge: &Charge, place: usize) -> bool {
        if charge.invoice_item.is_some() {
            return self.place(charge) > place;
        }
        // Credits that waited as the period began are on its first invoice, or on an earlier one.
        let Some(own) = &self.items[place].invoice else {
            return true;
        };
        let own = self.invoices.iter().position(|invoice| invoice.id == *own);
        own.is_some_and(|own| Some(own) < charge.invoice)
    }

    /// Whether it is on an invoice that was voided, and so credits nothing.
    fn is_void(&self, item: &InvoiceItem) -> bool {
        let mut invoices = self.invoices.iter();
        let own = invoices.find(|invoice| item.invoice.as_ref() == Some(&invoice.id));
        own.is_some_and(|invoice| invoice.is(&InvoiceStatus::Void))
    }

    /// What waits for an invoice, oldest first.
    fn waiting(&self, at: i64) -> impl Iterator<Item = Charge> {
        let waiting = self.items.iter().rev();
        let waiting = waiting.filter(|item| item.invoice.is_none());
        waiting.filter_map(move |item| {
            Some(Charge {
                invoice: None,
                invoice_item: Some(item.id.clone()),
                item: item.subscription_item.clone(),
                price: item.time_of()?.to_owned(),
                currency: item.currency.clone(),
                period: item.period,
                part: Part::bare(unused(item.amount, item.period, at))?,
            })
        })
    }

    /// What invoices charge, oldest first.
    fn invoiced(&self, at: i64) -> Vec<Charge> {
        let mut charges = Vec::new();
        for (i, invoice) in self.invoices.iter().enumerate().rev() {
            for line in &invoice.lines.data {
                let price = line.price.as_ref().filter(|price| price.is_licensed());
                let taken_off = self.taken_off.get(&line.id).copied().unwrap_or(0);
                let left = unused(line.amount, line.period, at).saturating_sub(taken_off);
                if let (Some(price), Some(part)) = (price, Part::of(line, left)) {
                    charges.push(Charge {
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

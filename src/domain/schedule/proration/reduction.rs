//! Computes which parts of an invoice to take off. Pure.

use crate::billing::{
    CollectionMethod, Invoice, InvoiceLine, InvoiceStatus, NewCreditNote, Period,
};

/// A part of an invoice line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::domain::schedule) struct LinePart {
    pub(in crate::domain::schedule) line: String,
    /// Cents before discounts.
    pub(super) amount: i64,
    /// Cents after discounts.
    pub(in crate::domain::schedule) net: i64,
}

impl LinePart {
    /// `amount` cents of a line. None for zero.
    pub(in crate::domain::schedule) fn of(line: &InvoiceLine, amount: i64) -> Option<Self> {
        let discounts = line.discount_amounts.iter();
        let discount = discounts.map(|discount| discount.amount).sum();
        let net = amount - share(discount, amount, line.amount);
        (amount > 0).then(|| Self {
            line: line.id.clone(),
            amount,
            net,
        })
    }

    /// Cents that belong to no line. None for zero.
    pub(super) fn without_line(amount: i64) -> Option<Self> {
        (amount > 0).then(|| Self {
            line: String::new(),
            amount,
            net: amount,
        })
    }

    /// The same part, limited to `net` cents.
    pub(super) fn up_to(&self, net: i64) -> Self {
        let amount = if net < self.net {
            share(self.amount, net, self.net)
        } else {
            self.amount
        };
        Self {
            line: self.line.clone(),
            amount,
            net: net.min(self.net),
        }
    }
}

/// The parts to take off an invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::domain::schedule) struct Reduction {
    pub(in crate::domain::schedule) parts: Vec<LinePart>,
    /// Whether the invoice charges for nothing else.
    pub(in crate::domain::schedule) is_whole_invoice: bool,
}

impl Reduction {
    pub(super) fn new(invoice: &Invoice, parts: Vec<LinePart>) -> Self {
        let is_whole_line = |line: &InvoiceLine| {
            let mut line_parts = parts.iter().filter(|part| part.line == line.id);
            line_parts.any(|part| part.amount == line.amount)
        };
        let mut charges = invoice.lines().iter().filter(|line| line.amount != 0);
        let is_whole_invoice = charges.all(is_whole_line);
        Self {
            parts,
            is_whole_invoice,
        }
    }

    /// Splits the parts into those that can be taken off while `due` cents are due, and the rest.
    pub(super) fn split(&self, mut due: i64) -> (Vec<LinePart>, Vec<LinePart>) {
        let (mut taken, mut rest) = (Vec::new(), Vec::new());
        for part in &self.parts {
            let within = part.up_to(part.net.min(due));
            due -= within.net;
            let beyond = part.net - within.net;
            if beyond > 0 {
                rest.push(part.up_to(beyond));
            }
            taken.push(within);
        }
        taken.retain(|part| part.amount > 0);
        (taken, rest)
    }
}

impl Invoice {
    /// Whether it is not paid by `now`, and no payment is expected.
    pub(in crate::domain::schedule) fn is_unpaid(&self, now: i64) -> bool {
        let is_open = !self.is(&InvoiceStatus::Paid);
        let is_sent = self.collection_method == CollectionMethod::SendInvoice;
        let is_overdue = self.due_date.is_some_and(|due| due <= now);
        is_open && !self.is_processing() && (!is_sent || is_overdue) && self.amount_remaining > 0
    }

    /// Whether it was paid or will be, so that a later invoice must credit what it charges.
    pub(in crate::domain::schedule) fn is_charged(&self) -> bool {
        !self.is(&InvoiceStatus::Void)
    }

    /// Whether it charges only for `lines`.
    pub(in crate::domain::schedule) fn charges_only_for(&self, lines: &[InvoiceLine]) -> bool {
        let mut charges = self.lines().iter().filter(|line| line.amount != 0);
        charges.all(|line| lines.iter().any(|known| known.id == line.id))
    }
}

/// The cents of an amount for the time after `at`, rounded up as Stripe rounds credits.
pub(super) fn unused_amount(amount: i64, period: Period, at: i64) -> i64 {
    let Period { start, end } = period;
    if amount <= 0 || end <= start {
        return 0;
    }
    let rest = (end - at.max(start)).max(0);
    let (whole, length) = (i128::from(amount), i128::from(end - start));
    let part = (whole * i128::from(rest) + length - 1) / length;
    i64::try_from(part).unwrap_or(amount)
}

/// `whole` × `part` / `of`, rounded half up.
pub(super) fn share(whole: i64, part: i64, of: i64) -> i64 {
    let (whole, part, of) = (i128::from(whole), i128::from(part), i128::from(of.max(1)));
    i64::try_from((whole * part * 2 + of) / (of * 2)).unwrap_or(i64::MAX)
}

/// A credit note for parts of an invoice's lines.
pub(super) fn credit_note(invoice: &Invoice, parts: &[LinePart]) -> NewCreditNote {
    let lines = parts.iter().map(|part| (part.line.clone(), part.amount));
    NewCreditNote {
        invoice: invoice.id.clone(),
        lines: lines.collect(),
        credit_amount: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const DAY: i64 = 86_400;

    fn line(amount: i64, usage_type: &str) -> Value {
        json!({"id": format!("il_{amount}"), "amount": amount, "period": {"start": 0, "end": 30 * DAY},
            "price": {"id": "price", "recurring": {"interval": "month", "usage_type": usage_type}}})
    }

    fn invoice(more: &Value, lines: &[Value]) -> Invoice {
        let mut invoice = json!({"id": "in_1", "status": "open", "collection_method": "charge_automatically",
            "amount_remaining": 3000, "lines": {"data": lines}});
        for (key, value) in more.as_object().expect("an object") {
            invoice[key] = value.clone();
        }
        serde_json::from_value(invoice).expect("an invoice")
    }

    #[test]
    fn unused_time_is_the_rest_of_a_period() {
        let period = Period {
            start: 0,
            end: 30 * DAY,
        };
        for (at, expected) in [
            (-DAY, 1000),
            (0, 1000),
            (20 * DAY, 334),
            (30 * DAY, 0),
            (99 * DAY, 0),
        ] {
            assert_eq!(unused_amount(1000, period, at), expected, "{at}");
        }
        assert_eq!(unused_amount(-1000, period, 0), 0);
    }

    fn whole(invoice: &Invoice, lines: usize) -> Reduction {
        let lines = invoice.lines().iter().take(lines);
        Reduction::new(
            invoice,
            lines
                .filter_map(|line| LinePart::of(line, line.amount))
                .collect(),
        )
    }

    #[test]
    fn a_reduction_of_all_charges_is_of_the_whole_invoice() {
        let invoice = invoice(
            &json!({}),
            &[
                line(1000, "licensed"),
                line(500, "licensed"),
                line(0, "metered"),
            ],
        );
        assert!(whole(&invoice, 2).is_whole_invoice);
        assert!(!whole(&invoice, 1).is_whole_invoice);
    }

    #[test]
    fn an_invoice_is_unpaid_if_no_payment_is_expected() {
        for (more, unpaid) in [
            (json!({}), true),
            (json!({"status": "draft"}), true),
            (json!({"status": "uncollectible"}), true),
            (json!({"status": "paid"}), false),
            (json!({"status": "void"}), true),
            (json!({"amount_remaining": 0}), false),
            (
                json!({"payment_intent": {"id": "pi", "status": "processing"}}),
                false,
            ),
            (
                json!({"payment_intent": {"id": "pi", "status": "requires_payment_method"}}),
                true,
            ),
            (
                json!({"collection_method": "send_invoice", "due_date": 101}),
                false,
            ),
            (
                json!({"collection_method": "send_invoice", "due_date": 100}),
                true,
            ),
        ] {
            assert_eq!(invoice(&more, &[]).is_unpaid(100), unpaid, "{more}");
        }
    }

    #[test]
    fn at_most_the_amount_due_is_taken_off() {
        let invoice = invoice(&json!({}), &[line(1000, "licensed"), line(800, "licensed")]);
        let amounts = |parts: Vec<LinePart>| {
            parts
                .into_iter()
                .map(|part| part.amount)
                .collect::<Vec<_>>()
        };
        let (taken, rest) = whole(&invoice, 2).split(1200);
        assert_eq!(
            (amounts(taken), amounts(rest)),
            (vec![1000, 200], vec![600])
        );
        let (taken, rest) = whole(&invoice, 2).split(0);
        assert_eq!((amounts(taken), amounts(rest)), (vec![], vec![1000, 800]));
    }

    /// Stripe deducts the line's discount from the credited amount.
    #[test]
    fn the_amount_due_is_after_discounts() {
        let mut half = line(1000, "licensed");
        half["discount_amounts"] = json!([{"amount": 500}]);
        let invoice = invoice(&json!({}), &[half]);
        let credit = whole(&invoice, 1);
        assert_eq!((credit.parts[0].amount, credit.parts[0].net), (1000, 500));
        let (taken, rest) = credit.split(100);
        assert_eq!((taken[0].amount, taken[0].net), (200, 100));
        assert_eq!((rest[0].amount, rest[0].net), (800, 400));
    }
}

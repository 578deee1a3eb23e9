//! What of an invoice is to be taken off it. Pure.

use crate::stripe::Form;
use crate::stripe::types::{Invoice, InvoiceLine, Price};

/// A part of an invoice's line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::domain::schedule) struct Part {
    pub(in crate::domain::schedule) line: String,
    /// Cents, discounts not deducted.
    amount: i64,
    /// Cents, discounts deducted.
    pub(in crate::domain::schedule) net: i64,
}

impl Part {
    fn of(line: &InvoiceLine, amount: i64) -> Option<Self> {
        let discounts = line.discount_amounts.iter();
        let discount = discounts.map(|discount| discount.amount).sum();
        (amount > 0).then(|| Self {
            line: line.id.clone(),
            amount,
            net: amount - share(discount, amount, line.amount),
        })
    }

    /// All of a line; none if it charges nothing.
    pub(in crate::domain::schedule) fn whole(line: &InvoiceLine) -> Option<Self> {
        Self::of(line, line.amount)
    }
}

/// What is to be taken off an invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::domain::schedule) struct Credit {
    pub(in crate::domain::schedule) parts: Vec<Part>,
    /// Whether nothing else was charged.
    pub(in crate::domain::schedule) is_all: bool,
}

impl Credit {
    /// The parts of lines that are for time after `now`, of the prices that go.
    pub(super) fn unused(invoice: &Invoice, goes: impl Fn(&str) -> bool, now: i64) -> Self {
        let unused = |line: &InvoiceLine| match &line.price {
            Some(price) if goes(&price.id) => line.unused(now),
            _ => 0,
        };
        let lines = &invoice.lines.data;
        let mut charges = lines.iter().filter(|line| line.amount != 0);
        Self {
            parts: lines
                .iter()
                .filter_map(|line| Part::of(line, unused(line)))
                .collect(),
            is_all: charges.all(|line| unused(line) == line.amount),
        }
    }

    /// Cents, discounts deducted.
    pub(super) fn net(&self) -> i64 {
        let parts = self.parts.iter().map(|part| part.net);
        parts.fold(0, i64::saturating_add)
    }
}

impl Invoice {
    pub(super) fn is(&self, status: &str) -> bool {
        self.status.as_deref() == Some(status)
    }

    fn is_processing(&self) -> bool {
        let payment = self.payment_intent.as_ref();
        let payment = payment.and_then(|payment| payment.object());
        payment.is_some_and(|payment| payment.status == "processing")
    }

    /// Whether nobody has paid it, or is about to, by `now`.
    pub(in crate::domain::schedule) fn is_unpaid(&self, now: i64) -> bool {
        let waits = !self.is("paid");
        let sent = self.collection_method == "send_invoice";
        let overdue = self.due_date.is_some_and(|due| due <= now);
        waits && !self.is_processing() && (!sent || overdue) && self.amount_remaining > 0
    }

    /// Whether it has been paid, or is to be: what it charges is given back by another one.
    pub(in crate::domain::schedule) fn is_charged(&self) -> bool {
        !self.is("void")
    }

    /// Whether it charges for nothing but `lines`.
    pub(in crate::domain::schedule) fn is_only(&self, lines: &[InvoiceLine]) -> bool {
        let mut charges = self.lines.data.iter().filter(|line| line.amount != 0);
        charges.all(|line| lines.iter().any(|own| own.id == line.id))
    }
}

impl InvoiceLine {
    /// Cents of it that are for time after `now`, rounded as Stripe rounds a credit.
    fn unused(&self, now: i64) -> i64 {
        let metered = self.price.as_ref().is_none_or(Price::is_metered);
        let (start, end) = (self.period.start, self.period.end);
        if metered || self.amount <= 0 || end <= start {
            return 0;
        }
        let rest = (end - now.max(start)).max(0);
        let (amount, length) = (i128::from(self.amount), i128::from(end - start));
        let part = (amount * i128::from(rest) + length - 1) / length;
        i64::try_from(part).unwrap_or(self.amount)
    }
}

/// The part of `whole` that goes with `part` of `of`, rounded.
fn share(whole: i64, part: i64, of: i64) -> i64 {
    let (whole, part, of) = (i128::from(whole), i128::from(part), i128::from(of.max(1)));
    i64::try_from((whole * part * 2 + of) / (of * 2)).unwrap_or(i64::MAX)
}

/// A credit note for `credit`, and for no more than what is `due`: it pays out nothing.
pub(super) fn credit_note(invoice: &Invoice, credit: &Credit, mut due: i64) -> Form {
    let mut form = Form::new();
    form.push("invoice", &invoice.id);
    form.push("reason", "order_change");
    for (i, part) in credit.parts.iter().enumerate() {
        let amount = match part.net {
            net if net <= due => part.amount,
            net => share(part.amount, due, net),
        };
        if amount == 0 {
            break;
        }
        due -= part.net.min(due);
        form.push(format!("lines[{i}][type]"), "invoice_line_item");
        form.push(format!("lines[{i}][invoice_line_item]"), &part.line);
        form.push(format!("lines[{i}][amount]"), amount);
    }
    form
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

    fn unused(invoice: &Invoice, price: &str, now: i64) -> Credit {
        Credit::unused(invoice, |one| one == price, now)
    }

    #[test]
    fn unused_is_the_rest_of_licensed_time() {
        let invoice = invoice(&json!({}), &[line(1000, "licensed"), line(500, "metered")]);
        let part = |amount| {
            vec![Part {
                line: "il_1000".into(),
                amount,
                net: amount,
            }]
        };
        assert_eq!(unused(&invoice, "price", 0).parts, part(1000));
        assert_eq!(unused(&invoice, "price", 20 * DAY).parts, part(334));
        assert_eq!(unused(&invoice, "price", 30 * DAY).parts, []);
        assert_eq!(unused(&invoice, "other", 0).parts, []);
        assert!(!unused(&invoice, "price", 0).is_all);
    }

    #[test]
    fn nothing_but_unused_time() {
        let invoice = invoice(&json!({}), &[line(1000, "licensed"), line(0, "metered")]);
        assert!(unused(&invoice, "price", 0).is_all);
        assert!(!unused(&invoice, "price", DAY).is_all);
    }

    #[test]
    fn what_counts_as_unpaid() {
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

    fn amounts(form: &Form) -> Vec<(&str, &str)> {
        let amounts = form.iter().filter(|(key, _)| key.ends_with("[amount]"));
        amounts.collect()
    }

    #[test]
    fn a_credit_note_is_for_no_more_than_is_due() {
        let due = json!({"amount_remaining": 1200});
        let invoice = invoice(&due, &[line(1000, "licensed"), line(800, "licensed")]);
        let form = credit_note(&invoice, &unused(&invoice, "price", 0), 1200);
        assert_eq!(
            amounts(&form),
            [("lines[0][amount]", "1000"), ("lines[1][amount]", "200")]
        );
    }

    /// Stripe takes the line's discount off what is credited of it.
    #[test]
    fn what_is_due_has_its_discount_deducted() {
        let mut half = line(1000, "licensed");
        half["discount_amounts"] = json!([{"amount": 500}]);
        let invoice = invoice(&json!({"amount_remaining": 500}), &[half]);
        let credit = unused(&invoice, "price", 15 * DAY);
        assert_eq!(credit.net(), 250);
        let form = credit_note(&invoice, &credit, 500);
        assert_eq!(amounts(&form), [("lines[0][amount]", "500")]);
        let form = credit_note(&invoice, &credit, 100);
        assert_eq!(amounts(&form), [("lines[0][amount]", "200")]);
    }
}

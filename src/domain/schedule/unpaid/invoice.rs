//! What of an invoice nobody has paid, and is for time to come. Pure.

use crate::stripe::Form;
use crate::stripe::types::{Invoice, InvoiceLine, Price};

/// A part of an invoice's line that is for time to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unused {
    line: String,
    /// Cents, discounts not deducted.
    amount: i64,
}

impl Invoice {
    pub(super) fn is(&self, status: &str) -> bool {
        self.status.as_deref() == Some(status)
    }

    /// Whether nobody has paid it, or is about to, by `now`.
    pub(super) fn is_unpaid(&self, now: i64) -> bool {
        let waits = self.is("draft") || self.is("open") || self.is("uncollectible");
        let sent = self.collection_method == "send_invoice";
        let overdue = self.due_date.is_some_and(|due| due <= now);
        let payment = self
            .payment_intent
            .as_ref()
            .and_then(|payment| payment.object());
        let processing = payment.is_some_and(|payment| payment.status == "processing");
        waits && !processing && (!sent || overdue) && self.amount_remaining > 0
    }

    /// The parts of lines for `prices` that are for time after `now`.
    pub(super) fn unused(&self, prices: &[&str], now: i64) -> Vec<Unused> {
        let lines = self.lines.data.iter();
        let lines = lines.filter(|line| line.sells(prices));
        let parts = lines.map(|line| Unused {
            line: line.id.clone(),
            amount: line.unused(now),
        });
        parts.filter(|part| part.amount > 0).collect()
    }

    /// Whether all that is due is time after `now` of `prices`.
    pub(super) fn is_only_unused(&self, prices: &[&str], now: i64) -> bool {
        let charges = self.lines.data.iter().filter(|line| line.amount != 0);
        let mut whole = charges.map(|line| line.sells(prices) && line.unused(now) == line.amount);
        whole.all(|whole| whole)
    }
}

impl InvoiceLine {
    fn sells(&self, prices: &[&str]) -> bool {
        let price = self.price.as_ref();
        price.is_some_and(|price| prices.contains(&price.id.as_str()))
    }

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

/// A credit note for what is unused, and no more than is due: it pays out nothing.
pub(super) fn credit_note(invoice: &Invoice, prices: &[&str], now: i64) -> Form {
    let mut form = Form::new();
    form.push("invoice", &invoice.id);
    form.push("reason", "order_change");
    let mut due = invoice.amount_remaining;
    for (i, part) in invoice.unused(prices, now).into_iter().enumerate() {
        let amount = part.amount.min(due);
        if amount == 0 {
            break;
        }
        due -= amount;
        form.push(format!("lines[{i}][type]"), "invoice_line_item");
        form.push(format!("lines[{i}][invoice_line_item]"), part.line);
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

    #[test]
    fn unused_is_the_rest_of_licensed_time() {
        let invoice = invoice(&json!({}), &[line(1000, "licensed"), line(500, "metered")]);
        let part = |amount| {
            vec![Unused {
                line: "il_1000".into(),
                amount,
            }]
        };
        assert_eq!(invoice.unused(&["price"], 0), part(1000));
        assert_eq!(invoice.unused(&["price"], 20 * DAY), part(334));
        assert_eq!(invoice.unused(&["price"], 30 * DAY), []);
        assert_eq!(invoice.unused(&["other"], 0), []);
        assert!(!invoice.is_only_unused(&["price"], 0));
    }

    #[test]
    fn nothing_but_unused_time() {
        let invoice = invoice(&json!({}), &[line(1000, "licensed"), line(0, "metered")]);
        assert!(invoice.is_only_unused(&["price"], 0));
        assert!(!invoice.is_only_unused(&["price"], DAY));
    }

    #[test]
    fn what_counts_as_unpaid() {
        for (more, unpaid) in [
            (json!({}), true),
            (json!({"status": "draft"}), true),
            (json!({"status": "uncollectible"}), true),
            (json!({"status": "paid"}), false),
            (json!({"status": "void"}), false),
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
    fn a_credit_note_is_for_no_more_than_is_due() {
        let due = json!({"amount_remaining": 1200});
        let invoice = invoice(&due, &[line(1000, "licensed"), line(800, "licensed")]);
        let form = credit_note(&invoice, &["price"], 0);
        let amounts: Vec<_> = form
            .iter()
            .filter(|(key, _)| key.ends_with("[amount]"))
            .collect();
        assert_eq!(
            amounts,
            [("lines[0][amount]", "1000"), ("lines[1][amount]", "200")]
        );
    }
}

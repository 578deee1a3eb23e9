//! The JSON of invoice items at 2022-11-15.

use serde_json::{Value, json};

use super::{CreditedLines, InvoiceItem};
use crate::resource::invoice::view::whole_quantity;
use crate::resource::price::Price;
use crate::resource::price::view::{amounts, plan_if_recurring};
use crate::store::account::Account;

impl CreditedLines {
    pub(crate) fn to_json(&self) -> Value {
        let lines: Vec<&str> = self.lines.iter().map(|line| &**line).collect();
        json!({"invoice": &*self.invoice, "invoice_line_items": lines})
    }
}

impl InvoiceItem {
    pub(crate) fn to_json(&self, account: &Account) -> Value {
        let price = self.price.as_ref().map(|id| account.price(id));
        let (unit_amount, unit_amount_decimal) = amounts(Some(self.line.rate));
        let mut object = json!({
            "id": &*self.id,
            "object": "invoiceitem",
            "amount": self.line.amount,
            "currency": self.currency.as_str(),
            "customer": &*self.customer,
            "date": self.created,
            "description": (!self.line.description.is_empty()).then_some(&self.line.description),
            "discountable": self.line.discountable,
            "discounts": [],
            "invoice": self.invoice.as_deref(),
            "livemode": false,
            "metadata": self.metadata.to_json(),
            "period": {"end": self.line.period.1, "start": self.line.period.0},
            "plan": price.and_then(plan_if_recurring),
            "price": price.map(Price::to_json),
            "proration": self.line.proration,
            "quantity": whole_quantity(self.line.quantity),
            "subscription": self.subscription.as_deref(),
            "tax_rates": [],
            "test_clock": self.clock.as_deref(),
            "unit_amount": unit_amount,
            "unit_amount_decimal": unit_amount_decimal,
        });
        if !self.line.quantity.is_integer() {
            object["quantity_decimal"] = json!(self.line.quantity.normalize().to_string());
        }
        if let (Some(item), Some(fields)) = (&self.item, object.as_object_mut()) {
            fields.insert("subscription_item".into(), json!(&**item));
        }
        object
    }
}

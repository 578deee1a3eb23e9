//! The JSON of charges at 2022-11-15.

use serde_json::{Value, json};

use super::Charge;
use crate::resource::balance_transaction;
use crate::resource::json::{merged, nested};
use crate::resource::payment_method::PaymentMethod;
use crate::resource::refund::Refund;
use crate::store::account::Account;

impl Charge {
    pub(crate) fn to_json(&self, account: &Account) -> Value {
        let method = account.payment_methods.get(&self.payment_method);
        let paid = self.failure.is_none();
        let first = json!({
            "id": &*self.id,
            "object": "charge",
            "amount": self.amount,
            "amount_captured": self.captured,
            "amount_refunded": self.refunded,
            "application": null,
            "application_fee": null,
            "application_fee_amount": null,
            "balance_transaction": self.captured_at.map(|_| balance_transaction::id_of(&self.id).to_string()),
            "billing_details": method.map(PaymentMethod::billing_json),
            "calculated_statement_descriptor": "SANDBOX",
            "captured": paid && !self.is_uncaptured,
            "created": self.created,
            "currency": self.currency.as_str(),
            "customer": self.customer.as_deref(),
            "description": self.description,
            "destination": null,
            "dispute": null,
            "disputed": false,
            "failure_balance_transaction": null,
            "failure_code": self.failure.map(|failure| failure.code),
            "failure_message": self.failure.map(|failure| failure.message),
        });
        let second = json!({
            "fraud_details": {},
            "invoice": self.invoice.as_deref(),
            "livemode": false,
            "metadata": self.metadata.to_json(),
            "on_behalf_of": null,
            "order": null,
            "outcome": self.outcome(),
            "paid": paid,
            "payment_intent": &*self.intent,
            "payment_method": &*self.payment_method,
            "payment_method_details": method.map(PaymentMethod::charged_json),
            "receipt_email": self.receipt_email,
            "receipt_number": null,
            "receipt_url": null,
            "refunded": paid && self.refunded == self.amount,
            "review": null,
            "shipping": self.shipping,
            "source": null,
            "source_transfer": null,
            "statement_descriptor": self.statement_descriptor,
            "statement_descriptor_suffix": self.statement_descriptor_suffix,
            "status": if paid { "succeeded" } else { "failed" },
            "transfer_data": null,
            "transfer_group": null,
        });
        merged([first, second])
    }

    /// Stripe's `outcome`: the bank's decision.
    fn outcome(&self) -> Value {
        match self.failure {
            None => json!({
                "network_status": "approved_by_network",
                "reason": null,
                "risk_level": "normal",
                "risk_score": 0,
                "seller_message": "Payment complete.",
                "type": "authorized",
            }),
            Some(failure) => json!({
                "network_status": "declined_by_network",
                "reason": failure.reason,
                "risk_level": "normal",
                "risk_score": 0,
                "seller_message": "The bank did not return any further details with this decline.",
                "type": "issuer_declined",
            }),
        }
    }
}

/// The value of `refunds` when it is expanded, newest first.
pub(crate) fn refunds(account: &Account, charge: &Charge) -> Value {
    let refunds = account.payments.refunds.iter().rev();
    let refunds: Vec<&Refund> = refunds
        .filter(|refund| refund.charge == charge.id)
        .collect();
    let url = format!("/v1/charges/{}/refunds", charge.id);
    nested(
        &url,
        refunds.len(),
        refunds.iter().map(|refund| refund.to_json()),
    )
}

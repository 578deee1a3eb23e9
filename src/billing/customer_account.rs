//! A customer with the payment method that its invoices are paid with.

use serde::Deserialize;

use super::{Billing, Discount};
use crate::stripe::Error;

/// A customer as an account: what it pays with, and whether it does.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct CustomerAccount {
    /// Stripe still answers with a stub for a customer that was deleted.
    pub deleted: bool,
    /// Whether its last invoice is unpaid.
    pub delinquent: Option<bool>,
    /// A discount on all that it buys.
    pub discount: Option<Discount>,
    /// E-mail address.
    pub email: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Whether real money moves.
    pub livemode: bool,
    /// How invoices are paid.
    pub invoice_settings: PaymentSettings,
}

/// How invoices are paid.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PaymentSettings {
    /// With what.
    pub default_payment_method: Option<PaymentMethodDetails>,
}

/// A payment method, with what is known of whoever pays with it.
#[derive(Clone, Debug, Deserialize)]
pub struct PaymentMethodDetails {
    /// `pm_…`.
    pub id: String,
    /// Who pays.
    #[serde(default)]
    pub billing_details: BillingDetails,
    /// The card, if it is one.
    #[serde(default)]
    pub card: Card,
}

/// Who pays.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct BillingDetails {
    /// Where they are.
    pub address: Option<Address>,
    /// E-mail address.
    pub email: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
}

/// An address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Address {
    /// City.
    pub city: Option<String>,
    /// Two letters.
    pub country: Option<String>,
    /// Street.
    pub line1: Option<String>,
    /// Floor, and so on.
    pub line2: Option<String>,
    /// Postal code.
    pub postal_code: Option<String>,
    /// State or province.
    pub state: Option<String>,
}

/// A card.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Card {
    /// `visa`, and so on.
    pub brand: Option<String>,
    /// From 1 to 12.
    pub exp_month: Option<i64>,
    /// Four digits.
    pub exp_year: Option<i64>,
    /// The end of its number.
    pub last4: Option<String>,
}

impl Billing<'_> {
    /// A customer with its payment method, or the stub that is left of one.
    pub async fn customer_account(self, id: &str) -> Result<CustomerAccount, Error> {
        let request = self.get(("/v1/customers/*", id));
        let request = request.expand("invoice_settings.default_payment_method");
        request.send().await
    }
}

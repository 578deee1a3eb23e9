//! A customer with its default payment method.

use serde::Deserialize;

use super::object::default_method;
use super::{Billing, Discount};
use crate::stripe::Error;

/// A customer with its payment details.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct CustomerAccount {
    /// Whether it was deleted. Stripe answers with a stub for a deleted customer.
    pub deleted: bool,
    /// Whether its last invoice is unpaid.
    pub delinquent: Option<bool>,
    /// A discount on all its invoices.
    pub discount: Option<Discount>,
    /// E-mail address.
    pub email: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Whether it is in live mode.
    pub livemode: bool,
    /// The payment method of its invoices.
    #[serde(rename = "invoice_settings", deserialize_with = "default_method")]
    pub default_payment_method: Option<PaymentMethodDetails>,
}

/// A payment method with its billing details.
#[derive(Clone, Debug, Deserialize)]
pub struct PaymentMethodDetails {
    /// `pm_…`.
    pub id: String,
    /// The person or company that pays.
    #[serde(default)]
    pub billing_details: BillingDetails,
    /// The card, if the payment method is one.
    #[serde(default)]
    pub card: Card,
}

/// The person or company that pays.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct BillingDetails {
    /// The address.
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
    /// The country code: two letters.
    pub country: Option<String>,
    /// Street.
    pub line1: Option<String>,
    /// Apartment, floor or the like.
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
    /// The brand, such as `visa`.
    pub brand: Option<String>,
    /// The month in which it expires, from 1 to 12.
    pub exp_month: Option<i64>,
    /// The year in which it expires, with four digits.
    pub exp_year: Option<i64>,
    /// The last four digits of its number.
    pub last4: Option<String>,
}

impl Billing<'_> {
    /// A customer with its payment method, or the stub of a deleted one.
    pub async fn customer_account(self, id: &str) -> Result<CustomerAccount, Error> {
        let request = self.get(("/v1/customers/*", id));
        let request = request.expand("invoice_settings.default_payment_method");
        request.send().await
    }
}

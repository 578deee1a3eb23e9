//! Checkout sessions: pages at Stripe where a person leaves a card, and perhaps subscribes.

use serde::Deserialize;

use super::{Billing, Metadata, Write};
use crate::stripe::Form;

/// A page at Stripe on which somebody pays.
#[derive(Clone, Debug, Deserialize)]
pub struct CheckoutSession {
    /// Where it is.
    pub url: String,
}

/// A Checkout session to open.
#[derive(Clone, Copy, Debug)]
pub struct NewSession<'a> {
    /// Whose it is: `cus_…`.
    pub customer: &'a str,
    /// Where the person goes after paying.
    pub success_url: &'a str,
    /// Where the person goes on giving up.
    pub cancel_url: Option<&'a str>,
    /// What is bought; none: only a card is asked for.
    pub subscribes_to: Option<NewSessionItems<'a>>,
    /// Whether Stripe computes tax.
    pub automatic_tax: bool,
    /// Whether a tax id is asked for, and the customer's name with it.
    pub collects_tax_id: bool,
    /// Whether an address must be given.
    pub requires_address: bool,
}

/// The subscription that a Checkout session makes.
#[derive(Clone, Copy, Debug)]
pub struct NewSessionItems<'a> {
    /// The prices, and whether each has a quantity.
    pub items: &'a [LineItem],
    /// A pair of its metadata.
    pub mark: (&'a str, &'a str),
    /// Further pairs.
    pub metadata: &'a Metadata,
    /// Days before the first payment.
    pub trial_days: Option<i64>,
    /// The id of a coupon.
    pub coupon: Option<&'a str>,
}

/// What is bought.
#[derive(Clone, Debug)]
pub struct LineItem {
    /// `price_…`.
    pub price: String,
    /// None for a metered price.
    pub quantity: Option<u64>,
}

impl NewSession<'_> {
    fn form(&self) -> Form {
        let mut form = Form::new();
        form.push("customer", self.customer);
        form.push("success_url", self.success_url);
        form.push_some("cancel_url", self.cancel_url);
        if let Some(subscription) = &self.subscribes_to {
            form.push("mode", "subscription");
            subscription.push_to(&mut form);
        } else {
            form.push("mode", "setup");
            form.push("payment_method_types[]", "card");
        }
        form.push("automatic_tax[enabled]", self.automatic_tax);
        if self.collects_tax_id {
            form.push("tax_id_collection[enabled]", true);
            form.push("customer_update[name]", "auto");
        }
        // Stripe computes no tax for a customer without an address, so it must be kept from the page.
        let subscribes = self.subscribes_to.is_some();
        if self.collects_tax_id || (self.automatic_tax && subscribes) {
            form.push("customer_update[address]", "auto");
        }
        if self.requires_address {
            form.push("billing_address_collection", "required");
        }
        form
    }
}

impl NewSessionItems<'_> {
    fn push_to(&self, form: &mut Form) {
        let (key, value) = self.mark;
        form.push(format!("subscription_data[metadata][{key}]"), value);
        for (key, value) in self.metadata {
            form.push(format!("subscription_data[metadata][{key}]"), value);
        }
        form.push_some("discounts[0][coupon]", self.coupon);
        form.push_some("subscription_data[trial_period_days]", self.trial_days);
        for (i, item) in self.items.iter().enumerate() {
            form.push(format!("line_items[{i}][price]"), &item.price);
            form.push_some(format!("line_items[{i}][quantity]"), item.quantity);
        }
    }
}

impl Billing<'_> {
    /// Opens a Checkout session.
    pub fn create_session(self, session: &NewSession<'_>) -> Write<CheckoutSession> {
        Write::new(self.post("/v1/checkout/sessions").form(session.form()))
    }
}

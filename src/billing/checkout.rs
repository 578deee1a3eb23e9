//! Checkout sessions: pages at Stripe where a customer enters a card, and may subscribe.

use serde::Deserialize;

use super::{Billing, Generation, Metadata, Write};
use crate::stripe::Form;

/// A Checkout page at Stripe.
#[derive(Clone, Debug, Deserialize)]
pub struct CheckoutSession {
    /// The URL of the page.
    pub url: String,
}

/// A Checkout session to open.
#[derive(Clone, Copy, Debug)]
pub struct NewCheckoutSession<'a> {
    /// The customer: `cus_…`.
    pub customer: &'a str,
    /// Where Stripe sends the browser after success.
    pub success_url: &'a str,
    /// Where Stripe sends the browser if the customer cancels.
    pub cancel_url: Option<&'a str>,
    /// The subscription to create. None: the page only asks for a card.
    pub subscription: Option<SessionSubscription<'a>>,
    /// Whether Stripe computes tax.
    pub automatic_tax: bool,
    /// Whether the page asks for a tax id, and so for the customer's name.
    pub collects_tax_id: bool,
    /// Whether the page requires an address.
    pub requires_address: bool,
}

/// The subscription that a Checkout session creates.
#[derive(Clone, Copy, Debug)]
pub struct SessionSubscription<'a> {
    /// What it sells.
    pub items: &'a [LineItem],
    /// The metadata pair that marks it as Tier's.
    pub mark: (&'a str, &'a str),
    /// More metadata.
    pub metadata: &'a Metadata,
    /// The generation of its prices. With meters, the subscription bills in Stripe's flexible mode.
    pub generation: Generation,
    /// Days before the first payment.
    pub trial_days: Option<i64>,
    /// The id of a coupon.
    pub coupon: Option<&'a str>,
}

/// A price to subscribe to.
#[derive(Clone, Debug)]
pub struct LineItem {
    /// `price_…`.
    pub price: String,
    /// None for a metered price.
    pub quantity: Option<u64>,
}

impl NewCheckoutSession<'_> {
    fn form(&self) -> Form {
        let mut form = Form::new();
        form.push("customer", self.customer);
        form.push("success_url", self.success_url);
        form.push_some("cancel_url", self.cancel_url);
        if let Some(subscription) = &self.subscription {
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
        // Stripe computes no tax for a customer without an address, so it must save the one from the page.
        let subscribes = self.subscription.is_some();
        if self.collects_tax_id || (self.automatic_tax && subscribes) {
            form.push("customer_update[address]", "auto");
        }
        if self.requires_address {
            form.push("billing_address_collection", "required");
        }
        form
    }
}

impl SessionSubscription<'_> {
    fn push_to(&self, form: &mut Form) {
        let (key, value) = self.mark;
        form.push(format!("subscription_data[metadata][{key}]"), value);
        for (key, value) in self.metadata {
            form.push(format!("subscription_data[metadata][{key}]"), value);
        }
        if self.generation == Generation::Meters {
            form.push("subscription_data[billing_mode][type]", "flexible");
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
    pub fn create_checkout_session(
        self,
        session: &NewCheckoutSession<'_>,
    ) -> Write<CheckoutSession> {
        let sold = session.subscription.as_ref();
        let generation = sold.map_or(Generation::Classic, |sold| sold.generation);
        let request = self
            .client
            .post(generation.version(), "/v1/checkout/sessions");
        Write::new(request.form(session.form()))
    }
}

//! `checkout`: a page at Stripe where a person leaves a card, and perhaps subscribes.

use super::refs::{OrgName, Reference};
use super::subscription::MARK;
use super::{Domain, Error, Result};
use crate::stripe::Form;
use crate::stripe::types::CheckoutSession;

/// What the page is for.
#[derive(Clone, Debug, Default)]
pub struct Checkout {
    /// Where the person goes after paying.
    pub success_url: String,
    /// Where the person goes on giving up; may be empty.
    pub cancel_url: String,
    /// What is bought; none: only a card is asked for.
    pub features: Vec<Reference>,
    /// Days before the first payment.
    pub trial_days: i64,
    /// Whether an address must be given.
    pub require_billing_address: bool,
    /// How tax is treated.
    pub tax: Tax,
}

/// How tax is treated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tax {
    /// Stripe computes it.
    pub automatic: bool,
    /// Checkout asks for a tax id.
    pub collect_id: bool,
}

impl Domain {
    /// Opens a Checkout session for the org, whose customer is created if needed. Returns its URL.
    pub async fn checkout(&self, org: &OrgName, checkout: &Checkout) -> Result<String> {
        if checkout.success_url.is_empty() {
            return Err(Error::Invalid(
                "success_url is required: where to go after the payment".into(),
            ));
        }
        if checkout.trial_days < 0 {
            return Err(Error::Invalid("trial_days must not be negative".into()));
        }
        let items = self.line_items(&checkout.features).await?;
        let items = &items;
        // The org's customer may be in the making.
        let shared = self.shared().await?;
        let _held = self.hold(&shared.changes, org.as_str()).await?;
        let attempt = || async move {
            let customer = self.ensure_customer(org).await?;
            self.open_session(&customer, checkout, items).await
        };
        self.again_if_gone(org, Error::is_customer_gone, attempt)
            .await
    }

    async fn line_items(&self, features: &[Reference]) -> Result<Form> {
        let mut form = Form::new();
        for (i, feature) in self.expand(features).await?.into_iter().enumerate() {
            form.push(format!("line_items[{i}][price]"), feature.price_id);
            if !feature.metered {
                form.push(format!("line_items[{i}][quantity]"), 1);
            }
        }
        Ok(form)
    }

    async fn open_session(
        &self,
        customer: &str,
        checkout: &Checkout,
        items: &Form,
    ) -> Result<String> {
        let form = session_form(customer, checkout, items);
        let request = self.stripe().post("/v1/checkout/sessions").form(form);
        Ok(request.send::<CheckoutSession>().await?.url)
    }
}

fn session_form(customer: &str, checkout: &Checkout, items: &Form) -> Form {
    let Checkout { tax, .. } = checkout;
    let mut form = Form::new();
    form.push("customer", customer);
    form.push("success_url", &checkout.success_url);
    if !checkout.cancel_url.is_empty() {
        form.push("cancel_url", &checkout.cancel_url);
    }
    let subscribes = !items.is_empty();
    if subscribes {
        form.push("mode", "subscription");
        form.push(format!("subscription_data[metadata][{}]", MARK.0), MARK.1);
        if checkout.trial_days > 0 {
            form.push("subscription_data[trial_period_days]", checkout.trial_days);
        }
        form.append(items.clone());
    } else {
        form.push("mode", "setup");
        form.push("payment_method_types[]", "card");
    }
    form.push("automatic_tax[enabled]", tax.automatic);
    if tax.collect_id {
        form.push("tax_id_collection[enabled]", true);
        form.push("customer_update[name]", "auto");
    }
    // Stripe computes no tax for a customer without an address, so it must be kept from the page.
    if tax.collect_id || (tax.automatic && subscribes) {
        form.push("customer_update[address]", "auto");
    }
    if checkout.require_billing_address {
        form.push("billing_address_collection", "required");
    }
    form
}

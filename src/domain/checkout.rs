//! `checkout`: a page at Stripe where a person leaves a card, and perhaps subscribes.

use sha2::{Digest as _, Sha256};

use super::refs::{OrgName, Reference};
use super::request_key::reused;
use super::revision::{Attempts, Refusal};
use super::subscription::{Detail, MARK};
use super::{Domain, Error, Result};
use crate::billing::CheckoutSession;
use crate::num::hex;
use crate::stripe::Form;

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
    /// Opens a Checkout session for the org, whose customer is created if needed. Returns its URL: with `key`, the same
    /// one for 24 hours; without, for the same request the same one within a minute, unless something was changed
    /// meanwhile.
    pub async fn checkout(
        &self,
        org: &OrgName,
        checkout: &Checkout,
        key: Option<&str>,
    ) -> Result<String> {
        let outcome = self.open(org, checkout, key).await;
        outcome.map_err(|error| self.told_of(error))
    }

    async fn open(&self, org: &OrgName, checkout: &Checkout, key: Option<&str>) -> Result<String> {
        if checkout.success_url.is_empty() {
            return Err(Error::Invalid(
                "success_url is required: where to go after the payment".into(),
            ));
        }
        let items = self.line_items(&checkout.features).await?;
        let items = &items;
        // The org's customer may be in the making.
        let shared = self.shared().await?;
        let _held = self.hold(&shared.changes, org.as_str()).await?;
        let attempt = || async move {
            let (customer, is_new) = self.ensure_customer(org).await?;
            let form = session_form(&customer, checkout, items);
            let opened = match key {
                Some(key) => self.open_session(form, self.key_digest(key), true).await,
                None => self.open_this_minute(&customer, form).await,
            };
            if let Err(error) = &opened
                && is_new
                && error.is_definite_refusal()
            {
                self.unmake_customer(org, &customer).await;
            }
            opened
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

    /// Two clicks, or two servers, open one session. After a purchase or a change it is another one.
    async fn open_this_minute(&self, customer: &str, form: Form) -> Result<String> {
        let found = self.subscriptions(customer, Detail::History).await?;
        let seen = found.revision;
        let minute = self.account.clock.unix().div_euclid(60);
        let digest = hex(&Sha256::digest(form.encode())[..16]);
        let name = format!("{digest}:{seen}:{minute}");
        self.open_session(form, name, false).await
    }

    /// Opens the session of that name, or finds that it was opened.
    async fn open_session(&self, form: Form, name: String, is_clients: bool) -> Result<String> {
        let request = self.billing().post("/v1/checkout/sessions").form(form);
        let mut attempts = Attempts::default();
        loop {
            let key = match attempts.at(0) {
                1 => format!("checkout:{name}"),
                attempt => format!("checkout:{name}:{attempt}"),
            };
            let opened = request.clone().idempotency_key(key);
            let refusal = match opened.send::<CheckoutSession>().await {
                Ok(session) => return Ok(session.url),
                Err(error) if is_clients && error.is_idempotency_conflict() => {
                    return Err(reused());
                }
                Err(error) => Refusal::of(error)?,
            };
            let wait = attempts.after(refusal)?;
            tokio::time::sleep(self.stripe().first_wait() * wait).await;
        }
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

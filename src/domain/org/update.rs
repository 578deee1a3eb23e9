//! Writing an org's particulars to the customer that it has.

use std::sync::Arc;

use super::OrgInfoUpdate;
use crate::domain::{Domain, Error, Result, path_segment};
use crate::stripe::types::{Customer, Object};

/// A customer that was written to.
pub(in crate::domain) struct Written {
    pub(in crate::domain) id: Arc<str>,
    /// What its invoices are paid with now, if that was written.
    pub(in crate::domain) default_payment_method: Option<String>,
}

impl Written {
    pub(super) fn new(id: Arc<str>, customer: Customer) -> Self {
        Self {
            id,
            default_payment_method: customer.invoice_settings.default_payment_method,
        }
    }
}

impl Domain {
    /// Writes `info` to a customer that exists.
    pub(in crate::domain) async fn update_customer(
        &self,
        id: Arc<str>,
        info: &OrgInfoUpdate,
    ) -> Result<Written> {
        let attached = match info.payment_method.as_str() {
            "" => None,
            method => Some(self.attach_payment_method(&id, method).await?),
        };
        let form = info.update_form(attached.as_deref());
        if form.is_empty() {
            // Whether it is still there matters all the same.
            self.customer_before(&id).await?;
            return Ok(Written {
                id,
                default_payment_method: None,
            });
        }
        let request = self.stripe().post(format!("/v1/customers/{id}")).form(form);
        Ok(Written::new(id, request.send().await?))
    }

    /// The customer as it is before it is written to.
    pub(in crate::domain) async fn customer_before(&self, id: &str) -> Result<Customer> {
        let request = self.stripe().get(format!("/v1/customers/{id}"));
        let customer: Customer = request.send().await?;
        if customer.deleted {
            return Err(Error::CustomerVanished);
        }
        Ok(customer)
    }

    /// Gives a customer the particulars that it had before `info` was written, after the rest of the request was
    /// refused. A payment method that was attached stays: detached, it could never be used again.
    pub(in crate::domain) async fn take_back(&self, info: &OrgInfoUpdate, before: &Customer) {
        let form = info.undo_form(before);
        if form.is_empty() {
            return;
        }
        let path = format!("/v1/customers/{}", before.id);
        let undone = self.stripe().post(path).form(form).send::<Object>().await;
        if let Err(error) = undone {
            tracing::warn!(%error, customer = before.id, "a refused request left the org's particulars changed");
        }
    }

    /// Attaches a payment method, or the card that a test token such as `pm_card_us` stands for.
    /// Returns the id under which the customer has it.
    pub(in crate::domain) async fn attach_payment_method(
        &self,
        customer: &str,
        method: &str,
    ) -> Result<String> {
        let path = format!("/v1/payment_methods/{}/attach", path_segment(method));
        let sent = self
            .stripe()
            .post(path)
            .param("customer", customer)
            .send()
            .await;
        let attached: Object = sent.map_err(|error| match error.api() {
            Some(refusal)
                if matches!(refusal.status, 400 | 404) && !refusal.is_customer_missing() =>
            {
                Error::InvalidPaymentMethod(refusal.message.clone())
            }
            _ => error.into(),
        })?;
        Ok(attached.id)
    }
}

//! `checkout`: a page at Stripe where a person enters a card, and may subscribe.

use sha2::{Digest as _, Sha256};

use super::entitlement::Before;
use super::refs::{OrgName, Reference};
use super::request_key::reused;
use super::revision::{Attempts, Refusal};
use super::subscription::{Detail, MARK};
use super::{Domain, Error, Result};
use crate::billing::{CheckoutSession, LineItem, NewSession, NewSessionItems, Subscription, Write};
use crate::num::hex;

/// The contents of the page.
#[derive(Clone, Debug, Default)]
pub struct Checkout {
    /// Where the person goes after paying.
    pub success_url: String,
    /// Where the person goes after cancelling; may be empty.
    pub cancel_url: String,
    /// What is bought; none: the page only takes a card.
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
    /// Opens a Checkout session for the org, whose customer is created if needed. Returns its URL. With `key`, it is
    /// the same URL for 24 hours. Without, it is the same for equal requests within a minute, unless something was
    /// changed in between.
    pub async fn checkout(
        &self,
        org: &OrgName,
        checkout: &Checkout,
        key: Option<&str>,
    ) -> Result<String> {
        let outcome = self.open(org, checkout, key).await;
        outcome.map_err(|error| self.error_to_report(error))
    }

    async fn open(&self, org: &OrgName, checkout: &Checkout, key: Option<&str>) -> Result<String> {
        if checkout.success_url.is_empty() {
            return Err(Error::Invalid(
                "success_url is required: where to go after the payment".into(),
            ));
        }
        let items = self.line_items(&checkout.features).await?;
        // The org's customer may be in creation.
        let shared = self.shared().await?;
        let _held = self.hold(&shared.changes, org.as_str()).await?;
        let _changing = self.changing(&shared, org);
        let opened = match self.open_for(org, checkout, &items, key).await {
            Err(Error::CustomerVanished { .. }) => {
                self.forget_customer(org).await?;
                self.open_for(org, checkout, &items, key).await
            }
            opened => opened,
        };
        let (url, subscription) = opened?;
        if !items.is_empty() {
            self.expect_purchase(&shared, org, subscription);
        }
        Ok(url)
    }

    /// Opens the session for the org's customer. If the customer was created for it, and Stripe refuses the session, it
    /// is deleted again. Also returns what is known of the org's subscription.
    async fn open_for(
        &self,
        org: &OrgName,
        checkout: &Checkout,
        items: &[LineItem],
        key: Option<&str>,
    ) -> Result<(String, Before)> {
        let (org, is_new) = self.resolve_or_create_org(org).await?;
        let create = self.new_session(&org.customer, checkout, items);
        let opened = match key {
            Some(key) => {
                let opened = self.open_session(create, self.key_digest(key), true).await;
                opened.map(|url| (url, Before::Unknown))
            }
            None => self.open_this_minute(&org.customer, create).await,
        };
        if let Err(error) = &opened
            && is_new
            && error.is_definite_refusal()
        {
            self.unmake_customer(&org).await;
        }
        let opened = opened?;
        if is_new {
            self.note_new_customer(&org).await?;
        } else {
            self.note_no_change(&org).await?;
        }
        Ok(opened)
    }

    async fn line_items(&self, features: &[Reference]) -> Result<Vec<LineItem>> {
        let features = self.expand(features).await?;
        if let Some(archived) = features.iter().find(|feature| feature.archived) {
            return Err(Error::PlanArchived(archived.name.plan().to_string()));
        }
        let features = features.into_iter();
        let items = features.map(|feature| LineItem {
            price: feature.price_id,
            quantity: (!feature.metered).then_some(1),
        });
        Ok(items.collect())
    }

    fn new_session(
        &self,
        customer: &str,
        checkout: &Checkout,
        items: &[LineItem],
    ) -> Write<CheckoutSession> {
        let Checkout { tax, .. } = checkout;
        let cancel_url = checkout.cancel_url.as_str();
        self.billing().create_session(&NewSession {
            customer,
            success_url: &checkout.success_url,
            cancel_url: Some(cancel_url).filter(|url| !url.is_empty()),
            subscribes_to: (!items.is_empty()).then_some(NewSessionItems {
                items,
                mark: MARK,
                trial_days: Some(checkout.trial_days).filter(|days| *days > 0),
            }),
            automatic_tax: tax.automatic,
            collects_tax_id: tax.collect_id,
            requires_address: checkout.require_billing_address,
        })
    }

    /// Two clicks, or two servers, open the same session. After a purchase or a change it is another one. Also returns
    /// the org's current subscription, if it grants anything.
    async fn open_this_minute(
        &self,
        customer: &str,
        create: Write<CheckoutSession>,
    ) -> Result<(String, Before)> {
        let found = self.subscriptions(customer, Detail::History).await?;
        let seen = found.revision;
        let minute = self.account.clock.unix().div_euclid(60);
        let digest = hex(&Sha256::digest(create.parameters())[..16]);
        let name = format!("{digest}:{seen}:{minute}");
        let url = self.open_session(create, name, false).await?;
        let current = found.current.filter(Subscription::grants);
        let before = Before::Known(current.map(|current| current.id.into()));
        Ok((url, before))
    }

    /// Opens the session of that name, or finds it open already.
    async fn open_session(
        &self,
        create: Write<CheckoutSession>,
        name: String,
        is_clients: bool,
    ) -> Result<String> {
        let mut attempts = Attempts::default();
        loop {
            let key = match attempts.at(0) {
                1 => format!("checkout:{name}"),
                attempt => format!("checkout:{name}:{attempt}"),
            };
            let refusal = match create.clone().key(key).send().await {
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

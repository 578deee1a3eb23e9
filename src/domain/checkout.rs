//! `checkout`: a Stripe Checkout page, on which a customer enters a card and may subscribe.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use super::catalog::PricedFeature;
use super::entitlement::{IdDigest, PriorSubscription};
use super::generation;
use super::generation::generation_of;
use super::phases::Phase;
use super::plan_change::{CurrentPlan, CurrentState};
use super::refs::{OrgName, Reference};
use super::request_key::reused;
use super::revision::{Attempts, Refusal};
use super::subscription::{Detail, MARK};
use super::{Domain, Error, Result};
use crate::billing::{
    CheckoutSession, Generation, LineItem, Metadata, NewCheckoutSession, SessionSubscription,
    Subscription, Write,
};
use crate::num::hex;

/// The contents of the page.
#[derive(Clone, Debug, Default)]
pub struct Checkout {
    /// The page to return to after paying.
    pub success_url: String,
    /// The page to return to after cancelling, or empty.
    pub cancel_url: String,
    /// The features to buy. None: the page only collects a card.
    pub features: Vec<Reference>,
    /// The length of the trial in days.
    pub trial_days: i64,
    /// Whether the page requires an address.
    pub require_billing_address: bool,
    /// Tax settings.
    pub tax: Tax,
}

/// Tax settings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tax {
    /// Whether Stripe computes tax. None: as for the current subscription.
    pub automatic: Option<bool>,
    /// Whether Checkout asks for a tax id.
    pub collect_id: bool,
}

/// Why an org does not need a page any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlreadyBought {
    /// The org has the page's features, and they do not end.
    Current,
    /// The page begins a trial, and the org has already had these features.
    TrialUsed,
}

/// What a session sells. The request chooses the features. All else is as on the org's current subscription, which the
/// purchase replaces.
struct Purchase {
    items: Vec<LineItem>,
    coupon: Option<String>,
    automatic_tax: bool,
    /// The app's own metadata, and the generation's mark.
    metadata: Metadata,
    generation: Generation,
}

impl Purchase {
    fn new(
        features: &[PricedFeature],
        current: Option<&Subscription>,
        generation: Generation,
        now: i64,
    ) -> Self {
        let state = current.map_or(CurrentState::Nothing, CurrentState::Subscribed);
        let plan = CurrentPlan::of(state, now);
        let items = features.iter().zip(plan.items_with(features));
        let items = items.map(|(feature, item)| LineItem {
            price: item.price,
            // Checkout requires a quantity of at least one.
            quantity: (!feature.metered).then_some(item.quantity.unwrap_or(1).max(1)),
        });
        let metadata = current.map(|current| current.metadata.iter());
        let metadata = metadata.into_iter().flatten();
        let metadata = metadata.filter(|(key, _)| !key.starts_with("tier."));
        let metadata = metadata.map(|(key, value)| (key.clone(), value.clone()));
        let mut metadata: Metadata = metadata.collect();
        generation::mark(&mut metadata, generation);
        Self {
            items: items.collect(),
            metadata,
            generation,
            automatic_tax: plan.automatic_tax && !features.is_empty(),
            coupon: plan.coupon.filter(|_| !features.is_empty()),
        }
    }

    fn without_coupon(self) -> Self {
        Self {
            coupon: None,
            ..self
        }
    }
}

impl Domain {
    /// Opens a Checkout session for the org, creating its customer if needed, and returns the URL. With `key`, the URL
    /// stays the same for 24 hours. Without a key, equal requests within a minute get the same URL, unless the org
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

    /// Checks that a page can be opened: its URL, and that all its features are on sale.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::FeatureOrPlanNotFound`] or [`Error::PlanArchived`] if it cannot.
    pub async fn check_checkout(&self, checkout: &Checkout) -> Result<()> {
        self.features_on_sale(checkout).await.map(drop)
    }

    /// Whether the org has already bought what the page sells, so that it must not pay again. A page with a trial
    /// counts as used once the org has had its features, since a trial must not begin again.
    pub async fn already_bought(
        &self,
        org: &OrgName,
        checkout: &Checkout,
    ) -> Result<Option<AlreadyBought>> {
        let sold = self.features_on_sale(checkout).await?;
        let sold: BTreeSet<_> = sold.into_iter().map(|feature| feature.name).collect();
        let phases = match self.phases(org).await {
            Ok(phases) if !sold.is_empty() => phases,
            Ok(_) | Err(Error::OrgNotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        let sells_the_same = |phase: &&Phase| {
            phase.features.len() == sold.len() && phase.features.iter().all(|f| sold.contains(f))
        };
        let current = phases
            .current_index
            .and_then(|index| phases.phases.get(index));
        let current = current.filter(sells_the_same);
        if current.is_some_and(|phase| phase.trial || phase.end.is_none()) {
            return Ok(Some(AlreadyBought::Current));
        }
        let had_it = phases.phases.iter().any(|phase| sells_the_same(&phase));
        Ok((checkout.trial_days > 0 && had_it).then_some(AlreadyBought::TrialUsed))
    }

    async fn features_on_sale(&self, checkout: &Checkout) -> Result<Vec<PricedFeature>> {
        if checkout.success_url.is_empty() {
            return Err(Error::Invalid(
                "success_url is required: where to go after the payment".into(),
            ));
        }
        let features = self.expand(&checkout.features).await?;
        if let Some(archived) = features.iter().find(|feature| feature.archived) {
            return Err(Error::PlanArchived(archived.name.plan().to_string()));
        }
        generation_of(&features)?;
        Ok(features)
    }

    async fn open(&self, org: &OrgName, checkout: &Checkout, key: Option<&str>) -> Result<String> {
        let features = self.features_on_sale(checkout).await?;
        // Another request may be creating the org's customer.
        let shared = self.shared().await?;
        let _lock = self.hold_org(org).await?;
        let _changing = self.changing(&shared, org);
        let opened = match self.open_for(org, checkout, &features, key).await {
            Err(Error::CustomerVanished { .. }) => {
                self.forget_customer(org).await?;
                self.open_for(org, checkout, &features, key).await
            }
            opened => opened,
        };
        let (url, subscription) = opened?;
        if !features.is_empty() {
            self.expect_purchase(&shared, org, subscription);
        }
        Ok(url)
    }

    /// Opens the session for the org's customer. If that was created for it and Stripe refuses the session, deletes it
    /// again. Also returns the org's subscription before the purchase.
    async fn open_for(
        &self,
        org: &OrgName,
        checkout: &Checkout,
        features: &[PricedFeature],
        key: Option<&str>,
    ) -> Result<(String, PriorSubscription)> {
        let (org, is_new) = self.resolve_or_create_org(org).await?;
        let opened = self
            .open_for_customer(&org.customer, checkout, features, key)
            .await;
        if let Err(error) = &opened
            && is_new
            && error.is_definite_refusal()
        {
            self.undo_creation(&org).await;
        }
        let opened = opened?;
        if is_new {
            self.note_new_customer(&org).await?;
        } else {
            self.note_no_change(&org).await?;
        }
        Ok(opened)
    }

    /// With a client's key, the session is the same for as long as Stripe remembers the key. Without a key, two clicks
    /// or two servers open the same session within a minute, unless there was a purchase or a change. Also returns the
    /// org's current subscription, if it grants anything.
    async fn open_for_customer(
        &self,
        customer: &str,
        checkout: &Checkout,
        features: &[PricedFeature],
        key: Option<&str>,
    ) -> Result<(String, PriorSubscription)> {
        let found = self.subscriptions(customer, Detail::History).await?;
        let current = found.current.filter(Subscription::grants);
        let now = self.now().await?;
        let metered = features.iter().find_map(|feature| feature.generation);
        let generation = match metered.or_else(|| current.as_ref().map(Subscription::generation)) {
            Some(generation) => generation,
            None => self.generation_of_new().await?,
        };
        let purchase = Purchase::new(features, current.as_ref(), generation, now);
        let before = match key {
            // The org may have bought it already.
            Some(_) => PriorSubscription::Unknown,
            None => PriorSubscription::Known(current.map(|current| IdDigest::of(&current.id))),
        };
        let minute = self.account.clock.unix().div_euclid(60);
        let open = async |purchase: &Purchase, suffix: &str| {
            let create = self.new_session(customer, checkout, purchase);
            let name = key.map(|key| format!("{}{suffix}", self.key_digest(key)));
            let name = name.unwrap_or_else(|| {
                let digest = hex(&Sha256::digest(create.parameters())[..16]);
                format!("{digest}:{}:{minute}", found.revision)
            });
            self.open_session(create, name, key.is_some()).await
        };
        let opened = match open(&purchase, "").await {
            // The coupon may no longer be redeemable.
            Err(error) if purchase.coupon.is_some() && error.is_definite_refusal() => {
                open(&purchase.without_coupon(), ":without-coupon").await
            }
            opened => opened,
        };
        Ok((opened?, before))
    }

    fn new_session(
        &self,
        customer: &str,
        checkout: &Checkout,
        purchase: &Purchase,
    ) -> Write<CheckoutSession> {
        let Checkout { tax, .. } = checkout;
        let cancel_url = checkout.cancel_url.as_str();
        self.billing().create_checkout_session(&NewCheckoutSession {
            customer,
            success_url: &checkout.success_url,
            cancel_url: Some(cancel_url).filter(|url| !url.is_empty()),
            subscription: (!purchase.items.is_empty()).then_some(SessionSubscription {
                items: &purchase.items,
                mark: MARK,
                metadata: &purchase.metadata,
                generation: purchase.generation,
                trial_days: Some(checkout.trial_days).filter(|days| *days > 0),
                coupon: purchase.coupon.as_deref(),
            }),
            automatic_tax: tax.automatic.unwrap_or(purchase.automatic_tax),
            collects_tax_id: tax.collect_id,
            requires_address: checkout.require_billing_address,
        })
    }

    /// Opens the session with that name, or returns it if it is open already.
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
            let wait = attempts.wait_after(refusal)?;
            tokio::time::sleep(self.stripe().first_wait() * wait).await;
        }
    }
}

//! The creation of prices, of either generation.

use super::claim::Claim;
use super::{PushOutcome, PushedPrice};
use crate::billing::{Generation, NewPrice, Price, PriceProduct};
use crate::domain::meters::KnownMeters;
use crate::domain::price::{self, PulledFeature};
use crate::domain::pricing::{Feature, Plan};
use crate::domain::refs::FeaturePlan;
use crate::domain::{Domain, Result};
use crate::stripe;

/// The price of a feature to create.
pub(super) struct Creation<'a> {
    pub(super) name: &'a FeaturePlan,
    pub(super) plan: &'a Plan,
    pub(super) feature: &'a Feature,
    /// The claim of its plan.
    pub(super) claim: &'a Claim,
    /// Whether its plan may switch to meters if Stripe refuses classic prices.
    pub(super) may_switch_to_meters: bool,
    /// The account's meters.
    pub(super) meters: &'a KnownMeters,
}

impl Creation<'_> {
    /// Its terms in a generation. Licensed prices are the same in both.
    async fn terms(&self, domain: &Domain, generation: Generation) -> Result<NewPrice> {
        let meter = match generation {
            Generation::Meters if self.feature.is_metered() => {
                let meter = domain.meter_of(self.name, self.feature, self.meters);
                Some(meter.await?)
            }
            Generation::Meters | Generation::Classic => None,
        };
        Ok(price::terms(
            self.name,
            self.plan,
            self.feature,
            meter.as_deref(),
        ))
    }
}

impl Domain {
    /// Creates the price, and its product if that does not exist.
    pub(super) async fn create_price(
        &self,
        new: &Creation<'_>,
    ) -> Result<(PushOutcome, Option<PushedPrice>)> {
        let mut terms = new.terms(self, new.claim.generation).await?;
        let product = price::new_product(new.name, new.plan, new.feature);
        let mut sent = self.send_price(&terms, &product).await;
        if new.may_switch_to_meters && sent.as_ref().is_err_and(stripe::Error::is_meter_needed) {
            self.shared().await?.generation.note_refusal();
            self.claim_for_meters(&new.name.plan()).await?;
            terms = new.terms(self, Generation::Meters).await?;
            sent = self.send_price(&terms, &product).await;
        }
        let refused = match sent {
            Ok(price) => return Ok((PushOutcome::Created, Some(self.created(price)))),
            Err(error) if error.already_exists() || error.is_lookup_key_taken() => error,
            Err(error) => return Err(error.into()),
        };
        // Another push has created it meanwhile, or the plan's product was deleted after an earlier push.
        let key = new.name.lookup_key();
        let prices = self.prices_by_key(&[key.as_str()]).await?;
        let found = prices.iter().find_map(PulledFeature::read);
        if let Some(found) = found.filter(|found| found.name == *new.name) {
            return Ok(if found.has_terms_of(new.plan, new.feature) {
                (PushOutcome::Unchanged, Some(self.pushed_price(&found)))
            } else {
                (PushOutcome::Differs, None)
            });
        }
        if !prices.is_empty() || !refused.already_exists() {
            // A price that is not Tier's has the lookup key.
            return Err(refused.into());
        }
        let product = PriceProduct::Existing(key);
        let price = self.send_price(&terms, &product).await?;
        Ok((PushOutcome::Created, Some(self.created(price))))
    }

    async fn send_price(
        &self,
        terms: &NewPrice,
        product: &PriceProduct,
    ) -> Result<Price, stripe::Error> {
        self.billing().create_price(terms, product).send().await
    }

    fn created(&self, price: Price) -> PushedPrice {
        PushedPrice {
            link: self.price_page(&price.id),
            generation: price.generation(),
            id: price.id,
            archived: false,
        }
    }

    pub(super) fn pushed_price(&self, found: &PulledFeature) -> PushedPrice {
        PushedPrice {
            link: self.price_page(&found.id),
            generation: found.generation,
            id: found.id.clone(),
            archived: found.archived,
        }
    }

    fn price_page(&self, id: &str) -> Option<String> {
        self.dashboard_page(&format!("prices/{id}"))
    }
}

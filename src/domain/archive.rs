//! `archive`: takes a plan off sale, or puts it back. Orgs that have it keep it, and it renews.

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::catalog::one_price_per_feature;
use super::refs::PlanName;
use super::{Domain, Error, Result};
use crate::billing::Price;

impl Domain {
    /// Makes the prices and products of `plan` inactive in Stripe, or active again. A repeated call completes an
    /// interrupted one. The plan is archived from the first write on, and on sale again after the last.
    ///
    /// # Errors
    /// [`Error::FeatureOrPlanNotFound`] if the plan is not in the model.
    pub async fn archive(&self, plan: &PlanName, archived: bool) -> Result<()> {
        let outcome = self.archive_prices(plan, archived).await;
        outcome.map_err(|error| self.error_to_report(error))
    }

    async fn archive_prices(&self, plan: &PlanName, archived: bool) -> Result<()> {
        let mut prices = one_price_per_feature(self.billing().prices().await?);
        prices.retain(|name, _| name.plan() == *plan);
        if prices.is_empty() {
            return Err(Error::FeatureOrPlanNotFound(plan.to_string()));
        }
        if archived {
            self.set_prices_active(prices.values(), false).await?;
            self.set_products_active(prices.values(), false).await
        } else {
            self.set_products_active(prices.values(), true).await?;
            self.set_prices_active(prices.values(), true).await
        }
    }

    async fn set_prices_active(
        &self,
        prices: impl Iterator<Item = &Price>,
        active: bool,
    ) -> Result<()> {
        let writes: Vec<_> = prices
            .filter(|price| price.active != active)
            .map(|price| self.billing().set_price_active(&price.id, active).send())
            .collect();
        let mut running = stream::iter(writes).buffer_unordered(self.parallel());
        while running.try_next().await?.is_some() {}
        Ok(())
    }

    async fn set_products_active(
        &self,
        prices: impl Iterator<Item = &Price>,
        active: bool,
    ) -> Result<()> {
        let writes: Vec<_> = prices
            .filter_map(|price| price.product.as_deref())
            .map(|product| self.billing().set_product_active(product, active).send())
            .collect();
        let mut running = stream::iter(writes).buffer_unordered(self.parallel());
        while running.try_next().await?.is_some() {}
        Ok(())
    }
}

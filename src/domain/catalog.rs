//! The pushed prices, with the features that they sell and the plans that they form.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::{StreamExt, TryStreamExt, stream};

use super::refs::{FeatureName, FeaturePlan, PlanName, Reference};
use super::{Domain, Error, Result};
use crate::billing::{AggregateUsage, Generation, KEYS_PER_CALL, Price, RecurringInterval};

/// A feature of a plan, with its price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PricedFeature {
    /// Its full name.
    pub(super) name: FeaturePlan,
    /// `price_…`.
    pub(super) price_id: String,
    /// Whether it bills reported usage.
    pub(super) metered: bool,
    /// How usage is aggregated, for metered features.
    pub(super) aggregate: AggregateUsage,
    /// The generation of its price, if it is metered.
    pub(super) generation: Option<Generation>,
    /// Its interval and currency.
    pub(super) billing: BillingTerms,
    /// Whether it never costs anything. False if its tiers were not read.
    pub(super) free: bool,
    /// Whether it is archived.
    pub(super) archived: bool,
    /// How much of it may be used in a period.
    pub(super) limit: i64,
}

impl PricedFeature {
    /// The feature that a price sells. None if the price is not Tier's.
    pub(super) fn of(price: &Price) -> Option<Self> {
        Some(Self::named(price.feature_plan()?, price))
    }

    fn named(name: FeaturePlan, price: &Price) -> Self {
        Self {
            name,
            metered: price.is_metered(),
            aggregate: price.aggregate(),
            generation: price.generation(),
            billing: BillingTerms::of(price),
            free: price.is_free() == Some(true),
            archived: !price.active,
            limit: price.limit(),
            price_id: price.id.clone(),
        }
    }

    /// Whether its usage is a level rather than a sum.
    pub(super) fn is_level(&self) -> bool {
        self.metered && self.aggregate.is_level()
    }

    /// Whether its usage carries over to the next period.
    pub(super) fn is_perpetual(&self) -> bool {
        self.metered && self.aggregate.is_perpetual()
    }
}

/// The terms that all items of a subscription must share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BillingTerms {
    /// The unit of the interval, and the number of units.
    pub(super) every: Option<(RecurringInterval, u64)>,
    /// The currency: three lower-case letters.
    pub(super) currency: String,
}

impl BillingTerms {
    pub(super) fn of(price: &Price) -> Self {
        let period = price.period();
        Self {
            every: period.map(|(interval, count)| (interval.clone(), count)),
            currency: price.currency.clone(),
        }
    }
}

/// Every pushed feature, by price and by plan.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    /// By price id.
    sold_by: HashMap<String, FeaturePlan>,
    plans: BTreeMap<PlanName, BTreeSet<FeaturePlan>>,
    features: BTreeMap<FeaturePlan, PricedFeature>,
}

impl Domain {
    /// Reads the catalog, with one call for each hundred prices.
    pub(super) async fn catalog(&self) -> Result<Catalog> {
        let prices = self.billing().prices().await?;
        let at = self.account.clock.millis();
        self.shared().await?.generation.note_prices(&prices, at);
        Ok(Catalog::new(prices))
    }

    /// Like [`catalog`](Self::catalog), with tiers, which show whether a feature is free.
    pub(super) async fn catalog_with_tiers(&self) -> Result<Catalog> {
        let prices = self.billing().prices_with_tiers().await?;
        let at = self.account.clock.millis();
        self.shared().await?.generation.note_prices(&prices, at);
        Ok(Catalog::new(prices))
    }

    /// The features of `references`, in order and without duplicates.
    ///
    /// # Errors
    /// [`Error::FeatureOrPlanNotFound`] for the first reference that is not in the model.
    pub(super) async fn expand(&self, references: &[Reference]) -> Result<Vec<PricedFeature>> {
        Ok(self
            .expand_all(&[references])
            .await?
            .pop()
            .unwrap_or_default())
    }

    /// Like [`expand`](Self::expand) for several lists, with the same number of calls.
    pub(super) async fn expand_all(
        &self,
        lists: &[&[Reference]],
    ) -> Result<Vec<Vec<PricedFeature>>> {
        let references: BTreeSet<_> = lists.iter().copied().flatten().collect();
        let mut names = Vec::with_capacity(references.len());
        for reference in &references {
            match reference {
                Reference::Feature(name) => names.push(name),
                Reference::Plan(_) | Reference::FeatureVersion(_) => {}
            }
        }
        let catalog = if references.is_empty() {
            Catalog::default()
        } else if names.len() == references.len() {
            self.catalog_of(&names).await?
        } else {
            // Stripe cannot list the prices of one plan only.
            self.catalog_with_tiers().await?
        };
        lists.iter().map(|list| catalog.expand(list)).collect()
    }

    /// The part of the catalog that contains `names`.
    async fn catalog_of(&self, names: &[&FeaturePlan]) -> Result<Catalog> {
        let keys: Vec<String> = names.iter().map(|name| name.lookup_key()).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        Ok(Catalog::new(self.prices_by_key(&keys).await?))
    }

    /// The existing prices with `keys` as lookup keys.
    pub(super) async fn prices_by_key(&self, keys: &[&str]) -> Result<Vec<Price>> {
        let keys: BTreeSet<&str> = keys.iter().copied().collect();
        let keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
        let batches: Vec<Vec<String>> = keys.chunks(KEYS_PER_CALL).map(<[_]>::to_vec).collect();
        let pages: Vec<Vec<Price>> = stream::iter(batches)
            .map(|batch| async move { self.billing().prices_by_key(&batch).await })
            .buffered(self.parallel())
            .try_collect()
            .await?;
        Ok(pages.into_iter().flatten().collect())
    }
}

/// Chooses one price for each feature: the one with Tier's lookup key, or else the newest.
pub(super) fn one_price_per_feature(prices: Vec<Price>) -> BTreeMap<FeaturePlan, Price> {
    let mut chosen: BTreeMap<FeaturePlan, Price> = BTreeMap::new();
    for price in prices {
        let Some(name) = price.feature_plan() else {
            continue;
        };
        let is_keyed = price.lookup_key.as_deref() == Some(&name.lookup_key());
        if is_keyed || !chosen.contains_key(&name) {
            chosen.insert(name, price);
        }
    }
    chosen
}

impl Catalog {
    pub(super) fn new(prices: Vec<Price>) -> Self {
        let mut catalog = Self::default();
        for price in &prices {
            if let Some(name) = price.feature_plan() {
                catalog.sold_by.insert(price.id.clone(), name);
            }
        }
        for (name, price) in one_price_per_feature(prices) {
            let plan = catalog.plans.entry(name.plan()).or_default();
            plan.insert(name.clone());
            let feature = PricedFeature::named(name.clone(), &price);
            catalog.features.insert(name, feature);
        }
        catalog
    }

    pub(super) fn expand(&self, references: &[Reference]) -> Result<Vec<PricedFeature>> {
        let mut expanded: Vec<PricedFeature> = Vec::new();
        let missing = |reference: &Reference| Error::FeatureOrPlanNotFound(reference.to_string());
        for reference in references {
            let names = match reference {
                Reference::Plan(plan) => self
                    .plans
                    .get(plan)
                    .ok_or_else(|| missing(reference))?
                    .clone(),
                Reference::Feature(name) => BTreeSet::from([name.clone()]),
                Reference::FeatureVersion(_) => return Err(missing(reference)),
            };
            for name in names {
                let feature = self.features.get(&name).ok_or_else(|| missing(reference))?;
                if !expanded.contains(feature) {
                    expanded.push(feature.clone());
                }
            }
        }
        Ok(expanded)
    }

    /// The features of a plan, sorted.
    ///
    /// # Errors
    /// [`Error::FeatureOrPlanNotFound`] if the plan is not in the model.
    pub(super) fn plan(&self, plan: &PlanName) -> Result<Vec<PricedFeature>> {
        self.expand(&[Reference::Plan(plan.clone())])
    }

    /// All features, by name.
    pub(super) fn all(&self) -> impl Iterator<Item = &PricedFeature> {
        self.features.values()
    }

    /// Adds the copies of plans that do not exist yet, with meters and with names instead of price ids.
    pub(super) fn add_copies(&mut self, copies: &BTreeMap<PlanName, PlanName>) -> Result<()> {
        for (plan, copy) in copies {
            for feature in self.plan(plan)? {
                let name = feature.name.feature().on(copy);
                self.plans
                    .entry(copy.clone())
                    .or_default()
                    .insert(name.clone());
                let price_id = name.to_string();
                self.features.entry(name.clone()).or_insert(PricedFeature {
                    name,
                    price_id,
                    generation: feature.metered.then_some(Generation::Meters),
                    ..feature
                });
            }
        }
        Ok(())
    }

    /// The versions of a plan, sorted.
    pub(super) fn versions(&self, name: &str) -> Vec<&PlanName> {
        let all = self.plans.keys();
        all.filter(|plan| plan.name() == name).collect()
    }

    /// The prices that sell a feature in some plan.
    pub(super) fn prices_of(&self, feature: &FeatureName) -> Vec<&str> {
        let sold = self.sold_by.iter();
        let prices = sold.filter(|(_, name)| name.feature() == *feature);
        prices.map(|(price, _)| price.as_str()).collect()
    }

    /// Whether a feature is metered in some plan.
    pub(super) fn is_metered(&self, name: &FeatureName) -> bool {
        let mut features = self.features.values();
        features.any(|feature| feature.metered && feature.name.feature() == *name)
    }

    /// The feature that a price sells, if it is Tier's.
    pub(super) fn feature(&self, price: &str) -> Option<&FeaturePlan> {
        self.sold_by.get(price)
    }

    /// Splits `features` into whole plans and the features that no whole plan covers. Both are sorted.
    pub(super) fn cover(&self, features: &[FeaturePlan]) -> (Vec<PlanName>, Vec<FeaturePlan>) {
        let present: BTreeSet<_> = features.iter().cloned().collect();
        let named: BTreeSet<_> = features.iter().map(FeaturePlan::plan).collect();
        let whole = |plan: &PlanName| {
            self.plans
                .get(plan)
                .is_some_and(|all| all.is_subset(&present))
        };
        let covered: BTreeSet<_> = named.into_iter().filter(whole).collect();
        let fragments = present
            .into_iter()
            .filter(|feature| !covered.contains(&feature.plan()));
        let fragments = fragments.collect();
        (covered.into_iter().collect(), fragments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_covered_by_whole_plans_only() {
        let price = |feature: &str| -> Price {
            serde_json::from_value(
                serde_json::json!({"id": feature, "metadata": {"tier.feature": feature}}),
            )
            .expect("a price")
        };
        let catalog = Catalog::new(
            [
                "feature:a@plan:p@1",
                "feature:b@plan:p@1",
                "feature:a@plan:q@1",
            ]
            .map(price)
            .into(),
        );
        let names = |names: &[&str]| -> Vec<FeaturePlan> {
            names
                .iter()
                .map(|name| name.parse().expect("a feature"))
                .collect()
        };
        let (plans, fragments) =
            catalog.cover(&names(&["feature:a@plan:p@1", "feature:a@plan:q@1"]));
        assert_eq!(plans, ["plan:q@1".parse().expect("a plan")]);
        assert_eq!(fragments, names(&["feature:a@plan:p@1"]));
        let (plans, fragments) =
            catalog.cover(&names(&["feature:a@plan:p@1", "feature:b@plan:p@1"]));
        assert_eq!(plans, ["plan:p@1".parse().expect("a plan")]);
        assert!(fragments.is_empty());
    }
}

//! Moves an account from usage records to meters: each plan that is billed by usage records gets an equal one on
//! meters, as its next version, and the orgs move there.

use std::collections::{BTreeMap, BTreeSet};

use super::phase_change::FeatureExchange;
use super::{Exchange, Migrate, MigrateAt, MigrationPlan, MigrationState, ResolvedExchange};
use crate::billing::Generation;
use crate::domain::catalog::{Catalog, PricedFeature};
use crate::domain::generation::GenerationSetting;
use crate::domain::pricing::{Aggregate, Model, Plan};
use crate::domain::pull::Pulled;
use crate::domain::push::{PushOutcome, PushResult};
use crate::domain::refs::{FeaturePlan, OrgName, PlanName};
use crate::domain::request_key::reused;
use crate::domain::{Domain, Error, Result};

/// The plans on sale that are billed by usage records.
struct Classic {
    /// The copies on meters, by the plan that each replaces. Some may not exist yet.
    copies: BTreeMap<PlanName, PlanName>,
    /// The copies, as a model to push.
    model: Model,
    catalog: Catalog,
}

impl Domain {
    /// Creates the plans on meters, and begins to move the orgs. With `key`, a repeated request returns the same
    /// migration.
    ///
    /// # Errors
    /// [`Error::Invalid`] if no plan on sale is billed by usage records, or if a feature can only be counted by meters
    /// with a ledger, which the server does not have.
    pub async fn migrate_to_meters(
        &self,
        at: MigrateAt,
        orgs: Option<BTreeSet<OrgName>>,
        key: Option<&str>,
    ) -> Result<MigrationState> {
        let outcome = async {
            if let Some(key) = key
                && let Ok(known) = self.migration_record(&self.keyed_migration(key)).await
            {
                let requested = &known.request;
                let is_same = matches!(requested.exchange, Exchange::ToMeters(_))
                    && (requested.at, &requested.orgs) == (at, &orgs);
                if !is_same {
                    return Err(reused());
                }
                return self.continue_migration(known).await;
            }
            let classic = self.classic_plans().await?;
            let on_meters = GenerationSetting::Fixed(Generation::Meters);
            let pushes = self.clone().with_generation(on_meters);
            let results = pushes.push(&classic.model, |_| {}).await?;
            results.iter().try_for_each(check_copy)?;
            let request = Migrate {
                exchange: Exchange::ToMeters(classic.copies),
                at,
                orgs,
            };
            self.migrate(&request, key).await
        };
        let outcome = outcome.await;
        outcome.map_err(|error| self.error_to_report(error))
    }

    /// Plans a migration to meters, without writing anything.
    ///
    /// # Errors
    /// As [`migrate_to_meters`](Self::migrate_to_meters).
    pub async fn plan_to_meters(
        &self,
        at: MigrateAt,
        orgs: Option<BTreeSet<OrgName>>,
        limit: usize,
        after: Option<&OrgName>,
    ) -> Result<MigrationPlan> {
        let mut classic = self.classic_plans().await?;
        classic.catalog.add_copies(&classic.copies)?;
        let exchange = Exchange::ToMeters(classic.copies);
        let resolved = ResolvedExchange::new(classic.catalog, &exchange)?;
        let request = Migrate { exchange, at, orgs };
        self.check_time(&request).await?;
        resolved.check(&request)?;
        self.plan_with(&resolved, &request, limit, after).await
    }

    async fn classic_plans(&self) -> Result<Classic> {
        if !self.may_use_meters() {
            return Err(Error::Invalid(
                "this server creates plans with usage records only: start it with --stripe-generation auto or meters"
                    .to_owned(),
            ));
        }
        let prices = self.billing().prices_with_tiers().await?;
        let Pulled { model, archived } = Pulled::of(prices.clone());
        let catalog = Catalog::new(prices);
        let mut found = Classic {
            copies: BTreeMap::new(),
            model: Model::default(),
            catalog,
        };
        let mut names: Vec<&PlanName> = model.plans.keys().collect();
        names.sort_by_key(|name| (name.name(), number(name)));
        for name in names {
            let sold = found.catalog.plan(name)?;
            if !archived.contains(name) && sold.iter().any(PricedFeature::is_classic) {
                let plan = &model.plans[name];
                if plan.features.len() != sold.len() {
                    return Err(Error::Invalid(format!(
                        "{name} has prices that Tier cannot push again: move its orgs with `tier migrate`, or archive it"
                    )));
                }
                self.check_aggregates(name, plan)?;
                let copy = self.copy_name(name, plan, &model, &found).await?;
                let renamed = renamed(plan, name, &copy);
                found.model.plans.insert(copy.clone(), renamed);
                found.copies.insert(name.clone(), copy);
            }
        }
        if found.copies.is_empty() {
            return Err(Error::Invalid(
                "no plan on sale is billed by usage records: there is nothing to move".to_owned(),
            ));
        }
        Ok(found)
    }

    /// The name of a plan's copy: an equal plan on meters, or one that an interrupted push has begun to create, or else
    /// the next version.
    async fn copy_name(
        &self,
        name: &PlanName,
        plan: &Plan,
        model: &Model,
        found: &Classic,
    ) -> Result<PlanName> {
        let taken: BTreeSet<&PlanName> = found.copies.values().collect();
        let is_version = |other: &&PlanName| other.name() == name.name();
        let mut others: Vec<&PlanName> = model.plans.keys().filter(is_version).collect();
        others.sort_by_key(|other| number(other));
        for &other in &others {
            let sold = found.catalog.plan(other)?;
            if taken.contains(other) || sold.iter().any(|feature| feature.archived) {
                continue;
            }
            if sold.iter().any(PricedFeature::is_classic) || number(other) <= number(name) {
                continue;
            }
            let wanted = renamed(plan, name, other);
            let existing = &model.plans[other];
            if *existing == wanted
                || (is_part(existing, &wanted) && self.is_claimed_for(other, &wanted).await?)
            {
                return Ok(other.clone());
            }
        }
        let taken = taken.into_iter().filter(is_version);
        let newest = others.into_iter().chain(taken).filter_map(number).max();
        let next = newest.unwrap_or(0).saturating_add(1);
        Ok(format!("plan:{}@{next}", name.name()).parse()?)
    }

    /// Checks that meters can count what a plan sells.
    fn check_aggregates(&self, name: &PlanName, plan: &Plan) -> Result<()> {
        if self.ledger.is_some() {
            return Ok(());
        }
        let needs_ledger = |aggregate| matches!(aggregate, Aggregate::Max | Aggregate::Perpetual);
        let mut features = plan.features.iter();
        match features.find(|(_, feature)| feature.is_metered() && needs_ledger(feature.aggregate))
        {
            None => Ok(()),
            Some((name_of_feature, feature)) => Err(Error::Invalid(format!(
                "{} has the aggregate {}, which meters count only with a ledger: start the server with --ledger",
                name_of_feature.on(name),
                feature.aggregate.as_str()
            ))),
        }
    }
}

/// Checks that a feature of a copy exists, with a meter if it is metered.
fn check_copy(result: &PushResult) -> Result<()> {
    let feature = &result.feature;
    let generation = result.price.as_ref().and_then(|price| price.generation);
    match &result.outcome {
        PushOutcome::Failed(reason) => Err(Error::Unavailable {
            reason: format!(
                "{feature} could not be created with a meter, and nobody was moved: {reason}"
            ),
            source: None,
        }),
        outcome if !outcome.is_ok() || generation == Some(Generation::Classic) => {
            Err(Error::Invalid(format!(
                "{feature} exists already, and not with a meter as it should be: archive its plan, and nobody was moved"
            )))
        }
        _ => Ok(()),
    }
}

/// The version as a number. None if it is another text.
fn number(name: &PlanName) -> Option<u64> {
    name.version().parse().ok()
}

/// The plan under another name. A title that is only the name changes with it.
fn renamed(plan: &Plan, from: &PlanName, to: &PlanName) -> Plan {
    let mut plan = plan.clone();
    if plan.title == from.as_str() {
        to.as_str().clone_into(&mut plan.title);
    }
    for (name, feature) in &mut plan.features {
        if feature.title == name.on(from).as_str() {
            name.on(to).as_str().clone_into(&mut feature.title);
        }
    }
    plan
}

/// Whether a plan has the settings of `whole`, and only features of it.
fn is_part(plan: &Plan, whole: &Plan) -> bool {
    let mut features = plan.features.iter();
    (&plan.title, plan.interval, &plan.currency) == (&whole.title, whole.interval, &whole.currency)
        && features.all(|(name, feature)| whole.features.get(name) == Some(feature))
}

impl PricedFeature {
    /// Whether it is billed by usage records.
    fn is_classic(&self) -> bool {
        self.generation == Some(Generation::Classic)
    }
}

impl FeatureExchange {
    /// Exchanges each feature for that of the copy of its plan. Features of archived plans have no replacement.
    pub(super) fn to_meters(
        catalog: &Catalog,
        copies: &BTreeMap<PlanName, PlanName>,
    ) -> Result<Self> {
        let mut pairs = Vec::new();
        for (from, to) in copies {
            catalog.plan(to)?;
            for feature in catalog.plan(from)? {
                let copy = feature.name.feature().on(to);
                pairs.push((feature.name, copy));
            }
        }
        let archived = catalog
            .all()
            .filter(|feature| feature.is_classic() && !copies.contains_key(&feature.name.plan()));
        let archived: BTreeSet<FeaturePlan> =
            archived.map(|feature| feature.name.clone()).collect();
        Ok(Self::each(pairs, archived))
    }
}

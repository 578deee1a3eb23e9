//! `migrate`: moves all orgs of a plan, or some of them, to another plan.
//!
//! Before a migration begins, its request is stored in Stripe as an inactive product, so that any server can continue
//! it. Each org is changed as by `subscribe`. The same call notes the migration on its subscription, so that no server
//! moves it again. Nothing else is stored.

mod one_org;
mod phase_change;
mod preview;
mod progress;
mod record;
mod run;
mod targets;
mod to_meters;

use std::collections::{BTreeMap, BTreeSet};

use super::catalog::{Catalog, PricedFeature};
use super::refs::{FeatureName, OrgName, PlanName};
use super::{Domain, Error, Result};

pub(super) use progress::Migrations;

use phase_change::FeatureExchange;
use record::MigrationRecord;

/// The metadata key of the migrations that moved a subscription or schedule, newest first.
pub(super) const MIGRATIONS: &str = "tier.migration";

/// The maximum number of noted migrations. Their ids, separated by spaces, fit into one metadata value.
const MAX_NOTED: usize = 15;

/// A request to move orgs: which, to which plan, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrate {
    /// Which plans are exchanged.
    pub exchange: Exchange,
    /// When to move each org.
    pub at: MigrateAt,
    /// The orgs to move. None: all that have the plan, or are scheduled to get it.
    pub orgs: Option<BTreeSet<OrgName>>,
}

/// The plans that a migration exchanges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// One plan in place of another.
    Plan {
        /// The plan that an org has.
        from: PlanName,
        /// The plan that it gets.
        to: PlanName,
    },
    /// Plans on usage records for equal plans on meters, as old to new. Orgs that have only some features of a plan get
    /// only these.
    ToMeters(BTreeMap<PlanName, PlanName>),
}

impl Exchange {
    /// The plans, as pairs of old and new.
    fn plans(&self) -> Vec<(&PlanName, &PlanName)> {
        match self {
            Self::Plan { from, to } => vec![(from, to)],
            Self::ToMeters(copies) => copies.iter().collect(),
        }
    }
}

/// When an org is moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MigrateAt {
    /// Now.
    #[default]
    Now,
    /// At the end of its billing period.
    PeriodEnd,
    /// At this time, in Unix seconds, or now if it is past.
    Time(i64),
}

impl MigrateAt {
    /// The time in Unix seconds, for an org whose billing period ends at `period_end`.
    fn resolve(self, now: i64, period_end: i64) -> i64 {
        match self {
            Self::Now => now,
            Self::PeriodEnd => period_end,
            Self::Time(at) => at,
        }
    }
}

/// The progress of a migration.
#[derive(Clone, Debug)]
pub struct MigrationState {
    /// `mig_…`.
    pub id: String,
    /// Whether all orgs were tried.
    pub is_done: bool,
    /// The number of orgs to move.
    pub total: usize,
    /// The number of orgs that were moved, or need not be.
    pub done: usize,
    /// The orgs that could not be moved, as far as this process has tried.
    pub failed: Vec<MigrationFailure>,
}

/// An org that could not be moved.
#[derive(Clone, Debug)]
pub struct MigrationFailure {
    /// The org.
    pub org: OrgName,
    /// The error.
    pub error: Error,
}

/// The plan of a migration: a page of its orgs, by name.
#[derive(Clone, Debug)]
pub struct MigrationPlan {
    /// The number of orgs on all pages.
    pub total: usize,
    /// The change of each org.
    pub moves: Vec<PlannedMove>,
    /// The orgs of the page that cannot be moved.
    pub failed: Vec<MigrationFailure>,
    /// The last org of the page, if more follow.
    pub next: Option<OrgName>,
    /// The exchanged plans.
    pub exchange: Exchange,
}

/// The change that a migration would make to an org.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedMove {
    /// The org.
    pub org: OrgName,
    /// When its first phase changes, in Unix seconds.
    pub effective: i64,
    /// The total of its next invoice after the change, with the usage so far. None if there will be none.
    pub next_bill: Option<i64>,
    /// The total of its next invoice without the change.
    pub next_bill_now: Option<i64>,
    /// The metered features whose new limit it has already exceeded.
    pub over_limit: Vec<FeatureName>,
}

/// An exchange of plans, resolved to their features.
struct ResolvedExchange {
    catalog: Catalog,
    features: FeatureExchange,
    /// Whether the new plans have the same prices as the old ones.
    is_equal: bool,
}

impl Domain {
    /// Begins a migration, which runs in the background. With `key`, a repeated request returns the same migration.
    ///
    /// # Errors
    /// As [`plan_migration`](Self::plan_migration). No org is moved then.
    pub async fn migrate(&self, request: &Migrate, key: Option<&str>) -> Result<MigrationState> {
        let outcome = self.begin_migration(request, key).await;
        outcome.map_err(|error| self.error_to_report(error))
    }

    async fn begin_migration(
        &self,
        request: &Migrate,
        key: Option<&str>,
    ) -> Result<MigrationState> {
        let exchange = self.check_migration(request).await?;
        let id = match key {
            Some(key) => self.keyed_migration(key),
            None => format!("mig_{}", &uuid::Uuid::new_v4().simple().to_string()[..16]),
        };
        let record = MigrationRecord::new(id, request.clone(), self.test_clock.as_deref());
        let targets = self.migration_targets(&record, &exchange).await?;
        match self.store_record(&record).await? {
            None => self.run_migration(record, exchange, targets).await,
            Some(known) if known.request == record.request => self.continue_migration(known).await,
            Some(_) => Err(super::request_key::reused()),
        }
    }

    /// The id of the migration of a request with this key.
    fn keyed_migration(&self, key: &str) -> String {
        format!("mig_{}", self.key_digest(key))
    }

    /// Continues a migration, unless this process is already running it or all its orgs were moved.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is no migration with that id.
    pub async fn resume_migration(&self, id: &str) -> Result<MigrationState> {
        let record = self.migration_record(id).await?;
        self.continue_migration(record).await
    }

    async fn continue_migration(&self, record: MigrationRecord) -> Result<MigrationState> {
        if let Some(progress) = self.migration_progress(&record.id).await?
            && !progress.has_stopped()
        {
            return Ok(progress.state());
        }
        if let Some(state) = record.finished().filter(|state| state.done == state.total) {
            return Ok(state);
        }
        let domain = self.on_clock_of(&record);
        let exchange = domain.resolve_and_check(&record.request).await?;
        let targets = domain.migration_targets(&record, &exchange).await?;
        domain.run_migration(record, exchange, targets).await
    }

    /// The progress of a migration.
    ///
    /// # Errors
    /// As [`resume_migration`](Self::resume_migration).
    pub async fn migration(&self, id: &str) -> Result<MigrationState> {
        if let Some(progress) = self.migration_progress(id).await? {
            return Ok(progress.state());
        }
        let record = self.migration_record(id).await?;
        if let Some(state) = record.finished() {
            return Ok(state);
        }
        // Another server is running it, or it was interrupted.
        let domain = self.on_clock_of(&record);
        let exchange = domain.resolve_exchange(&record.request).await?;
        let targets = domain.migration_targets(&record, &exchange).await?;
        Ok(MigrationState {
            id: record.id,
            is_done: false,
            total: targets.moved + targets.orgs.len(),
            done: targets.moved,
            failed: Vec::new(),
        })
    }

    /// Plans a migration, without writing anything.
    ///
    /// # Errors
    /// [`Error::FeatureOrPlanNotFound`] for a plan that does not exist, [`Error::PlanArchived`] for an archived one,
    /// and [`Error::Invalid`] for plans that do not fit together or a time in the past.
    pub async fn plan_migration(
        &self,
        request: &Migrate,
        limit: usize,
        after: Option<&OrgName>,
    ) -> Result<MigrationPlan> {
        let exchange = self.check_migration(request).await?;
        self.plan_with(&exchange, request, limit, after).await
    }

    async fn plan_with(
        &self,
        exchange: &ResolvedExchange,
        request: &Migrate,
        limit: usize,
        after: Option<&OrgName>,
    ) -> Result<MigrationPlan> {
        let record =
            MigrationRecord::new(String::new(), request.clone(), self.test_clock.as_deref());
        let targets = self.migration_targets(&record, exchange).await?.orgs;
        let begin = after.map_or(0, |after| {
            targets.partition_point(|target| target.org <= *after)
        });
        let page = &targets[begin..targets.len().min(begin + limit)];
        let (moves, failed) = self.preview_moves(page, request.at, exchange).await?;
        let last = page.last().filter(|_| begin + page.len() < targets.len());
        Ok(MigrationPlan {
            total: targets.len(),
            moves,
            failed,
            next: last.map(|last| last.org.clone()),
            exchange: request.exchange.clone(),
        })
    }

    /// Checks a new request.
    async fn check_migration(&self, request: &Migrate) -> Result<ResolvedExchange> {
        if let Exchange::Plan { from, to } = &request.exchange
            && from == to
        {
            return Err(Error::Invalid(format!(
                "from and to are the same plan: {:?}",
                from.as_str()
            )));
        }
        self.check_time(request).await?;
        self.resolve_and_check(request).await
    }

    async fn check_time(&self, request: &Migrate) -> Result<()> {
        match request.at {
            MigrateAt::Time(at) if at < self.now().await? => {
                Err(Error::Invalid("at must not be in the past".into()))
            }
            _ => Ok(()),
        }
    }

    /// Resolves the exchange of a request, and checks what may have changed since it was accepted.
    async fn resolve_and_check(&self, request: &Migrate) -> Result<ResolvedExchange> {
        let exchange = self.resolve_exchange(request).await?;
        exchange.check(request)?;
        Ok(exchange)
    }

    /// Resolves the exchange of a request.
    async fn resolve_exchange(&self, request: &Migrate) -> Result<ResolvedExchange> {
        let prices = self.billing().prices_with_tiers().await?;
        ResolvedExchange::new(Catalog::new(prices), &request.exchange)
    }

    /// The same account, on the test clock of a migration.
    fn on_clock_of(&self, record: &MigrationRecord) -> Self {
        match &record.clock {
            Some(clock) => self.on_test_clock(clock.as_str()),
            None => Self {
                test_clock: None,
                ..self.clone()
            },
        }
    }
}

impl ResolvedExchange {
    /// # Errors
    /// [`Error::FeatureOrPlanNotFound`] if one of the plans is not in the catalog.
    fn new(catalog: Catalog, exchange: &Exchange) -> Result<Self> {
        let features = match exchange {
            Exchange::Plan { from, to } => {
                let names = |plan: &PlanName| -> Result<BTreeSet<_>> {
                    let features = catalog.plan(plan)?.into_iter();
                    Ok(features.map(|feature| feature.name).collect())
                };
                FeatureExchange::whole(names(from)?, names(to)?)
            }
            Exchange::ToMeters(copies) => FeatureExchange::to_meters(&catalog, copies)?,
        };
        let is_equal = matches!(exchange, Exchange::ToMeters(_));
        Ok(Self {
            catalog,
            features,
            is_equal,
        })
    }

    /// Checks that each old plan can be exchanged for its new one.
    fn check(&self, request: &Migrate) -> Result<()> {
        let plans = request.exchange.plans();
        let mut plans = plans.into_iter();
        plans.try_for_each(|(from, to)| self.check_plans(from, to, request.at))
    }

    fn check_plans(&self, from: &PlanName, to: &PlanName, at: MigrateAt) -> Result<()> {
        let old = self.catalog.plan(from)?;
        let new = self.catalog.plan(to)?;
        if new.iter().any(|feature| feature.archived) {
            return Err(Error::PlanArchived(to.to_string()));
        }
        let generation =
            |plan: &[PricedFeature]| plan.iter().find_map(|feature| feature.generation);
        let generations = generation(&old).zip(generation(&new));
        if generations.is_some_and(|(old, new)| old != new) && matches!(at, MigrateAt::Time(_)) {
            return Err(Error::Invalid(format!(
                "{from} is billed by usage records and {to} by billing meters, or the other way round: at must be now or \
                 period_end"
            )));
        }
        let currency = |plan: &[PricedFeature]| {
            let first = plan.first();
            first
                .map(|feature| feature.billing.currency.clone())
                .unwrap_or_default()
        };
        let (old, new) = (currency(&old), currency(&new));
        if old != new {
            return Err(Error::Invalid(format!(
                "the currency of a subscription cannot change: from is in {old}, and to in {new}"
            )));
        }
        Ok(())
    }
}

/// The metadata value of the known migrations and `id`.
fn migrations_with(known: &[String], id: &str) -> String {
    let known = known
        .iter()
        .map(String::as_str)
        .filter(|known| *known != id);
    let all: Vec<_> = std::iter::once(id).chain(known).take(MAX_NOTED).collect();
    all.join(" ")
}

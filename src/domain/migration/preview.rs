//! Previews a migration: when each org moves, its next invoice, and which new limits it has already exceeded.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};

use super::phase_change::{OrgPhase, PhaseChange};
use super::targets::Target;
use super::{MigrateAt, MigrationFailure, PlannedMove, ResolvedExchange};
use crate::billing::{PreviewedChange, PreviewedItem, Subscription};
use crate::domain::plan_change::{CurrentPlan, CurrentState};
use crate::domain::pricing::NO_LIMIT;
use crate::domain::refs::FeatureName;
use crate::domain::usage::FeatureUsage;
use crate::domain::{Domain, Error, Result};

impl Domain {
    /// The planned changes of the orgs of a page, in order, and the orgs that cannot be moved.
    pub(super) async fn preview_moves(
        &self,
        orgs: &[Target],
        at: MigrateAt,
        exchange: &ResolvedExchange,
    ) -> Result<(Vec<PlannedMove>, Vec<MigrationFailure>)> {
        let previews: Vec<_> = orgs
            .iter()
            .map(|target| async move {
                (
                    &target.org,
                    Box::pin(self.preview_move(target, at, exchange)).await,
                )
            })
            .collect();
        let mut previews = stream::iter(previews).buffered(self.parallel());
        let (mut moves, mut failed) = (Vec::new(), Vec::new());
        while let Some((org, preview)) = previews.next().await {
            match preview {
                Ok(planned) => moves.push(planned),
                Err(error) if error.is_refusal() || matches!(error, Error::OrgNotFound) => {
                    failed.push(MigrationFailure {
                        org: org.clone(),
                        error,
                    });
                }
                Err(error) => return Err(error),
            }
        }
        Ok((moves, failed))
    }

    async fn preview_move(
        &self,
        target: &Target,
        at: MigrateAt,
        exchange: &ResolvedExchange,
    ) -> Result<PlannedMove> {
        let org = &target.org;
        let resolved = self.resolve_target(target).await?;
        self.remember_customer(org, &resolved.customer).await?;
        let state = self.read_customer_state(&resolved.customer).await?;
        let now = self.now().await?;
        let Some((_, phase_change)) = self.requested_phases(&state, at, exchange, now).await?
        else {
            return Err(Error::Invalid("the org does not have the plan".into()));
        };
        let mut planned = PlannedMove {
            org: org.clone(),
            effective: phase_change.effective,
            next_bill: None,
            next_bill_now: None,
            over_limit: Vec::new(),
        };
        let CurrentState::Subscribed(subscription) = state.current_state() else {
            return Ok(planned);
        };
        let next_bill = async |change: Option<&PreviewedChange>| {
            let (id, generation) = (&subscription.id, subscription.generation());
            self.billing().next_total(id, generation, change).await
        };
        planned.next_bill_now = next_bill(None).await?;
        let is_equal =
            exchange.is_equal && phase_change.effective >= subscription.current_period_end;
        let new = exchange.previewed_change(subscription, &phase_change, now);
        planned.next_bill = match new.filter(|_| !is_equal) {
            None => planned.next_bill_now,
            Some(new) => match next_bill(Some(&new)).await {
                Ok(total) => total,
                // Stripe's preview does not include everything.
                Err(error) if error.is_definite() => None,
                Err(error) => return Err(error.into()),
            },
        };
        let usage = self.limits(org).await?.value;
        planned.over_limit = exchange.over_limit(&phase_change, &usage);
        Ok(planned)
    }
}

impl ResolvedExchange {
    /// The change to preview in the next invoice. None if no licensed item changes before that invoice. Metered items
    /// are kept, since their usage so far is billed at the old price.
    fn previewed_change(
        &self,
        subscription: &Subscription,
        phase_change: &PhaseChange,
        now: i64,
    ) -> Option<PreviewedChange> {
        let period_end = subscription.current_period_end;
        if phase_change.effective > period_end {
            return None;
        }
        let resolved = self
            .resolve(phase_change.at(phase_change.effective)?)
            .ok()?;
        let current_plan = CurrentPlan::of(CurrentState::Subscribed(subscription), now);
        let planned = current_plan.items_with(&resolved.features);
        let metered = |price: &str| {
            let mut features = resolved.features.iter();
            features.any(|feature| feature.price_id == price && feature.metered)
        };
        let items = subscription.items.iter();
        let licensed = items.filter(|item| !item.price.is_metered());
        let stays = |price: &str| planned.iter().any(|item| item.price == price);
        let removed = licensed.filter(|item| !stays(&item.price.id));
        let removed = removed.map(|item| PreviewedItem::Removed {
            id: item.id.clone(),
        });
        let has = |price: &str| subscription.items.iter().any(|item| item.price.id == price);
        let added = planned
            .iter()
            .filter(|item| !has(&item.price) && !metered(&item.price));
        let added = added.map(|item| PreviewedItem::Added {
            price: item.price.clone(),
            quantity: item.quantity,
        });
        let items: Vec<PreviewedItem> = removed.chain(added).collect();
        if items.is_empty() {
            return None;
        }
        let is_prorated = phase_change.effective < period_end && !subscription.is_trialing();
        Some(PreviewedChange {
            items,
            prorated_from: is_prorated.then_some(phase_change.effective.max(now)),
        })
    }

    /// The metered features whose usage already exceeds their limit in the first changed phase.
    fn over_limit(&self, phase_change: &PhaseChange, usage: &[FeatureUsage]) -> Vec<FeatureName> {
        let Some(phase) = phase_change.at(phase_change.effective) else {
            return Vec::new();
        };
        let limits = self.limits(phase);
        let exceeded = usage.iter().filter(|usage| {
            let limit = limits.get(&usage.feature).copied().unwrap_or(0);
            usage.used > limit && self.catalog.is_metered(&usage.feature)
        });
        exceeded.map(|usage| usage.feature.clone()).collect()
    }

    /// The limit of each feature in a phase.
    fn limits(&self, phase: &OrgPhase) -> BTreeMap<FeatureName, i64> {
        let mut limits: BTreeMap<FeatureName, i64> = BTreeMap::new();
        for feature in self
            .resolve(phase)
            .map(|phase| phase.features)
            .unwrap_or_default()
        {
            let limit = if feature.metered {
                feature.limit
            } else {
                NO_LIMIT
            };
            let sum = limits.entry(feature.name.feature()).or_default();
            *sum = sum.saturating_add(limit);
        }
        limits
    }
}

//! Previews a migration: when each org moves, its next invoice, and which new limits it has already exceeded.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};

use super::course::{Course, Stretch};
use super::targets::Target;
use super::{MigrateAt, MigrationFailure, PlannedMove, Terms};
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
        terms: &Terms,
    ) -> Result<(Vec<PlannedMove>, Vec<MigrationFailure>)> {
        let previews: Vec<_> = orgs
            .iter()
            .map(|one| async move { (&one.org, Box::pin(self.preview_move(one, at, terms)).await) })
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
        terms: &Terms,
    ) -> Result<PlannedMove> {
        let org = &target.org;
        let resolved = self.resolve_target(target).await?;
        self.remember_customer(org, &resolved.customer).await?;
        let state = self.read_customer_state(&resolved.customer).await?;
        let now = self.now().await?;
        let Some((_, course)) = self.requested_phases(&state, at, terms, now).await? else {
            return Err(Error::Invalid("the org does not have the plan".into()));
        };
        let mut planned = PlannedMove {
            org: org.clone(),
            effective: course.effective,
            next_bill: None,
            next_bill_now: None,
            over_limit: Vec::new(),
        };
        let CurrentState::Subscribed(subscription) = state.current_state() else {
            return Ok(planned);
        };
        let next_bill = async |terms: Option<&PreviewedChange>| {
            let (id, generation) = (&subscription.id, subscription.generation());
            self.billing().next_total(id, generation, terms).await
        };
        planned.next_bill_now = next_bill(None).await?;
        let is_equal = terms.is_equal && course.effective >= subscription.current_period_end;
        let new = terms.new_terms(subscription, &course, now);
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
        planned.over_limit = terms.over_limit(&course, &usage);
        Ok(planned)
    }
}

impl Terms {
    /// The change of the items for the preview of the next invoice. None if the change comes after that invoice.
    /// Metered items stay, since usage so far is billed at its old price.
    fn new_terms(
        &self,
        subscription: &Subscription,
        course: &Course,
        now: i64,
    ) -> Option<PreviewedChange> {
        let period_end = subscription.current_period_end;
        if course.effective > period_end {
            return None;
        }
        let resolved = self.resolve(course.at(course.effective)?).ok()?;
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
        let is_prorated = course.effective < period_end && !subscription.is_trialing();
        Some(PreviewedChange {
            items,
            prorated_from: is_prorated.then_some(course.effective.max(now)),
        })
    }

    /// The metered features of which more is already used than the first changed phase allows.
    fn over_limit(&self, course: &Course, usage: &[FeatureUsage]) -> Vec<FeatureName> {
        let Some(phase) = course.at(course.effective) else {
            return Vec::new();
        };
        let allowed = self.allowed(phase);
        let exceeded = usage.iter().filter(|used| {
            let limit = allowed.get(&used.feature).copied().unwrap_or(0);
            used.used > limit && self.catalog.is_metered(&used.feature)
        });
        exceeded.map(|used| used.feature.clone()).collect()
    }

    /// How much a phase allows of each feature.
    fn allowed(&self, phase: &Stretch) -> BTreeMap<FeatureName, i64> {
        let mut allowed: BTreeMap<FeatureName, i64> = BTreeMap::new();
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
            let sum = allowed.entry(feature.name.feature()).or_default();
            *sum = sum.saturating_add(limit);
        }
        allowed
    }
}

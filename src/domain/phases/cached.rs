//! The cached current phase of an org.

use std::sync::Arc;

use super::{BillingPeriod, Phase};
use crate::billing::Coupon;
use crate::domain::entitlement::{PhaseGrants, Read, Readable, Terms};
use crate::domain::refs::OrgName;
use crate::domain::subscription::Detail;
use crate::domain::{Domain, Result};

/// The current phase of an org, if it has one.
#[derive(Debug)]
pub(in crate::domain) struct CachedPhase(Option<CompactPhase>);

/// A compact [`Phase`], which shares its features and plans with other orgs.
#[derive(Clone, Debug)]
struct CompactPhase {
    granted: Arc<PhaseGrants>,
    coupon: Option<Box<Coupon>>,
    effective: i64,
    end: Option<i64>,
    current_period: Option<BillingPeriod>,
    trial: bool,
    automatic_tax: bool,
}

impl CachedPhase {
    /// The org has no current phase.
    pub(in crate::domain) const NONE: Self = Self(None);

    /// The phase, if there is one.
    pub(super) fn phase(&self) -> Option<Phase> {
        let CompactPhase {
            granted,
            coupon,
            effective,
            end,
            current_period,
            trial,
            automatic_tax,
        } = self.0.clone()?;
        Some(Phase {
            features: granted.features.clone(),
            plans: granted.plans.clone(),
            fragments: granted.fragments.clone(),
            coupon: coupon.map(|coupon| *coupon),
            effective,
            end,
            current_period,
            trial,
            automatic_tax,
        })
    }
}

impl Readable for CachedPhase {
    async fn read(domain: &Domain, org: &OrgName) -> Result<Read<Self>> {
        let (mut all, subscription) = domain.timeline(org, Detail::Schedule).await?;
        let customer = domain.customer(org).await?;
        let (Some(current_index), Some(subscription)) = (all.current_index, subscription) else {
            return Ok(Read::unsubscribed(Self::NONE, &customer));
        };
        let phase = all.phases.swap_remove(current_index);
        let period_end = phase.current_period.map(|period| period.end);
        let granted = PhaseGrants {
            features: phase.features,
            plans: phase.plans,
            fragments: phase.fragments,
        };
        let shared = domain.shared().await?;
        let plans = shared.memory.entitlements().plans();
        let remembered = CompactPhase {
            granted: plans.share_grants(granted),
            coupon: phase.coupon.map(Box::new),
            effective: phase.effective,
            end: phase.end,
            current_period: phase.current_period,
            trial: phase.trial,
            automatic_tax: phase.automatic_tax,
        };
        Ok(Read {
            until: phase.end.into_iter().chain(period_end).min(),
            is_on_test_clock: subscription.test_clock.is_some(),
            terms: Some(Terms::of(&subscription)),
            customer,
            value: Self(Some(remembered)),
        })
    }

    /// The same phase in its next billing period. None if the phase has ended, since the one after it is not cached.
    fn predicted(&self, now: i64) -> Option<Self> {
        let phase = self.0.as_ref()?;
        if phase.end.is_some_and(|end| end <= now) {
            return None;
        }
        let current_period = phase.current_period.map(|period| period.at(now));
        Some(Self(Some(CompactPhase {
            current_period,
            ..phase.clone()
        })))
    }
}

//! The phase in force, as it is cached.

use std::sync::Arc;

use super::{Phase, Span};
use crate::billing::Coupon;
use crate::domain::entitlement::{PhaseGrants, Read, Readable, Terms};
use crate::domain::refs::OrgName;
use crate::domain::subscription::Detail;
use crate::domain::{Domain, Result};

/// The phase in force, if there is one.
#[derive(Debug)]
pub(in crate::domain) struct InForce(Option<CompactPhase>);

/// A compact [`Phase`]: what it grants is shared with the other orgs that have the same.
#[derive(Clone, Debug)]
struct CompactPhase {
    granted: Arc<PhaseGrants>,
    coupon: Option<Box<Coupon>>,
    effective: i64,
    end: Option<i64>,
    current: Option<Span>,
    trial: bool,
    automatic_tax: bool,
}

impl InForce {
    /// No phase is in force.
    pub(in crate::domain) const NONE: Self = Self(None);

    /// The phase, if there is one.
    pub(super) fn phase(&self) -> Option<Phase> {
        let CompactPhase {
            granted,
            coupon,
            effective,
            end,
            current,
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
            current,
            trial,
            automatic_tax,
        })
    }
}

impl Readable for InForce {
    async fn read(domain: &Domain, org: &OrgName) -> Result<Read<Self>> {
        let (mut all, subscription) = domain.timeline(org, Detail::Schedule).await?;
        let customer = domain.customer(org).await?;
        let (Some(in_force), Some(subscription)) = (all.in_force, subscription) else {
            return Ok(Read::unsubscribed(Self::NONE, &customer));
        };
        let phase = all.phases.swap_remove(in_force);
        let period_end = phase.current.map(|period| period.end);
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
            current: phase.current,
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
        let current = phase.current.map(|period| period.at(now));
        Some(Self(Some(CompactPhase {
            current,
            ..phase.clone()
        })))
    }
}

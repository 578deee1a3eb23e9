//! The ledger's target for usage of a feature.

use super::org_in_ledger;
use crate::billing::{Subscription, SubscriptionItem};
use crate::domain::Error;
use crate::domain::billing_cycle::BillingPeriod;
use crate::domain::entitlement::{Kind, UsageSnapshot};
use crate::domain::refs::{FeatureName, OrgName};
use crate::ledger::values::{Aggregate, Feature, Meter, Period, PlanNumber, Target, Time};

/// The ledger's name of a feature.
pub(super) fn feature_in_ledger(feature: &FeatureName) -> Feature {
    feature.as_str().into()
}

pub(super) fn period_in_ledger(period: BillingPeriod) -> Period {
    Period {
        start: Time::from_seconds(period.start),
        end: Time::from_seconds(period.end),
    }
}

impl UsageSnapshot {
    /// The target for usage of a feature at `now`.
    ///
    /// # Errors
    /// [`Error::FeatureNotReportable`] for a licensed feature, or [`Error::FeatureNotFound`].
    pub(super) fn target(
        &self,
        org: &OrgName,
        feature: &FeatureName,
        now: Time,
    ) -> Result<Target, Error> {
        let item = self.metered_item(feature);
        let item = item.ok_or_else(|| {
            if self.grants(feature) {
                Error::FeatureNotReportable
            } else {
                Error::FeatureNotFound
            }
        })?;
        let period = self.period_at(now.seconds());
        let previous = self.period_before(period);
        // The item had an earlier period only if it existed then.
        let previous = previous.filter(|_| item.created < period.start);
        Ok(Target {
            org: org_in_ledger(org),
            feature: feature_in_ledger(feature),
            item: (&*item.id).into(),
            since: Time::from_seconds(self.began()),
            meter: self.meter_of(item),
            aggregate: aggregate(item.sold.kind),
            period: period_in_ledger(period),
            previous: previous.map(period_in_ledger),
            item_start: Time::from_seconds(item.created),
            item_end: self.planned_end().map(Time::from_seconds),
            plan: self.plan(),
        })
    }

    fn grants(&self, feature: &FeatureName) -> bool {
        let mut items = self.items().iter();
        items.any(|item| item.sold.feature == *feature)
    }
}

/// The target for usage of the feature that an item sells, from Stripe's subscription; `None` if Tier did not sell the
/// item.
pub(super) fn target_of(
    org: &OrgName,
    subscription: &Subscription,
    item: &SubscriptionItem,
) -> Option<Target> {
    let feature = item.price.feature_plan()?.feature();
    let kind = Kind::of(&item.price);
    Some(Target {
        org: org_in_ledger(org),
        feature: feature_in_ledger(&feature),
        item: item.id.as_str().into(),
        since: Time::from_seconds(subscription.start_date),
        meter: item.price.meter().map(|id| Meter {
            id: id.into(),
            customer: subscription.customer.as_str().into(),
        }),
        aggregate: aggregate(kind),
        period: Period {
            start: Time::from_seconds(subscription.current_period_start),
            end: Time::from_seconds(subscription.current_period_end),
        },
        previous: None,
        item_start: Time::from_seconds(item.created),
        item_end: None,
        plan: PlanNumber::default(),
    })
}

fn aggregate(kind: Kind) -> Aggregate {
    match kind {
        Kind::Licensed | Kind::Sum => Aggregate::Sum,
        Kind::Max => Aggregate::Max,
        Kind::Last => Aggregate::Last,
        Kind::Perpetual => Aggregate::Perpetual,
    }
}

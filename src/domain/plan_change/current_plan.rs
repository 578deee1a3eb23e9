//! The org's current plan: what a change keeps unless the request says otherwise.

use super::CurrentState;
use crate::billing::{Metadata, NewPhaseItem, Price, Schedule, Subscription};
use crate::domain::catalog::{BillingTerms, PricedFeature};
use crate::domain::refs::FeaturePlan;
use crate::domain::{Error, Result};

/// How many items Stripe lets a subscription have.
const MAX_ITEMS: usize = 20;

/// The items and settings of a subscription, or of a schedule that has not started.
#[derive(Clone, Debug, Default)]
pub(in crate::domain) struct CurrentPlan {
    items: Vec<CurrentItem>,
    /// The id of the current coupon.
    pub(in crate::domain) coupon: Option<String>,
    /// Whether Stripe computes tax.
    pub(in crate::domain) automatic_tax: bool,
    /// The subscription's own payment method. None: the customer's default.
    pub(in crate::domain) payment_method: Option<String>,
    /// Whether it is in a trial.
    pub(super) trialing: bool,
    /// Whether there is a subscription, whose currency cannot change.
    has_begun: bool,
}

#[derive(Clone, Debug)]
struct CurrentItem {
    /// The feature that it sells. None if the item is not Tier's.
    feature: Option<FeaturePlan>,
    price: String,
    metered: bool,
    quantity: Option<u64>,
    metadata: Metadata,
    billing: BillingTerms,
}

impl CurrentItem {
    fn new(price: &Price, quantity: Option<u64>, metadata: &Metadata) -> Self {
        let metered = price.is_metered();
        Self {
            feature: price.feature_plan(),
            price: price.id.clone(),
            metered,
            quantity: quantity.filter(|_| !metered),
            metadata: metadata.clone(),
            billing: BillingTerms::of(price),
        }
    }

    fn planned(&self) -> NewPhaseItem {
        NewPhaseItem {
            price: self.price.clone(),
            quantity: self.quantity,
            metadata: self.metadata.clone(),
        }
    }
}

impl CurrentPlan {
    pub(in crate::domain) fn of(current_state: CurrentState<'_>, now: i64) -> Self {
        match current_state {
            CurrentState::Nothing => Self::default(),
            CurrentState::NotStarted(schedule) => Self::of_schedule(schedule),
            CurrentState::Subscribed(subscription) => Self::of_subscription(subscription, now),
        }
    }

    fn of_subscription(subscription: &Subscription, now: i64) -> Self {
        let items = subscription.items.iter();
        let discount = subscription.discount.as_ref();
        let running = discount.filter(|discount| discount.end.is_none_or(|end| end > now));
        Self {
            items: items
                .map(|item| CurrentItem::new(&item.price, item.quantity, &item.metadata))
                .collect(),
            coupon: running.map(|discount| discount.coupon.id.clone()),
            automatic_tax: subscription.automatic_tax,
            payment_method: subscription.default_payment_method.clone(),
            trialing: subscription.is_trialing(),
            has_begun: true,
        }
    }

    /// The first phase of a schedule that has not started. Its prices must be expanded.
    fn of_schedule(schedule: &Schedule) -> Self {
        let first = schedule.phases.first();
        let items = first.map(|phase| phase.items.iter()).into_iter().flatten();
        let items = items.filter_map(|item| {
            Some(CurrentItem::new(
                item.price()?,
                item.quantity,
                &item.metadata,
            ))
        });
        let coupon = first.and_then(|phase| phase.coupon_id());
        let phase_tax = first.and_then(|phase| phase.automatic_tax);
        Self {
            items: items.collect(),
            coupon: coupon.map(str::to_owned),
            automatic_tax: phase_tax.unwrap_or_else(|| schedule.automatic_tax()),
            payment_method: schedule.default_payment_method().map(str::to_owned),
            trialing: false,
            has_begun: false,
        }
    }

    /// Whether this coupon is already applied, so that it is not redeemed again.
    pub(in crate::domain) fn has_coupon(&self, id: &str) -> bool {
        self.coupon.as_deref() == Some(id)
    }

    /// Whether it sells exactly these features.
    pub(super) fn sells_exactly(&self, features: &[PricedFeature]) -> bool {
        let sold = || self.items.iter().filter(|item| item.feature.is_some());
        let is_wanted = |item: &CurrentItem| {
            features
                .iter()
                .any(|feature| feature.price_id == item.price)
        };
        sold().count() == features.len() && sold().all(is_wanted)
    }

    /// All items, unchanged.
    pub(super) fn items(&self) -> Vec<NewPhaseItem> {
        self.items.iter().map(CurrentItem::planned).collect()
    }

    /// The items for `features`, and the items that are not Tier's. A quantity is kept when a feature moves to another
    /// price.
    pub(in crate::domain) fn items_with(&self, features: &[PricedFeature]) -> Vec<NewPhaseItem> {
        let stays = |item: &CurrentItem| {
            features
                .iter()
                .any(|feature| feature.price_id == item.price)
        };
        let mut removed: Vec<&CurrentItem> =
            self.items.iter().filter(|item| !stays(item)).collect();
        let sold = features.iter().map(|feature| {
            let same = self
                .items
                .iter()
                .find(|item| item.price == feature.price_id);
            let before = same.or_else(|| take_same_feature(&mut removed, feature));
            NewPhaseItem {
                price: feature.price_id.clone(),
                quantity: before
                    .and_then(|item| item.quantity)
                    .filter(|_| !feature.metered),
                metadata: before.map(|item| item.metadata.clone()).unwrap_or_default(),
            }
        });
        let sold: Vec<NewPhaseItem> = sold.collect();
        let foreign = self.items.iter().filter(|item| item.feature.is_none());
        sold.into_iter()
            .chain(foreign.map(CurrentItem::planned))
            .collect()
    }

    /// Checks that Stripe lets one subscription have `features` and the items that stay: not too many, billed at the
    /// same times, in one currency.
    ///
    /// # Errors
    /// [`Error::Invalid`], with Stripe's message.
    pub(in crate::domain) fn check(&self, features: &[PricedFeature]) -> Result<()> {
        if features.is_empty() {
            return Ok(());
        }
        let foreign = self.items.iter().filter(|item| item.feature.is_none());
        let sold = features.iter().map(|feature| &feature.billing);
        let all: Vec<&BillingTerms> = sold.chain(foreign.map(|item| &item.billing)).collect();
        if all.len() > MAX_ITEMS {
            return Err(Error::Invalid(format!(
                "You have exceeded the maximum number of items: a subscription can have at most {MAX_ITEMS}, and {} were given.",
                all.len()
            )));
        }
        let mismatch = |differs: fn(&BillingTerms, &BillingTerms) -> bool| {
            all.iter().any(|billing| differs(billing, all[0]))
        };
        let field = if mismatch(|a, b| a.every != b.every) {
            "interval"
        } else if mismatch(|a, b| a.currency != b.currency) {
            "currency"
        } else {
            let current_item = self.items.first().filter(|_| self.has_begun);
            return match current_item {
                Some(item) if item.billing.currency != all[0].currency => Err(Error::Invalid(
                    "You cannot change the currency of a subscription.".into(),
                )),
                _ => Ok(()),
            };
        };
        Err(Error::Invalid(format!(
            "Currency and interval fields must match across all plans on this subscription. Found mismatch in {field} field."
        )))
    }
}

/// Takes out the first removed item of the same feature, in any plan, if both are metered or both are licensed.
fn take_same_feature<'a>(
    removed: &mut Vec<&'a CurrentItem>,
    feature: &PricedFeature,
) -> Option<&'a CurrentItem> {
    let name = feature.name.feature();
    let same = |item: &&CurrentItem| {
        item.metered == feature.metered
            && item
                .feature
                .as_ref()
                .is_some_and(|sold| sold.feature() == name)
    };
    removed
        .iter()
        .position(same)
        .map(|index| removed.remove(index))
}

//! What an org has that a request need not mention: it stays.

use super::CurrentState;
use crate::billing::{Metadata, NewPhaseItem, Price, Schedule, Subscription};
use crate::domain::catalog::{BillingTerms, PricedFeature};
use crate::domain::refs::FeaturePlan;
use crate::domain::{Error, Result};

/// How many items Stripe lets a subscription have.
const MAX_ITEMS: usize = 20;

/// What a subscription, or one to come, has now.
#[derive(Clone, Debug, Default)]
pub(in crate::domain) struct Held {
    items: Vec<HeldItem>,
    /// The coupon that runs, by its id.
    pub(super) coupon: Option<String>,
    /// Whether Stripe computes tax.
    pub(super) automatic_tax: bool,
    /// What its own invoices are paid with.
    pub(in crate::domain) payment_method: Option<String>,
    /// Whether a trial runs.
    pub(super) trialing: bool,
    /// Whether there is a subscription, whose currency cannot change.
    has_begun: bool,
}

#[derive(Clone, Debug)]
struct HeldItem {
    /// What it is of Tier's; none if it is not.
    feature: Option<FeaturePlan>,
    price: String,
    metered: bool,
    quantity: Option<u64>,
    metadata: Metadata,
    billing: BillingTerms,
}

impl HeldItem {
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

impl Held {
    pub(in crate::domain) fn of(current_state: CurrentState<'_>, now: i64) -> Self {
        match current_state {
            CurrentState::Nothing => Self::default(),
            CurrentState::Waiting(schedule) => Self::of_schedule(schedule),
            CurrentState::Subscribed(subscription) => Self::of_subscription(subscription, now),
        }
    }

    fn of_subscription(subscription: &Subscription, now: i64) -> Self {
        let items = subscription.items.data.iter();
        let discount = subscription.discount.as_ref();
        let running = discount.filter(|discount| discount.end.is_none_or(|end| end > now));
        Self {
            items: items
                .map(|item| HeldItem::new(&item.price, item.quantity, &item.metadata))
                .collect(),
            coupon: running.map(|discount| discount.coupon.id.clone()),
            automatic_tax: subscription.automatic_tax.enabled,
            payment_method: subscription.default_payment_method.clone(),
            trialing: subscription.is_trialing(),
            has_begun: true,
        }
    }

    /// What a schedule that has not begun is to begin with. Its prices are to be expanded.
    fn of_schedule(schedule: &Schedule) -> Self {
        let settings = &schedule.default_settings;
        let first = schedule.phases.first();
        let items = first.map(|phase| phase.items.iter()).into_iter().flatten();
        let items = items.filter_map(|item| {
            let price = item.price.object()?;
            Some(HeldItem::new(price, item.quantity, &item.metadata))
        });
        let coupon = first.and_then(|phase| phase.coupon.as_ref());
        let own_tax = first.and_then(|phase| phase.automatic_tax);
        Self {
            items: items.collect(),
            coupon: coupon.map(|coupon| coupon.id().to_owned()),
            automatic_tax: own_tax.unwrap_or(settings.automatic_tax).enabled,
            payment_method: settings.default_payment_method.clone(),
            trialing: false,
            has_begun: false,
        }
    }

    /// Whether the coupon runs: it need not be redeemed again.
    pub(in crate::domain) fn has_coupon(&self, id: &str) -> bool {
        self.coupon.as_deref() == Some(id)
    }

    /// Whether exactly these features are held.
    pub(super) fn sells_just(&self, features: &[PricedFeature]) -> bool {
        let own = || self.items.iter().filter(|item| item.feature.is_some());
        own().count() == features.len()
            && own().all(|item| features.iter().any(|one| one.price_id == item.price))
    }

    /// All items, as they are.
    pub(super) fn items(&self) -> Vec<NewPhaseItem> {
        self.items.iter().map(HeldItem::planned).collect()
    }

    /// The items that sell `features`, with what is not Tier's. A quantity follows the feature's name from one price
    /// to another.
    pub(super) fn items_with(&self, features: &[PricedFeature]) -> Vec<NewPhaseItem> {
        let stays = |item: &HeldItem| features.iter().any(|one| one.price_id == item.price);
        let mut gone: Vec<&HeldItem> = self.items.iter().filter(|item| !stays(item)).collect();
        let own = features.iter().map(|feature| {
            let same = self
                .items
                .iter()
                .find(|item| item.price == feature.price_id);
            let before = same.or_else(|| take_named(&mut gone, feature));
            NewPhaseItem {
                price: feature.price_id.clone(),
                quantity: before
                    .and_then(|item| item.quantity)
                    .filter(|_| !feature.metered),
                metadata: before.map(|item| item.metadata.clone()).unwrap_or_default(),
            }
        });
        let own: Vec<NewPhaseItem> = own.collect();
        let foreign = self.items.iter().filter(|item| item.feature.is_none());
        own.into_iter()
            .chain(foreign.map(HeldItem::planned))
            .collect()
    }

    /// Whether Stripe lets one subscription have `features` beside what stays: not too many, billed at the same times,
    /// in one currency.
    ///
    /// # Errors
    /// [`Error::Invalid`], in Stripe's words.
    pub(in crate::domain) fn check(&self, features: &[PricedFeature]) -> Result<()> {
        if features.is_empty() {
            return Ok(());
        }
        let foreign = self.items.iter().filter(|item| item.feature.is_none());
        let own = features.iter().map(|feature| &feature.billing);
        let all: Vec<&BillingTerms> = own.chain(foreign.map(|item| &item.billing)).collect();
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
            let held = self.items.first().filter(|_| self.has_begun);
            return match held {
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

/// The first of the items that go which sells the same feature, whatever the plan, in the same way.
fn take_named<'a>(gone: &mut Vec<&'a HeldItem>, feature: &PricedFeature) -> Option<&'a HeldItem> {
    let name = feature.name.feature();
    let same = |item: &&HeldItem| {
        item.metered == feature.metered
            && item
                .feature
                .as_ref()
                .is_some_and(|held| held.feature() == name)
    };
    gone.iter().position(same).map(|index| gone.remove(index))
}

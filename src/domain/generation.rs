//! The generation of metered prices: classic ones, which bill usage records, or those with billing meters.
//!
//! All metered prices of a subscription have the same generation, which decides how Stripe bills it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::SecondsFormat;

use super::catalog::PricedFeature;
use super::plan_change::{CurrentState, ResolvedPhase};
use super::{Domain, Error, Result};
use crate::billing::{Discount, Generation, Metadata, Price, Schedule, Subscription};

/// Marks a subscription, and each phase of a schedule, whose metered prices have meters. The mark also gives a
/// generation to a subscription without metered prices.
const MARK: (&str, &str) = ("tier.generation", "meters");

/// The metadata key of the mark.
pub(super) const GENERATION: &str = MARK.0;

/// Marks the metadata of a subscription or phase, if it is on meters.
pub(super) fn mark(metadata: &mut Metadata, generation: Generation) {
    if generation == Generation::Meters {
        metadata.insert(MARK.0.to_owned(), MARK.1.to_owned());
    }
}

fn marked(metadata: &Metadata) -> bool {
    metadata.get(MARK.0).is_some_and(|value| value == MARK.1)
}

impl Subscription {
    /// The generation of its prices.
    pub(super) fn generation(&self) -> Generation {
        let mut items = self.items.iter();
        let found = items.find_map(|item| item.price.generation());
        found.unwrap_or(if marked(&self.metadata) {
            Generation::Meters
        } else {
            Generation::Classic
        })
    }

    /// Whether its prices have meters.
    pub(super) fn is_on_meters(&self) -> bool {
        self.generation() == Generation::Meters
    }
}

impl Schedule {
    /// The generation of its prices, which is that of its first phase.
    pub(super) fn generation(&self) -> Generation {
        let first = self.phases.first();
        let metadata = first.and_then(|phase| phase.metadata.as_ref());
        if metadata.is_some_and(marked) {
            Generation::Meters
        } else {
            Generation::Classic
        }
    }
}

/// Checks that the org can change to `features`, from `later` (Unix seconds) or now. `keeps_coupon` says that the
/// request names no other coupon.
///
/// # Errors
/// [`Error::Invalid`] if the features have both generations. If the generation of the org's subscription differs, also
/// if the change begins neither now nor at the end of the billing period, or if a new subscription could not continue
/// an unpaid invoice or a coupon.
pub(super) fn check_generation<'a>(
    state: CurrentState<'_>,
    features: impl IntoIterator<Item = &'a PricedFeature>,
    later: Option<i64>,
    keeps_coupon: bool,
) -> Result<()> {
    let Some(requested) = generation_of(features)? else {
        return Ok(());
    };
    let CurrentState::Subscribed(subscription) = state else {
        return Ok(());
    };
    let ends = subscription.current_period_end;
    let Some(later) = later.filter(|_| subscription.generation() != requested) else {
        return Ok(());
    };
    if later == ends {
        return check_successor(subscription, keeps_coupon);
    }
    let ends = chrono::DateTime::from_timestamp(ends, 0).unwrap_or_default();
    let ends = ends.to_rfc3339_opts(SecondsFormat::Secs, true);
    Err(Error::Invalid(format!(
        "the org's plan is billed by usage records and the new one by billing meters, or the other way round: such a \
         change needs a new subscription, which can begin now or at the end of the billing period, {ends}"
    )))
}

/// Checks that a new subscription can follow this one.
fn check_successor(subscription: &Subscription, keeps_coupon: bool) -> Result<()> {
    if !subscription.is_paid_for() {
        return Err(Error::Invalid(
            "an invoice of the org is unpaid: a new subscription can only follow one that is paid for".to_owned(),
        ));
    }
    match &subscription.discount {
        Some(Discount { coupon, end, .. })
            if keeps_coupon && (end.is_some() || coupon.duration == "once") =>
        {
            Err(Error::Invalid(format!(
                "the org's coupon {:?} is for a time, which would begin anew with the new subscription: name a coupon, or an \
                 empty one, in the phase, or change the plan when it has ended",
                coupon.id
            )))
        }
        _ => Ok(()),
    }
}

/// The generation of the metered features; `None` if no feature is metered.
///
/// # Errors
/// [`Error::Invalid`] if they have both generations.
pub(super) fn generation_of<'a>(
    features: impl IntoIterator<Item = &'a PricedFeature>,
) -> Result<Option<Generation>> {
    let metered = features
        .into_iter()
        .filter(|feature| feature.generation.is_some());
    let mut first: Option<&PricedFeature> = None;
    for feature in metered {
        match first {
            Some(first) if first.generation != feature.generation => {
                let on_meter =
                    |feature: &PricedFeature| feature.generation == Some(Generation::Meters);
                let (with, without) = if on_meter(feature) {
                    (feature, first)
                } else {
                    (first, feature)
                };
                return Err(Error::Invalid(format!(
                    "{} has a price with a billing meter, and {} has not: a subscription cannot have both; push one of \
                     the plans again under a new version",
                    with.name, without.name
                )));
            }
            _ => first = Some(feature),
        }
    }
    Ok(first.and_then(|feature| feature.generation))
}

/// The generation of the metered features of phases, if there are any. They have been checked to have the same one.
pub(super) fn generation_of_phases(requested: &[ResolvedPhase]) -> Option<Generation> {
    let mut features = requested.iter().flat_map(|phase| &phase.features);
    features.find_map(|feature| feature.generation)
}

/// Which generation of metered prices a push creates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GenerationSetting {
    /// The generation of the account's newest metered price. An account without metered prices gets meters if there is
    /// a ledger or if Stripe refuses classic prices, or else classic ones.
    #[default]
    Auto,
    /// Always this generation.
    Fixed(Generation),
}

/// What is known of the generation of an account's prices.
#[derive(Debug, Default)]
pub(super) struct KnownGeneration {
    /// Whether Stripe has refused classic metered prices.
    classic_refused: AtomicBool,
    newest: Mutex<Newest>,
}

/// The generation of Tier's newest metered price when prices were last read.
#[derive(Clone, Copy, Debug, Default)]
enum Newest {
    /// Prices have not been read yet.
    #[default]
    Unread,
    /// Prices have been read.
    Read {
        /// `None`: there were no metered prices.
        newest: Option<Generation>,
        /// Unix milliseconds.
        at: i64,
    },
}

/// How long the known newest generation is used, in milliseconds. Another process may push in the meantime.
const NEWEST_USED_FOR: i64 = 60_000;

impl KnownGeneration {
    pub(super) fn note_refusal(&self) {
        self.classic_refused.store(true, Ordering::Relaxed);
    }

    /// Notes the newest metered price, from the list of all prices, which is newest first.
    pub(super) fn note_prices(&self, prices: &[Price], at: i64) {
        let newest = prices.iter().find_map(generation_if_tiers);
        *self.newest() = Newest::Read { newest, at };
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The price's generation; `None` unless it is a metered price of Tier's.
fn generation_if_tiers(price: &Price) -> Option<Generation> {
    price
        .generation()
        .filter(|_| price.feature_plan().is_some())
}

impl Domain {
    /// The same account, with the generation of metered prices that pushes create.
    #[must_use]
    pub fn with_generation(self, generation: GenerationSetting) -> Self {
        Self { generation, ..self }
    }

    /// The generation of the metered prices that a push of new plans creates.
    pub async fn generation(&self) -> Result<Generation> {
        if let GenerationSetting::Fixed(generation) = self.generation {
            return Ok(generation);
        }
        let known = &self.shared().await?.generation;
        if known.classic_refused.load(Ordering::Relaxed) {
            return Ok(Generation::Meters);
        }
        let newest = self.read_newest(known).await?;
        Ok(newest.unwrap_or(self.first_generation()))
    }

    async fn read_newest(&self, known: &KnownGeneration) -> Result<Option<Generation>> {
        let newest = self.billing().find_metered_price(generation_if_tiers);
        let newest = newest.await?;
        let at = self.account.clock.millis();
        *known.newest() = Newest::Read { newest, at };
        Ok(newest)
    }

    /// The generation of an account's first metered price. Meters need a ledger to support all aggregates.
    fn first_generation(&self) -> Generation {
        match self.ledger {
            Some(_) => Generation::Meters,
            None => Generation::Classic,
        }
    }

    /// The generation of new plans, according to prices that were read recently. A new subscription without metered
    /// features gets it.
    pub(super) async fn generation_of_new(&self) -> Result<Generation> {
        if let GenerationSetting::Fixed(generation) = self.generation {
            return Ok(generation);
        }
        let known = &self.shared().await?.generation;
        if known.classic_refused.load(Ordering::Relaxed) {
            return Ok(Generation::Meters);
        }
        let now = self.account.clock.millis();
        let read = *known.newest();
        let newest = match read {
            Newest::Read { newest, at } if (0..NEWEST_USED_FOR).contains(&(now - at)) => newest,
            Newest::Read { .. } | Newest::Unread => self.read_newest(known).await?,
        };
        Ok(newest.unwrap_or(self.first_generation()))
    }

    /// Whether a push may create prices with meters when Stripe refuses classic ones.
    pub(super) fn may_use_meters(&self) -> bool {
        self.generation != GenerationSetting::Fixed(Generation::Classic)
    }
}

//! The generation of metered prices: which one a push creates, and which one a subscription is of.
//!
//! All metered prices of a subscription are of one generation, which decides how Stripe bills it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::SecondsFormat;

use super::catalog::PricedFeature;
use super::plan_change::{CurrentState, ResolvedPhase};
use super::{Domain, Error, Result};
use crate::billing::{Discount, Generation, Metadata, Price, Schedule, Subscription};

/// Marks a subscription, and each phase of a schedule, whose prices have meters. A subscription without metered prices
/// is of a generation too.
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

/// Checks that the org can change to `features`, from `later` (Unix seconds) or now. `keeps_coupon`: the request names no
/// other.
///
/// # Errors
/// [`Error::Invalid`] if the features are of both generations, or if the org's subscription is of another one and the
/// change begins neither now nor at the end of its billing period, or if what is unpaid or discounted could not go on as
/// it is.
pub(super) fn check_generation<'a>(
    state: CurrentState<'_>,
    features: impl IntoIterator<Item = &'a PricedFeature>,
    later: Option<i64>,
    keeps_coupon: bool,
) -> Result<()> {
    let Some(asked) = generation_of(features)? else {
        return Ok(());
    };
    let CurrentState::Subscribed(subscription) = state else {
        return Ok(());
    };
    let ends = subscription.current_period_end;
    let Some(later) = later.filter(|_| subscription.generation() != asked) else {
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

/// Checks that another subscription can follow this one.
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

/// The generation of the metered features; none if no feature is metered.
///
/// # Errors
/// [`Error::Invalid`] if they are of both.
pub(super) fn generation_of<'a>(
    features: impl IntoIterator<Item = &'a PricedFeature>,
) -> Result<Option<Generation>> {
    let metered = features.into_iter().filter(|one| one.generation.is_some());
    let mut first: Option<&PricedFeature> = None;
    for one in metered {
        match first {
            Some(first) if first.generation != one.generation => {
                let on_meter = |one: &PricedFeature| one.generation == Some(Generation::Meters);
                let (with, without) = if on_meter(one) {
                    (one, first)
                } else {
                    (first, one)
                };
                return Err(Error::Invalid(format!(
                    "{} has a price with a billing meter, and {} has not: a subscription cannot have both; push one of \
                     the plans again under a new version",
                    with.name, without.name
                )));
            }
            _ => first = Some(one),
        }
    }
    Ok(first.and_then(|one| one.generation))
}

/// The generation of the metered features of phases, if there are any. They were checked to be of one.
pub(super) fn generation_of_phases(asked: &[ResolvedPhase]) -> Option<Generation> {
    let mut features = asked.iter().flat_map(|phase| &phase.features);
    features.find_map(|one| one.generation)
}

/// Which generation of metered prices a push creates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GenerationSetting {
    /// That of the account's newest metered price. If it has none: meters with a ledger, or if Stripe refuses classic
    /// ones, else classic.
    #[default]
    Auto,
    /// Always this one.
    Fixed(Generation),
}

/// What is known of the generation of an account's prices.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Whether Stripe has refused classic metered prices.
    classic_refused: AtomicBool,
    newest: Mutex<Newest>,
}

/// The generation of the newest metered price of Tier's when prices were last read.
#[derive(Clone, Copy, Debug, Default)]
enum Newest {
    /// They were not read yet.
    #[default]
    Unread,
    /// None: there were no metered prices.
    Read {
        newest: Option<Generation>,
        /// Unix milliseconds.
        at: i64,
    },
}

/// How long it is used, in milliseconds: another process may push.
const NEWEST_USED_FOR: i64 = 60_000;

impl Known {
    pub(super) fn note_refusal(&self) {
        self.classic_refused.store(true, Ordering::Relaxed);
    }

    /// Notes the newest metered price, from the list of all prices, which is newest first.
    pub(super) fn note_prices(&self, prices: &[Price], at: i64) {
        let newest = prices.iter().find_map(generation_of_tiers);
        *self.newest() = Newest::Read { newest, at };
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The generation of a metered price of Tier's.
fn generation_of_tiers(price: &Price) -> Option<Generation> {
    price
        .generation()
        .filter(|_| price.feature_plan().is_some())
}

impl Domain {
    /// The same account, whose pushes create metered prices of another generation.
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

    async fn read_newest(&self, known: &Known) -> Result<Option<Generation>> {
        let newest = self.billing().newest_metered_price(generation_of_tiers);
        let newest = newest.await?;
        let at = self.account.clock.millis();
        *known.newest() = Newest::Read { newest, at };
        Ok(newest)
    }

    /// The generation of an account's first metered price. Only a ledger serves all aggregates of meters.
    fn first_generation(&self) -> Generation {
        match self.ledger {
            Some(_) => Generation::Meters,
            None => Generation::Classic,
        }
    }

    /// The generation of new plans when prices were last read. A new subscription that sells nothing metered is of it.
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

    /// Whether a push may create prices with meters if Stripe refuses classic ones.
    pub(super) fn may_use_meters(&self) -> bool {
        self.generation != GenerationSetting::Fixed(Generation::Classic)
    }
}

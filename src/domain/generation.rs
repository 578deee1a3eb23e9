//! The generation of the metered prices that a push creates.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Domain, Result};
use crate::billing::{Generation, Price};

/// Which generation of metered prices a push creates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GenerationSetting {
    /// That of the account's newest metered price. If it has none, classic, or meters if Stripe refuses classic ones.
    #[default]
    Auto,
    /// Always this one.
    Fixed(Generation),
}

/// Whether Stripe has refused classic metered prices of an account.
#[derive(Debug, Default)]
pub(super) struct ClassicRefused(AtomicBool);

impl ClassicRefused {
    pub(super) fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_noted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
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
        if self.shared().await?.classic_refused.is_noted() {
            return Ok(Generation::Meters);
        }
        let of_tiers = |price: &Price| {
            price
                .generation()
                .filter(|_| price.feature_plan().is_some())
        };
        let newest = self.billing().newest_metered_price(of_tiers).await?;
        Ok(newest.unwrap_or(Generation::Classic))
    }

    /// Whether a push may create prices with meters if Stripe refuses classic ones.
    pub(super) fn may_use_meters(&self) -> bool {
        self.generation != GenerationSetting::Fixed(Generation::Classic)
    }
}

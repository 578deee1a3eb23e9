//! The pricing model: plans, their features, and what those cost, as `pricing.json` describes them.
//!
//! A [`Model`] only comes from [`Model::parse`], which reports every fault, or from Stripe. It is *normalised*:
//! defaults are filled in, and what means nothing (a mode without several tiers, say) has its default, so that
//! two models that mean the same are equal.

mod fault;
#[cfg(test)]
mod fault_tests;
mod json;
#[cfg(test)]
#[path = "../../../tests/it/models.rs"]
pub(crate) mod models;
mod parse;
mod read;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

use super::refs::{self, FeatureName, FeaturePlan, PlanName};
pub use fault::{Fault, Faults};
pub(in crate::domain) use json::fields;

/// A limit that is none, and how "no limit" is written on the wire.
pub const NO_LIMIT: i64 = i64::MAX;

/// Prices have up to this many decimals, as in Stripe.
pub const MAX_DECIMALS: u32 = 12;

/// The highest amount, in the currency's minor unit: Stripe takes up to twelve digits (and fewer in most currencies,
/// which it says itself).
pub const MAX_AMOUNT: i64 = 999_999_999_999;

/// The longest title, in characters: it is kept in Stripe's metadata, whose values end there.
pub const MAX_TITLE_CHARS: usize = 500;

/// The longest lookup key that Stripe takes, in characters.
pub const MAX_LOOKUP_KEY_CHARS: usize = 200;

/// All plans that are for sale.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// By name and version.
    pub plans: BTreeMap<PlanName, Plan>,
}

/// One version of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// For people; the plan's name if none was given.
    pub title: String,
    /// How often it is billed.
    pub interval: Interval,
    /// What it is billed in.
    pub currency: Currency,
    /// What it grants; never empty.
    pub features: BTreeMap<FeatureName, Feature>,
}

/// What a plan grants of a feature, and at what price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// For people; the [`FeaturePlan`] if none was given.
    pub title: String,
    /// Price per interval in the currency's minor unit, billed in advance; zero with tiers.
    pub base: Decimal,
    /// How tiers add up. The default unless [tiered](Self::is_tiered).
    pub mode: Mode,
    /// How reports within an interval add up. The default without tiers.
    pub aggregate: Aggregate,
    /// Prices by usage; `None` for a feature that is licensed, and not counted. Empty: nothing of it is granted.
    pub tiers: Option<Vec<Tier>>,
    /// Usage is divided before it is priced.
    pub divide: Option<Divide>,
}

/// What usage costs up to a bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// The last unit of this tier; `None` for no bound.
    pub upto: Option<i64>,
    /// Per unit, in the currency's minor unit.
    pub price: Decimal,
    /// Once, when the tier is reached, in the currency's minor unit.
    pub base: i64,
}

/// Sells a feature by the dozen, or by the thousand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Divide {
    /// Units in a package; at least one.
    pub by: i64,
    /// What becomes of a package that is not full.
    pub rounding: Rounding,
}

/// One that Stripe has, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Currency(String);

/// Defines an enum by the words it has in `pricing.json`, the default first.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $(#[$first_doc:meta])* $first:ident = $first_word:literal,
        $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum $name {
            $(#[$first_doc])* #[default] $first,
            $($(#[$variant_doc])* $variant),+
        }
        impl $name {
            /// Every word, the default first.
            pub const ALL: &[Self] = &[Self::$first, $(Self::$variant),+];

            /// The word in `pricing.json`.
            pub fn as_str(self) -> &'static str {
                match self { Self::$first => $first_word, $(Self::$variant => $word),+ }
            }

            /// The meaning of a word in `pricing.json`; an empty one is the default, as it is for Go clients.
            pub fn from_word(word: &str) -> Option<Self> {
                match word {
                    "" => Some(Self::default()),
                    $first_word => Some(Self::$first),
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

words! {
    /// How often a plan is billed.
    Interval {
        /// Every month.
        Monthly = "@monthly",
        /// Every day.
        Daily = "@daily",
        /// Every week.
        Weekly = "@weekly",
        /// Every three months.
        Quarterly = "@quarterly",
        /// Every year.
        Yearly = "@yearly",
    }
}

words! {
    /// How the tiers of a feature add up.
    Mode {
        /// Each unit costs what its own tier says.
        Graduated = "graduated",
        /// All units cost what the tier of the last one says.
        Volume = "volume",
    }
}

words! {
    /// How the reports within an interval add up.
    Aggregate {
        /// All together.
        Sum = "sum",
        /// The highest counts.
        Max = "max",
        /// The last of the interval counts.
        Last = "last",
        /// The last counts, over all intervals.
        Perpetual = "perpetual",
    }
}

words! {
    /// What becomes of a package that is not full.
    Rounding {
        /// It is free.
        Down = "down",
        /// It is paid for in full.
        Up = "up",
    }
}

/// What Stripe can charge in, today or once; of those that it has given up, an old account may still have prices.
const CURRENCIES: &str = "\
    usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd btn bwp byn byr bzd cad cdf chf \
    clp cny cop crc cve czk djf dkk dop dzd eek egp etb eur fjd fkp gbp gel ghs gip gmd gnf gtq gyd hkd hnl hrk htg huf idr \
    ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl ltl lvl mad mdl mga mkd mmk mnt mop mro mur \
    mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp \
    sle sll sos srd std svc szl thb tjs tnd top try ttd twd tzs uah ugx usdc uyu uzs vef vnd vuv wst xaf xcd xcg xof xpf yer \
    zar zmw";

impl Currency {
    /// Every code.
    pub fn codes() -> impl Iterator<Item = &'static str> {
        CURRENCIES.split_ascii_whitespace()
    }

    /// The currency of that code, if Stripe has it.
    pub fn new(code: &str) -> Option<Self> {
        let known = Self::codes().any(|known| known == code);
        known.then(|| Self(code.to_owned()))
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Currency {
    fn default() -> Self {
        Self("usd".to_owned())
    }
}

impl Feature {
    /// Whether usage is counted and billed afterwards; otherwise the feature is licensed.
    pub fn is_metered(&self) -> bool {
        self.tiers.is_some()
    }

    /// Whether the price differs by usage: several tiers, or one that costs something to enter.
    pub fn is_tiered(&self) -> bool {
        match self.tiers.as_deref() {
            None | Some([]) => false,
            Some([only]) => only.base != 0,
            Some(_) => true,
        }
    }

    /// How much may be used in an interval; [`NO_LIMIT`] for as much as one likes.
    pub fn limit(&self) -> i64 {
        match self.tiers.as_deref() {
            None => NO_LIMIT,
            Some([]) => 0,
            Some([.., last]) => last.upto.unwrap_or(NO_LIMIT),
        }
    }

    /// Gives what means nothing its default, so that equal means the same.
    pub(super) fn normalise(&mut self) {
        if !self.is_tiered() {
            self.mode = Mode::default();
        }
        if !self.is_metered() {
            self.aggregate = Aggregate::default();
        }
    }
}

impl Model {
    /// Reads `pricing.json`: JSON with comments and trailing commas. Nothing at all, or `null`, is an empty model.
    ///
    /// # Errors
    /// Every fault that there is, each with its place.
    pub fn parse(text: &str) -> Result<Self, Faults> {
        parse::model(text)
    }

    /// As [`parse`](Self::parse), for bytes that may not even be text.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, Faults> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::parse(text),
            Err(error) => Err(Faults::not_utf8(bytes, error.valid_up_to())),
        }
    }

    /// Reads what [`to_json_with`](Self::to_json_with) has written: the model, and the plans that are archived.
    ///
    /// # Errors
    /// As [`parse_bytes`](Self::parse_bytes).
    pub fn parse_pulled(bytes: &[u8]) -> Result<(Self, BTreeSet<PlanName>), Faults> {
        match std::str::from_utf8(bytes) {
            Ok(text) => parse::pulled(text),
            Err(error) => Err(Faults::not_utf8(bytes, error.valid_up_to())),
        }
    }

    /// All features of all plans, in order.
    pub fn features(&self) -> impl Iterator<Item = (FeaturePlan, &Plan, &Feature)> {
        self.plans.iter().flat_map(|(name, plan)| {
            (plan.features.iter())
                .map(move |(feature_name, feature)| (feature_name.on(name), plan, feature))
        })
    }

    /// What is right in itself, and yet a nuisance to some clients: plans first, then features, each once.
    pub fn warnings(&self) -> Vec<String> {
        let features: BTreeSet<_> = self
            .plans
            .values()
            .flat_map(|plan| plan.features.keys())
            .collect();
        let plans = self.plans.keys().filter_map(refs::warning);
        plans
            .chain(features.into_iter().filter_map(refs::warning))
            .collect()
    }

    /// The model as `/v1/pull` answers it: defaults left out, keys sorted, indented by two, no newline at the end.
    pub fn to_json(&self) -> String {
        self.to_json_with(&BTreeSet::new())
    }

    /// The same, where the `archived` plans say so.
    pub fn to_json_with(&self, archived: &BTreeSet<PlanName>) -> String {
        json::model(self, archived)
    }
}

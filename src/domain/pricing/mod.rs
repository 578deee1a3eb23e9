//! The pricing model: plans, their features, and the prices of those, as `pricing.json` describes them.
//!
//! A [`Model`] comes only from [`Model::parse`], which reports every fault, or from Stripe. It is *normalised*:
//! defaults are filled in, and fields without effect (such as a mode without several tiers) have their default, so that
//! models with the same meaning are equal.

mod fault;
#[cfg(test)]
mod fault_tests;
mod json;
mod latest;
mod legacy;
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
pub use fault::{Fault, Faults, PathStep};
pub(in crate::domain) use json::fields;
pub use legacy::{LegacyModel, LegacyPlan};

/// The number that stands for "no limit" in requests and answers.
pub const NO_LIMIT: i64 = i64::MAX;

/// The maximum number of decimals of a price, as in Stripe.
pub const MAX_DECIMALS: u32 = 12;

/// The maximum amount, in the currency's minor unit. Stripe accepts up to twelve digits. For most currencies its limit
/// is lower, which Stripe reports itself.
pub const MAX_AMOUNT: i64 = 999_999_999_999;

/// The maximum length of a title, in characters: the limit of a metadata value in Stripe.
pub const MAX_TITLE_CHARS: usize = 500;

/// Stripe's maximum length of a lookup key, in characters.
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
    /// The display name; the plan's name by default.
    pub title: String,
    /// How often it is billed.
    pub interval: Interval,
    /// The currency of its prices.
    pub currency: Currency,
    /// The features that it grants; never empty.
    pub features: BTreeMap<FeatureName, Feature>,
}

/// A feature of a plan, with its price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// The display name; the [`FeaturePlan`] by default.
    pub title: String,
    /// The price per interval, in the currency's minor unit, billed in advance; zero with tiers.
    pub base: Decimal,
    /// How tiers are priced. The default unless [tiered](Self::is_tiered).
    pub mode: Mode,
    /// How reports within an interval are aggregated. The default without tiers.
    pub aggregate: Aggregate,
    /// Prices by usage. `None`: the feature is licensed, and usage is not counted. Empty: the limit is 0.
    pub tiers: Option<Vec<Tier>>,
    /// The division of usage into packages before pricing.
    pub divide: Option<Divide>,
}

/// The price of usage up to a bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// The last unit of this tier; `None` for no bound.
    pub upto: Option<i64>,
    /// The price per unit, in the currency's minor unit.
    pub price: Decimal,
    /// The flat price of entering the tier, in the currency's minor unit.
    pub base: i64,
}

/// Sells a feature in packages, such as a dozen or a thousand units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Divide {
    /// The units in a package; at least one.
    pub by: i64,
    /// How a partial package is rounded.
    pub rounding: Rounding,
}

/// The code of a currency that Stripe supports, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Currency(String);

/// Defines an enum by its words in `pricing.json`, the default first.
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

            /// The variant of a word in `pricing.json`. An empty word is the default, as for Go clients.
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
    /// How the tiers of a feature are priced.
    Mode {
        /// Each unit has the price of its own tier.
        Graduated = "graduated",
        /// All units have the price of the last unit's tier.
        Volume = "volume",
    }
}

words! {
    /// How the reports within an interval are aggregated.
    Aggregate {
        /// The sum.
        Sum = "sum",
        /// The maximum.
        Max = "max",
        /// The last report of the interval.
        Last = "last",
        /// The last report, which carries over to later intervals.
        Perpetual = "perpetual",
    }
}

words! {
    /// How a partial package is rounded.
    Rounding {
        /// A partial package is free.
        Down = "down",
        /// A partial package is charged in full.
        Up = "up",
    }
}

/// Every currency that Stripe supports or has supported, since old accounts may have prices in withdrawn currencies.
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

    /// The currency with that code, if Stripe supports it.
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

    /// Whether the price depends on the tier: there are several tiers, or one with a flat price.
    pub fn is_tiered(&self) -> bool {
        match self.tiers.as_deref() {
            None | Some([]) => false,
            Some([only]) => only.base != 0,
            Some(_) => true,
        }
    }

    /// The maximum usage in an interval; [`NO_LIMIT`] if it is unlimited.
    pub fn limit(&self) -> i64 {
        match self.tiers.as_deref() {
            None => NO_LIMIT,
            Some([]) => 0,
            Some([.., last]) => last.upto.unwrap_or(NO_LIMIT),
        }
    }

    /// Resets fields without effect to their default, so that models with the same meaning are equal.
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
    /// Parses `pricing.json`: JSON with comments and trailing commas. An empty text, or `null`, is an empty model.
    ///
    /// # Errors
    /// Every fault, each with its position.
    pub fn parse(text: &str) -> Result<Self, Faults> {
        parse::model(text)
    }

    /// Like [`parse`](Self::parse), for bytes that may not be valid UTF-8.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, Faults> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::parse(text),
            Err(error) => Err(Faults::not_utf8(bytes, error.valid_up_to())),
        }
    }

    /// Parses the output of [`to_json_with`](Self::to_json_with). Returns the model, and the plans that are archived.
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

    /// Warnings about valid names that cause trouble in some clients: plans first, then features, each once.
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

    /// The JSON that `/v1/pull` returns: defaults omitted, keys sorted, indented by two spaces, no trailing newline.
    pub fn to_json(&self) -> String {
        self.to_json_with(&BTreeSet::new())
    }

    /// The value of `plans` in that JSON, without white space.
    pub fn to_json_of_plans(&self) -> String {
        json::plans(self)
    }

    /// Like [`to_json`](Self::to_json), with the field `archived` in the `archived` plans.
    pub fn to_json_with(&self, archived: &BTreeSet<PlanName>) -> String {
        json::model(self, archived)
    }
}

//! What an org used of plans of zero prices.
//!
//! A paid plan begins a new period, with classic prices. An org that returns to a plan of zero prices before its earlier
//! period would have ended must not get another allowance, so a change away from such a plan records its usage in the
//! metadata of the subscription.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crate::billing::Subscription;
use crate::domain::refs::FeatureName;

/// The metadata key.
pub(in crate::domain) const FREE_USAGE: &str = "tier.free";

/// The length of Stripe's longest metadata value.
const MAX_VALUE: usize = 500;

/// What was used of plans of zero prices in a period, by feature. In metadata, the features of which most was used are
/// kept, as many as fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::domain) struct FreeUsage {
    /// The start of the last period whose figures include it, and the end of the period in which it was used, in Unix
    /// seconds.
    pub(in crate::domain) period: (i64, i64),
    /// Units, by the digest of the feature.
    used: BTreeMap<String, i64>,
}

impl FreeUsage {
    /// What the subscription's metadata records.
    pub(in crate::domain) fn of(subscription: &Subscription) -> Option<Self> {
        subscription.metadata.get(FREE_USAGE)?.parse().ok()
    }

    pub(in crate::domain) fn get(&self, feature: &FeatureName) -> i64 {
        self.used.get(&feature.digest()).copied().unwrap_or(0)
    }

    /// The digest and units of each feature that is not among `sold`.
    pub(in crate::domain) fn unsold(
        &self,
        sold: impl Iterator<Item = FeatureName>,
    ) -> impl Iterator<Item = (&str, i64)> {
        let sold: BTreeSet<String> = sold.map(|feature| feature.digest()).collect();
        let used = self.used.iter().map(|(digest, n)| (digest.as_str(), *n));
        used.filter(move |(digest, _)| !sold.contains(*digest))
    }

    pub(in crate::domain) fn set(&mut self, feature: &FeatureName, n: i64) {
        self.used.insert(feature.digest(), n);
    }
}

impl fmt::Display for FreeUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{} {}", self.period.0, self.period.1);
        let mut used: Vec<_> = self.used.iter().filter(|(_, n)| **n > 0).collect();
        used.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
        for (digest, n) in used {
            let pair = format!(" {digest}={n}");
            if text.len() + pair.len() > MAX_VALUE {
                break;
            }
            text.push_str(&pair);
        }
        f.write_str(&text)
    }
}

impl FromStr for FreeUsage {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split(' ');
        let mut time = || words.next().and_then(|word| word.parse().ok()).ok_or(());
        let period = (time()?, time()?);
        let used = words.map(|word| {
            let (digest, n) = word.split_once('=').ok_or(())?;
            Ok((digest.to_owned(), n.parse().map_err(drop)?))
        });
        let used = used.collect::<Result<_, ()>>()?;
        Ok(Self { period, used })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feature(n: usize) -> FeatureName {
        format!("feature:{n}").parse().expect("a name")
    }

    #[test]
    fn it_is_parsed_as_written() {
        let mut usage = FreeUsage {
            period: (10, 20),
            ..FreeUsage::default()
        };
        assert_eq!(usage.to_string(), "10 20");
        usage.set(&feature(1), 7);
        usage.set(&feature(2), 9);
        assert_eq!(usage.to_string().parse(), Ok(usage.clone()));
        assert_eq!((usage.get(&feature(2)), usage.get(&feature(3))), (9, 0));
        for text in ["", "10", "10 x", "10 20 a", "10 20 a=b"] {
            assert_eq!(text.parse::<FreeUsage>(), Err(()), "{text}");
        }
    }

    #[test]
    fn the_most_used_features_are_kept() {
        let mut usage = FreeUsage::default();
        for n in 1..=100 {
            usage.set(&feature(n), i64::try_from(n).expect("small"));
        }
        let text = usage.to_string();
        assert!(text.len() <= MAX_VALUE);
        let kept: FreeUsage = text.parse().expect("it is well-formed");
        assert_eq!((kept.get(&feature(100)), kept.get(&feature(1))), (100, 0));
    }
}

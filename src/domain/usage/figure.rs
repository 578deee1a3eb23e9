//! What was used of a feature on items that are gone, as a subscription's metadata has it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::billing::{Metadata, Subscription};
use crate::domain::Result;
use crate::domain::refs::FeatureName;
use crate::num::hex;

/// What the metadata key of a figure begins with.
const PREFIX: &str = "tier.u.";

/// What was used of a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::domain) struct Figure {
    pub(in crate::domain) n: i64,
    /// The billing period it is for, in Unix seconds.
    pub(in crate::domain) period: (i64, i64),
    /// Unix seconds: later changes are not in it.
    pub(in crate::domain) as_of: i64,
    /// A level that no item has yet: it is still to be set, and to be billed.
    pub(in crate::domain) open: bool,
    /// It does not start again with the period.
    pub(in crate::domain) ever: bool,
    /// A level that was billed when its item went: if the feature comes back, that is given back.
    pub(in crate::domain) billed: bool,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            n, period, as_of, ..
        } = self;
        write!(f, "{n} {} {} {as_of}", period.0, period.1)?;
        if self.open {
            f.write_str(" open")?;
        }
        if self.ever {
            f.write_str(" ever")?;
        }
        if self.billed {
            f.write_str(" billed")?;
        }
        Ok(())
    }
}

impl FromStr for Figure {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split(' ');
        let mut number = || words.next().and_then(|word| word.parse().ok()).ok_or(());
        let (n, start, end, as_of) = (number()?, number()?, number()?, number()?);
        let (mut open, mut ever, mut billed) = (false, false, false);
        for word in words {
            match word {
                "open" => open = true,
                "ever" => ever = true,
                "billed" => billed = true,
                _ => return Err(()),
            }
        }
        Ok(Self {
            n,
            period: (start, end),
            as_of,
            open,
            ever,
            billed,
        })
    }
}

impl Figure {
    /// The metadata key of a feature's figure: names may be longer than Stripe's keys.
    pub(in crate::domain) fn key(feature: &FeatureName) -> String {
        let digest = hex(&Sha256::digest(feature.to_string().as_bytes()));
        format!("{PREFIX}{}", &digest[..16])
    }

    /// What the subscription says was used of a feature, in whatever period.
    pub(in crate::domain) fn of(
        subscription: &Subscription,
        feature: &FeatureName,
    ) -> Option<Self> {
        subscription.metadata.get(&Self::key(feature))?.parse().ok()
    }

    /// Whether it counts in the running period.
    pub(in crate::domain) fn counts(self, subscription: &Subscription) -> bool {
        self.ever || self.period.0 == subscription.current_period_start
    }

    /// Whether the subscription has any.
    pub(in crate::domain) fn any(subscription: &Subscription) -> bool {
        subscription
            .metadata
            .keys()
            .any(|key| key.starts_with(PREFIX))
    }

    /// The levels that no item has yet, by the features that the subscription sells.
    pub(in crate::domain) fn open_levels(
        subscription: &Subscription,
    ) -> BTreeMap<FeatureName, Self> {
        let items = subscription.items.data.iter();
        let features = items.filter_map(|item| Some(item.price.feature_plan()?.feature()));
        let figure = |feature| {
            let figure = Self::of(subscription, &feature)?;
            figure.open.then_some((feature, figure))
        };
        features.filter_map(figure).collect()
    }

    /// The figures that count no more at `now`, each to be removed. One of a trial that ended in the second in which it
    /// began still counts: the period that follows has the same beginning.
    pub(in crate::domain) fn outdated(subscription: &Subscription, now: i64) -> Metadata {
        let metadata = subscription.metadata.iter();
        let own = metadata.filter(|(key, _)| key.starts_with(PREFIX));
        let over = own.filter(|(_, value)| {
            let figure: Result<Self, ()> = value.parse();
            figure.map_or(!value.is_empty(), |figure| {
                !figure.counts(subscription) && figure.period.1 <= now
            })
        });
        over.map(|(key, _)| (key.clone(), String::new())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_what_was_written() {
        for (open, ever, billed, text) in [
            (false, false, false, "7 10 20 15"),
            (true, false, false, "7 10 20 15 open"),
            (true, true, false, "7 10 20 15 open ever"),
            (false, true, true, "7 10 20 15 ever billed"),
        ] {
            let figure = Figure {
                n: 7,
                period: (10, 20),
                as_of: 15,
                open,
                ever,
                billed,
            };
            assert_eq!(figure.to_string(), text);
            assert_eq!(text.parse(), Ok(figure));
        }
        for text in ["", "7", "7 10 20", "x 10 20 15", "7 10 20 15 what"] {
            assert_eq!(text.parse::<Figure>(), Err(()), "{text}");
        }
    }

    #[test]
    fn a_key_fits_and_differs_by_feature() {
        let key = |name: &str| Figure::key(&name.parse().expect("a name"));
        let long = format!("feature:{}", "x".repeat(100));
        assert!(key(&long).len() <= 40);
        assert_ne!(key("feature:a"), key("feature:b"));
    }

    #[test]
    fn what_counts_no_more_is_removed() {
        let subscription: Subscription = serde_json::from_value(serde_json::json!({
            "id": "sub", "status": "active", "items": {"data": []},
            "current_period_start": 20, "current_period_end": 40,
            "metadata": {
                "tier.u.a": "7 10 20 15", "tier.u.b": "7 10 30 15", "tier.u.c": "7 10 20 15 ever",
                "tier.u.d": "?", "tier.u.e": "7 20 20 20", "app": "x",
            },
        }))
        .expect("a subscription");
        let outdated = Figure::outdated(&subscription, 25);
        let keys: Vec<&str> = outdated.keys().map(String::as_str).collect();
        assert_eq!(keys, ["tier.u.a", "tier.u.d"]);
        assert!(outdated.values().all(String::is_empty));
    }
}

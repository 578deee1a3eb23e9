//! Figures in a subscription's metadata: the usage of features on removed items.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::billing::{Metadata, Subscription};
use crate::domain::Result;
use crate::domain::refs::FeatureName;

/// The prefix of a figure's metadata key.
const PREFIX: &str = "tier.u.";

/// The usage of a feature on removed items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::domain) struct Figure {
    pub(in crate::domain) n: i64,
    /// The start and end of its billing period, in Unix seconds.
    pub(in crate::domain) period: (i64, i64),
    /// The time of the figure, in Unix seconds. It does not include usage billed by later changes.
    pub(in crate::domain) as_of: i64,
    /// Whether it is a level that no item has yet, and that must still be set and billed.
    pub(in crate::domain) is_pending: bool,
    /// Whether it carries over to later periods.
    pub(in crate::domain) is_perpetual: bool,
    /// Whether it is a level that was billed when its item was removed. If the feature comes back, that charge is
    /// credited.
    pub(in crate::domain) was_billed: bool,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            n, period, as_of, ..
        } = self;
        write!(f, "{n} {} {} {as_of}", period.0, period.1)?;
        if self.is_pending {
            f.write_str(" open")?;
        }
        if self.is_perpetual {
            f.write_str(" ever")?;
        }
        if self.was_billed {
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
        let (mut is_pending, mut is_perpetual, mut was_billed) = (false, false, false);
        for word in words {
            match word {
                "open" => is_pending = true,
                "ever" => is_perpetual = true,
                "billed" => was_billed = true,
                _ => return Err(()),
            }
        }
        Ok(Self {
            n,
            period: (start, end),
            as_of,
            is_pending,
            is_perpetual,
            was_billed,
        })
    }
}

impl Figure {
    /// The metadata key of a feature's figure.
    pub(in crate::domain) fn key(feature: &FeatureName) -> String {
        Self::key_of(&feature.digest())
    }

    /// The key for the feature with this [digest](FeatureName::digest).
    pub(in crate::domain) fn key_of(digest: &str) -> String {
        format!("{PREFIX}{digest}")
    }

    /// The figure of a feature in the subscription's metadata, whatever its period.
    pub(in crate::domain) fn of(
        subscription: &Subscription,
        feature: &FeatureName,
    ) -> Option<Self> {
        subscription.metadata.get(&Self::key(feature))?.parse().ok()
    }

    /// Whether it counts in the running period.
    pub(in crate::domain) fn counts(self, subscription: &Subscription) -> bool {
        self.is_perpetual || self.period.0 == subscription.current_period_start
    }

    /// Whether the subscription has any figures.
    pub(in crate::domain) fn any(subscription: &Subscription) -> bool {
        subscription
            .metadata
            .keys()
            .any(|key| key.starts_with(PREFIX))
    }

    /// The pending levels of the features that the subscription sells.
    pub(in crate::domain) fn pending_levels(
        subscription: &Subscription,
    ) -> BTreeMap<FeatureName, Self> {
        let items = subscription.items.iter();
        let features = items.filter_map(|item| Some(item.price.feature_plan()?.feature()));
        let figure = |feature| {
            let figure = Self::of(subscription, &feature)?;
            figure.is_pending.then_some((feature, figure))
        };
        features.filter_map(figure).collect()
    }

    /// The metadata update that removes figures that no longer count. The figure of a trial that ended in the second in
    /// which it began still counts, since the next period has the same start.
    pub(in crate::domain) fn outdated(subscription: &Subscription) -> Metadata {
        let metadata = subscription.metadata.iter();
        let figures = metadata.filter(|(key, _)| key.starts_with(PREFIX));
        let outdated = figures.filter(|(_, value)| {
            let figure: Result<Self, ()> = value.parse();
            figure.map_or(!value.is_empty(), |figure| !figure.counts(subscription))
        });
        outdated
            .map(|(key, _)| (key.clone(), String::new()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_parsed_as_written() {
        for (is_pending, is_perpetual, was_billed, text) in [
            (false, false, false, "7 10 20 15"),
            (true, false, false, "7 10 20 15 open"),
            (true, true, false, "7 10 20 15 open ever"),
            (false, true, true, "7 10 20 15 ever billed"),
        ] {
            let figure = Figure {
                n: 7,
                period: (10, 20),
                as_of: 15,
                is_pending,
                is_perpetual,
                was_billed,
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
    fn outdated_figures_are_removed() {
        let subscription: Subscription = serde_json::from_value(serde_json::json!({
            "id": "sub", "status": "active", "items": {"data": []},
            "current_period_start": 20, "current_period_end": 40,
            "metadata": {
                "tier.u.a": "7 10 20 15", "tier.u.b": "7 10 30 15", "tier.u.c": "7 10 20 15 ever",
                "tier.u.d": "?", "tier.u.e": "7 20 20 20", "app": "x",
            },
        }))
        .expect("a subscription");
        let outdated = Figure::outdated(&subscription);
        let keys: Vec<&str> = outdated.keys().map(String::as_str).collect();
        assert_eq!(keys, ["tier.u.a", "tier.u.b", "tier.u.d"]);
        assert!(outdated.values().all(String::is_empty));
    }
}

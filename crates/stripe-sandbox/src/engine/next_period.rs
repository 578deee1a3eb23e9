//! The next period of a subscription.

use crate::resource::subscription::Subscription;

/// Stripe's `billing_cycle_anchor`: from when the next period and those after it are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Unchanged,
    Now,
    /// The end of the trial that begins.
    TrialEnd(i64),
}

/// A period that is about to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// The period that a full price is for; see [`Subscription::whole`].
    pub(crate) whole: (i64, i64),
    pub(crate) trial: bool,
    pub(crate) anchor: i64,
    /// Whether a period that is cut short is charged in part.
    pub(crate) prorated: bool,
}

impl Period {
    /// The period of a subscription that begins at `at`. It is shorter if the subscription is to end within it.
    pub(crate) fn next(subscription: &Subscription, at: i64, anchoring: Anchor) -> Self {
        let every = subscription.every;
        let (anchor, whole, trial) = match anchoring {
            Anchor::TrialEnd(end) => (end, (at, end), true),
            Anchor::Now => (at, every.containing(at, at), false),
            Anchor::Unchanged => {
                let anchor = subscription.anchor;
                (anchor, every.containing(anchor, at), false)
            }
        };
        let cut = subscription.ends_between(at, whole.1);
        if subscription.billing_mode.is_flexible() {
            // The end of the subscription neither shortens a trial nor becomes the anchor.
            return Self {
                start: at,
                end: cut.filter(|_| !trial).unwrap_or(whole.1),
                whole,
                trial,
                anchor,
                prorated: true,
            };
        }
        Self {
            start: at,
            end: cut.unwrap_or(whole.1),
            whole,
            trial,
            anchor: cut.unwrap_or(anchor),
            prorated: true,
        }
    }

    /// The first period of a new subscription. Classic billing charges a period that is cut short in part, even if the
    /// request says that nothing is prorated.
    pub(crate) fn first(
        subscription: &Subscription,
        at: i64,
        anchoring: Anchor,
        prorates: bool,
    ) -> Self {
        let is_flexible = subscription.billing_mode.is_flexible();
        Self {
            prorated: prorates || !is_flexible,
            ..Self::next(subscription, at, anchoring)
        }
    }
}

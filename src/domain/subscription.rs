//! An org's subscription in Stripe: which one counts, and what it grants.

use std::collections::BTreeSet;

use super::migration::MIGRATIONS;
use super::pricing::NO_LIMIT;
use super::refs::FeaturePlan;
use super::request_key::KEYS;
use super::{Domain, Result, price, request_key, revision};
use crate::billing::SubscriptionStatus::{
    Active, Canceled, Incomplete, IncompleteExpired, PastDue, Trialing,
};
use crate::billing::{Price, Schedule, SchedulePhase, Subscription};

pub(super) use crate::billing::Detail;

/// The metadata pair that marks a subscription, and each phase of a schedule, as Tier's.
pub(super) const MARK: (&str, &str) = ("tier.subscription", "default");

/// Everything that Tier subscribed a customer to.
pub(super) struct Subscriptions {
    /// The org's subscription: the newest one that is paid for, or else the newest one that grants features, or else
    /// the newest live one.
    pub(super) current: Option<Subscription>,
    /// Live ones that a newer paid one supersedes, as after Checkout.
    pub(super) superseded: Vec<Subscription>,
    /// Other live ones, whose payment is pending. They do not supersede older ones.
    pub(super) payment_pending: Vec<Subscription>,
    /// Ended ones, newest first, if they were requested.
    pub(super) ended: Vec<Subscription>,
    /// Ended ones that still have something to settle, if they were requested.
    pub(super) ended_unsettled: Vec<Subscription>,
    /// The highest revision of all of these.
    pub(super) revision: u64,
    /// The noted keys of clients' requests.
    pub(super) request_keys: Vec<String>,
    /// The migrations that have moved the customer.
    pub(super) migrations: Vec<String>,
}

impl Subscription {
    /// Whether the org may use its features.
    pub(super) fn grants(&self) -> bool {
        matches!(self.status, Trialing | Active | PastDue)
    }

    /// Whether it is paid for. Only a paid one supersedes older ones.
    pub(super) fn is_paid_for(&self) -> bool {
        matches!(self.status, Trialing | Active)
    }

    /// Whether it has ever granted anything.
    pub(super) fn has_ever_granted(&self) -> bool {
        !matches!(self.status, Incomplete | IncompleteExpired)
    }

    /// Whether Stripe may still bill it.
    fn is_live(&self) -> bool {
        !matches!(self.status, Canceled | IncompleteExpired)
    }

    /// Its rank among the customer's subscriptions. The newest one of the lowest rank is the org's, as in [`classify`].
    /// None if it has ended.
    pub(super) fn rank(&self) -> Option<u8> {
        match self {
            _ if !self.is_live() => None,
            _ if self.is_paid_for() => Some(0),
            _ if self.grants() => Some(1),
            _ => Some(2),
        }
    }

    /// Whether Tier manages it.
    pub(super) fn is_managed(&self) -> bool {
        self.metadata
            .get(MARK.0)
            .is_some_and(|value| value == MARK.1)
    }

    /// When Stripe next changes it without a request, in Unix seconds. This may be in the past if Stripe is late.
    /// Changes that Stripe has already made do not count, whatever the local clock says.
    pub(super) fn next_boundary(&self) -> Option<i64> {
        let current = self
            .active_schedule()
            .and_then(|schedule| schedule.current_phase);
        let phase_end = current.map(|phase| phase.end_date);
        let next_phase = self.phases_to_come().map(|phase| phase.start_date).min();
        let trial_end = self.trial_end.filter(|_| self.is_trialing());
        let ends = [self.cancel_at, trial_end, phase_end, next_phase];
        let ends = ends.into_iter().flatten();
        ends.chain([self.current_period_end]).min()
    }

    /// The future phases.
    pub(super) fn phases_to_come(&self) -> impl Iterator<Item = &SchedulePhase> {
        let schedule = self.active_schedule();
        let current = schedule.and_then(|schedule| schedule.current_phase);
        let began = current.map_or(i64::MIN, |phase| phase.start_date);
        let phases = schedule.into_iter().flat_map(|schedule| &schedule.phases);
        phases.filter(move |phase| phase.start_date > began)
    }

    /// When its prices are scheduled to change, in Unix seconds.
    pub(super) fn next_change(&self) -> Option<i64> {
        let prices = |phase: &SchedulePhase| -> BTreeSet<String> {
            let items = phase.items.iter();
            items.map(|item| item.price_id().to_owned()).collect()
        };
        let items = self.items.iter();
        let current: BTreeSet<String> = items.map(|item| item.price.id.clone()).collect();
        let changed = self
            .phases_to_come()
            .filter(|phase| prices(phase) != current);
        changed.map(|phase| phase.start_date).min()
    }
}

impl Schedule {
    fn is_managed(&self) -> bool {
        let first = self.phases.first();
        let metadata = first.and_then(|phase| phase.metadata.as_ref());
        let mark = metadata.and_then(|metadata| metadata.get(MARK.0));
        mark.is_some_and(|value| value == MARK.1)
    }
}

impl Price {
    /// The feature that the price sells. None if the price is not Tier's.
    pub(super) fn feature_plan(&self) -> Option<FeaturePlan> {
        self.metadata.get(price::FEATURE)?.parse().ok()
    }

    /// How much of the feature may be used in a period.
    pub(super) fn limit(&self) -> i64 {
        if !self.is_metered() {
            return NO_LIMIT;
        }
        match self.metadata.get(price::LIMIT).map(String::as_str) {
            None | Some("" | "inf") => NO_LIMIT,
            Some(text) => text.parse().unwrap_or_else(|_| {
                // Someone intended a limit. Without one, paid usage would be free.
                let price = &self.id;
                tracing::error!(
                    price,
                    "tier.limit in the price's metadata is not a number: the limit is 0"
                );
                0
            }),
        }
    }
}

impl Domain {
    pub(super) async fn subscriptions(
        &self,
        customer: &str,
        detail: Detail,
    ) -> Result<Subscriptions> {
        let all = self.billing().subscriptions(customer, detail).await?;
        Ok(classify(all))
    }

    /// All schedules that Tier manages, newest first: future, current and past ones.
    pub(super) async fn schedules(&self, customer: &str) -> Result<Vec<Schedule>> {
        let mut schedules = self.billing().schedules(customer).await?;
        schedules.retain(Schedule::is_managed);
        Ok(schedules)
    }
}

/// Sorts a customer's subscriptions by their role. `all` is newest first, as Stripe lists them.
pub(super) fn classify(mut all: Vec<Subscription>) -> Subscriptions {
    all.retain(Subscription::is_managed);
    let revision = revision::newest_of(all.iter(), [].iter());
    let noted = |name| request_key::noted(name, all.iter().map(|one| &one.metadata));
    let (request_keys, migrations) = (noted(KEYS), noted(MIGRATIONS));
    let (mut live, ended_or_expired): (Vec<_>, Vec<_>) =
        all.into_iter().partition(Subscription::is_live);
    let paid = live.iter().position(Subscription::is_paid_for);
    let best = paid.or_else(|| live.iter().position(Subscription::grants));
    let superseded = paid.map_or_else(Vec::new, |paid| live.split_off(paid + 1));
    let current = (!live.is_empty()).then(|| live.remove(best.unwrap_or(0)));
    let ended = ended_or_expired
        .iter()
        .filter(|subscription| subscription.ended_at.is_some())
        .cloned()
        .collect();
    let (ended_unsettled, _) = ended_or_expired
        .into_iter()
        .partition(Subscription::is_unsettled);
    Subscriptions {
        current,
        superseded,
        payment_pending: live,
        ended,
        ended_unsettled,
        revision,
        request_keys,
        migrations,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(id: &str, status: &str, tiers: bool) -> Subscription {
        let mark = if tiers { "default" } else { "" };
        serde_json::from_value(serde_json::json!({
            "id": id, "status": status, "items": {"data": []}, "ended_at": 1,
            "metadata": {"tier.subscription": mark},
        }))
        .expect("a subscription")
    }

    #[test]
    fn the_newest_that_is_paid_for_is_the_orgs() {
        type Ids = Vec<&'static str>;
        let ids =
            |all: &[Subscription]| -> Vec<String> { all.iter().map(|s| s.id.clone()).collect() };
        let cases: [(Ids, Option<&str>, Ids, Ids); 7] = [
            (vec!["active", "active"], Some("0"), vec!["1"], vec![]),
            (
                vec!["incomplete", "trialing", "past_due"],
                Some("1"),
                vec!["2"],
                vec!["0"],
            ),
            (
                vec!["past_due", "active", "active"],
                Some("1"),
                vec!["2"],
                vec!["0"],
            ),
            (vec!["incomplete", "past_due"], Some("1"), vec![], vec!["0"]),
            (vec!["unpaid", "incomplete"], Some("0"), vec![], vec!["1"]),
            (vec!["canceled", "incomplete_expired"], None, vec![], vec![]),
            (vec![], None, vec![], vec![]),
        ];
        for (statuses, current, superseded, others) in cases {
            let all = statuses.iter().enumerate();
            let all: Vec<_> = all
                .map(|(i, status)| subscription(&i.to_string(), status, true))
                .collect();
            let ranked = all.iter().filter_map(|one| Some((one.rank()?, one)));
            let ranked = ranked.min_by_key(|(rank, _)| *rank);
            let ranked = ranked.map(|(_, one)| one.id.clone());
            assert_eq!(ranked.as_deref(), current, "{statuses:?}");
            let found = classify(all);
            assert_eq!(
                found.current.as_ref().map(|s| s.id.as_str()),
                current,
                "{statuses:?}"
            );
            assert_eq!(ids(&found.superseded), superseded, "{statuses:?}");
            assert_eq!(ids(&found.payment_pending), others, "{statuses:?}");
        }
    }

    #[test]
    fn subscriptions_that_tier_does_not_manage_are_ignored() {
        let found = classify(vec![
            subscription("x", "active", false),
            subscription("y", "active", true),
        ]);
        assert_eq!(found.current.map(|s| s.id).as_deref(), Some("y"));
        assert!(found.superseded.is_empty());
    }

    #[test]
    fn an_unreadable_limit_is_zero() {
        let limit = |text: &str| {
            let price: Price = serde_json::from_value(serde_json::json!({
                "id": "price", "metadata": {"tier.feature": "feature:x@plan:p@1", "tier.limit": text},
                "recurring": {"interval": "month", "usage_type": "metered"},
            }))
            .expect("a price");
            price.limit()
        };
        for text in ["1o0", "10.5", "ten", "1 000", "99999999999999999999"] {
            assert_eq!(limit(text), 0, "{text}");
        }
        assert_eq!(limit("10"), 10);
        for text in ["", "inf"] {
            assert_eq!(limit(text), NO_LIMIT, "{text}");
        }
    }
}

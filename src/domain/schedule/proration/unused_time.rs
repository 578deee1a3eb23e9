//! The note about unused time that a change leaves on the subscription. It is settled after the change.

use std::fmt;

use crate::billing::Subscription;
use crate::domain::schedule::usage_charge::CLOCK_SKEW;

/// The metadata key of the note.
pub(in crate::domain::schedule) const UNUSED_TIME: &str = "tier.unpaid";

/// How far the noted and the real end may be apart, in seconds. Otherwise the note is of another end.
const NOTE_LIFETIME: i64 = 24 * 60 * 60;

/// The metadata key of when a schedule ends the subscription, in Unix seconds.
pub(in crate::domain::schedule) const PLANNED_END: &str = "tier.ends";

/// Time that a change leaves unused, where Stripe's own credit may exceed what was paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::domain::schedule) struct UnusedTime {
    pub(in crate::domain::schedule) cause: UnusedTimeCause,
    /// When it begins, in Unix seconds: at the change, or at the end of the subscription.
    pub(in crate::domain::schedule) at: i64,
    /// When the billing period began, in Unix seconds. Earlier charges are used up.
    pub(in crate::domain::schedule) since: i64,
    /// How to recognise Stripe's credits for it.
    pub(in crate::domain::schedule) credits: StripeCredits,
}

/// How to recognise the credits that a change caused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::domain::schedule) enum StripeCredits {
    /// They are newer than everything that existed when the change was decided.
    NewerThan(Newest),
    /// They are from the second of the change, which Stripe made at a known time.
    InSameSecond,
}

/// The newest objects that existed when a change was decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::domain::schedule) struct Newest {
    /// The newest invoice item.
    pub(super) item: Option<String>,
    /// The newest invoice.
    pub(super) invoice: Option<String>,
}

/// What made the time unused, and whether Stripe credited it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::domain::schedule) enum UnusedTimeCause {
    /// The subscription ended, without a credit.
    End,
    /// The subscription ended, with Stripe's credit, for example because its schedule ended it.
    CreditedEnd,
    /// A new billing period began, without a credit.
    NewPeriod,
    /// A new billing period began, with Stripe's credit.
    CreditedNewPeriod,
    /// Items were removed within the period, with Stripe's credit.
    RemovedItems,
}

impl UnusedTimeCause {
    const ALL: [(Self, &'static str); 5] = [
        (Self::End, "end"),
        (Self::CreditedEnd, "credited-end"),
        (Self::NewPeriod, "restart"),
        (Self::CreditedNewPeriod, "credited-restart"),
        (Self::RemovedItems, "going"),
    ];

    pub(super) fn is_end(self) -> bool {
        matches!(self, Self::End | Self::CreditedEnd)
    }

    /// Whether Stripe has credited the time.
    pub(super) fn is_credited(self) -> bool {
        !matches!(self, Self::End | Self::NewPeriod)
    }
}

impl fmt::Display for UnusedTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = UnusedTimeCause::ALL
            .into_iter()
            .find(|(cause, _)| *cause == self.cause);
        let name = named.map_or("", |(_, name)| name);
        write!(f, "{name} {} {} ", self.at, self.since)?;
        match &self.credits {
            StripeCredits::NewerThan(newest) => {
                let [item, invoice] =
                    [&newest.item, &newest.invoice].map(|id| id.as_deref().unwrap_or("-"));
                write!(f, "{item} {invoice}")
            }
            StripeCredits::InSameSecond => f.write_str("then"),
        }
    }
}

impl UnusedTime {
    fn read(note: &str) -> Option<Self> {
        let mut words = note.split(' ');
        let name = words.next()?;
        let (cause, _) = UnusedTimeCause::ALL
            .into_iter()
            .find(|(_, known)| *known == name)?;
        let at = words.next()?.parse().ok()?;
        // Without a start, all charges are considered.
        let since = words.next().and_then(|since| since.parse().ok());
        let credits = match words.next() {
            Some("then") => StripeCredits::InSameSecond,
            item => {
                let [item, invoice] = [item, words.next()].map(|id| id.filter(|id| *id != "-"));
                StripeCredits::NewerThan(Newest {
                    item: item.map(str::to_owned),
                    invoice: invoice.map(str::to_owned),
                })
            }
        };
        Some(Self {
            cause,
            at,
            since: since.unwrap_or(0),
            credits,
        })
    }

    /// The note on a subscription. The note of an end counts only after the subscription has ended.
    pub(in crate::domain::schedule) fn noted(subscription: &Subscription) -> Option<Self> {
        let note = |key: &str| {
            subscription
                .metadata
                .get(key)
                .filter(|note| !note.is_empty())
        };
        let noted = note(UNUSED_TIME).and_then(|note| Self::read(note));
        let by_schedule = || Self {
            cause: UnusedTimeCause::CreditedEnd,
            at: 0,
            since: subscription.current_period_start,
            credits: StripeCredits::InSameSecond,
        };
        let ended = subscription.ended_at;
        // The noted end may not have happened.
        let applies = |noted: &Self| {
            !noted.cause.is_end() || ended.is_some_and(|at| (at - noted.at).abs() <= NOTE_LIFETIME)
        };
        let noted = noted.filter(applies);
        let is_due = |planned: &str| {
            let planned = planned.parse::<i64>().ok();
            planned
                .zip(ended)
                .is_some_and(|(planned, ended)| planned <= ended + CLOCK_SKEW)
        };
        let planned = note(PLANNED_END).filter(|planned| is_due(planned));
        let noted = noted.or_else(|| planned.map(|_| by_schedule()))?;
        match ended {
            Some(at) if noted.cause.is_end() => Some(Self { at, ..noted }),
            _ => Some(noted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest(item: Option<&str>, invoice: Option<&str>) -> StripeCredits {
        StripeCredits::NewerThan(Newest {
            item: item.map(str::to_owned),
            invoice: invoice.map(str::to_owned),
        })
    }

    #[test]
    fn a_note_is_read_as_it_was_written() {
        for (cause, name) in UnusedTimeCause::ALL {
            for (credits, word) in [
                (newest(None, None), "- -"),
                (newest(Some("ii_1"), Some("in_1")), "ii_1 in_1"),
                (StripeCredits::InSameSecond, "then"),
            ] {
                let unused_time = UnusedTime {
                    cause,
                    at: 7,
                    since: 3,
                    credits,
                };
                assert_eq!(unused_time.to_string(), format!("{name} 7 3 {word}"));
                assert_eq!(
                    UnusedTime::read(&unused_time.to_string()),
                    Some(unused_time)
                );
            }
        }
        for text in ["", "end", "end x 3", "some 7 3"] {
            assert_eq!(UnusedTime::read(text), None, "{text}");
        }
    }

    /// A request that ends the subscription earlier settles that end itself.
    #[test]
    fn the_end_of_a_schedule_counts_once_its_time_has_come() {
        let cause_of = |planned: &str, ended: Option<i64>| {
            let subscription =
                serde_json::from_value(serde_json::json!({"id": "sub", "status": "canceled",
                "metadata": {PLANNED_END: planned}, "ended_at": ended, "items": {"data": []}}));
            UnusedTime::noted(&subscription.expect("a subscription")).map(|noted| noted.cause)
        };
        assert_eq!(
            cause_of("90000", Some(90_000)),
            Some(UnusedTimeCause::CreditedEnd)
        );
        assert_eq!(
            cause_of("90000", Some(90_001)),
            Some(UnusedTimeCause::CreditedEnd)
        );
        assert_eq!(cause_of("90000", Some(40_000)), None);
        assert_eq!(cause_of("90000", None), None);
        assert_eq!(cause_of("", Some(90_000)), None);
        // An earlier version wrote 1 and no time.
        assert_eq!(
            cause_of("1", Some(90_000)),
            Some(UnusedTimeCause::CreditedEnd)
        );
    }

    #[test]
    fn the_note_of_an_end_counts_once_the_subscription_has_ended() {
        let subscription = |note: &str, ended: Option<i64>| {
            let subscription =
                serde_json::from_value(serde_json::json!({"id": "sub", "status": "active",
                "metadata": {UNUSED_TIME: note}, "ended_at": ended, "items": {"data": []}}));
            UnusedTime::noted(&subscription.expect("a subscription")).map(|noted| noted.at)
        };
        assert_eq!(subscription("end 0 3", None), None);
        assert_eq!(subscription("end 0 3", Some(9 * NOTE_LIFETIME)), None);
        assert_eq!(subscription("credited-end 0 3", Some(9)), Some(9));
        assert_eq!(subscription("going 7 3", None), Some(7));
        assert_eq!(subscription("", Some(9)), None);
    }
}

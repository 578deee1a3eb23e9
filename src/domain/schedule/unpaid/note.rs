//! The note about time that is given back, which is settled once the change is made.

use std::fmt;

use crate::billing::Subscription;
use crate::domain::schedule::charge::CLOCK_SKEW;

/// The metadata key of the note.
pub(in crate::domain::schedule) const UNPAID: &str = "tier.unpaid";

/// How long after its note an end may come, in seconds.
const SOON: i64 = 24 * 60 * 60;

/// The metadata key that says when a schedule ends the subscription, in Unix seconds.
pub(in crate::domain::schedule) const ENDS: &str = "tier.ends";

/// Time that a change gives back, where what Stripe credits for it may exceed what was paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::domain::schedule) struct GivenBack {
    pub(in crate::domain::schedule) how: How,
    /// From when on, Unix seconds; of an end, it is when the subscription ended.
    pub(in crate::domain::schedule) at: i64,
    /// When the period began, Unix seconds: what was charged before is over.
    pub(in crate::domain::schedule) since: i64,
    /// Which of Stripe's credits are for it.
    pub(in crate::domain::schedule) credits: Credits,
}

/// Which of Stripe's credits are a change's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::domain::schedule) enum Credits {
    /// Those that are newer than what there was.
    After(Newest),
    /// Those of that very second: Stripe itself has set the time.
    ThatSecond,
}

/// What there was when a change was decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::domain::schedule) struct Newest {
    /// The newest invoice item.
    pub(super) item: Option<String>,
    /// The newest invoice.
    pub(super) invoice: Option<String>,
}

/// Which time is given back, and whether Stripe credits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::domain::schedule) enum How {
    /// That of all items, with the subscription; without credit.
    End,
    /// Likewise, with Stripe's credit: of those that a schedule ends, for one.
    CreditedEnd,
    /// That of all items, as a period begins; without credit.
    Restart,
    /// Likewise, with Stripe's credit.
    CreditedRestart,
    /// That of the items that go; with Stripe's credit.
    Going,
}

impl How {
    const ALL: [(Self, &'static str); 5] = [
        (Self::End, "end"),
        (Self::CreditedEnd, "credited-end"),
        (Self::Restart, "restart"),
        (Self::CreditedRestart, "credited-restart"),
        (Self::Going, "going"),
    ];

    pub(super) fn is_end(self) -> bool {
        matches!(self, Self::End | Self::CreditedEnd)
    }

    /// Whether Stripe has credited what it gives back.
    pub(super) fn is_credited(self) -> bool {
        !matches!(self, Self::End | Self::Restart)
    }
}

impl fmt::Display for GivenBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = How::ALL.into_iter().find(|(how, _)| *how == self.how);
        let name = named.map_or("", |(_, name)| name);
        write!(f, "{name} {} {} ", self.at, self.since)?;
        match &self.credits {
            Credits::After(newest) => {
                let [item, invoice] =
                    [&newest.item, &newest.invoice].map(|id| id.as_deref().unwrap_or("-"));
                write!(f, "{item} {invoice}")
            }
            Credits::ThatSecond => f.write_str("then"),
        }
    }
}

impl GivenBack {
    fn read(note: &str) -> Option<Self> {
        let mut words = note.split(' ');
        let name = words.next()?;
        let (how, _) = How::ALL.into_iter().find(|(_, known)| *known == name)?;
        let at = words.next()?.parse().ok()?;
        // Without it, everything is looked at.
        let since = words.next().and_then(|since| since.parse().ok());
        let credits = match words.next() {
            Some("then") => Credits::ThatSecond,
            item => {
                let [item, invoice] = [item, words.next()].map(|id| id.filter(|id| *id != "-"));
                Credits::After(Newest {
                    item: item.map(str::to_owned),
                    invoice: invoice.map(str::to_owned),
                })
            }
        };
        Some(Self {
            how,
            at,
            since: since.unwrap_or(0),
            credits,
        })
    }

    /// What is noted on a subscription. The note of an end counts once that has come about.
    pub(in crate::domain::schedule) fn noted(subscription: &Subscription) -> Option<Self> {
        let note = |key: &str| {
            subscription
                .metadata
                .get(key)
                .filter(|note| !note.is_empty())
        };
        let noted = note(UNPAID).and_then(|note| Self::read(note));
        let by_schedule = || Self {
            how: How::CreditedEnd,
            at: 0,
            since: subscription.current_period_start,
            credits: Credits::ThatSecond,
        };
        let ended = subscription.ended_at;
        // An end that was noted and did not come is not the one that came much later.
        let came = |noted: &Self| {
            !noted.how.is_end() || ended.is_some_and(|at| (at - noted.at).abs() <= SOON)
        };
        let noted = noted.filter(came);
        let is_due = |planned: &str| {
            let planned = planned.parse::<i64>().ok();
            planned
                .zip(ended)
                .is_some_and(|(planned, ended)| planned <= ended + CLOCK_SKEW)
        };
        let planned = note(ENDS).filter(|planned| is_due(planned));
        let noted = noted.or_else(|| planned.map(|_| by_schedule()))?;
        match ended {
            Some(at) if noted.how.is_end() => Some(Self { at, ..noted }),
            _ => Some(noted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest(item: Option<&str>, invoice: Option<&str>) -> Credits {
        Credits::After(Newest {
            item: item.map(str::to_owned),
            invoice: invoice.map(str::to_owned),
        })
    }

    #[test]
    fn a_note_is_what_was_written() {
        for (how, name) in How::ALL {
            for (credits, word) in [
                (newest(None, None), "- -"),
                (newest(Some("ii_1"), Some("in_1")), "ii_1 in_1"),
                (Credits::ThatSecond, "then"),
            ] {
                let given_back = GivenBack {
                    how,
                    at: 7,
                    since: 3,
                    credits,
                };
                assert_eq!(given_back.to_string(), format!("{name} 7 3 {word}"));
                assert_eq!(GivenBack::read(&given_back.to_string()), Some(given_back));
            }
        }
        for text in ["", "end", "end x 3", "some 7 3"] {
            assert_eq!(GivenBack::read(text), None, "{text}");
        }
    }

    /// Who ends it before settles that end alone.
    #[test]
    fn the_end_of_a_schedule_counts_once_its_time_has_come() {
        let how = |planned: &str, ended: Option<i64>| {
            let subscription =
                serde_json::from_value(serde_json::json!({"id": "sub", "status": "canceled",
                "metadata": {ENDS: planned}, "ended_at": ended, "items": {"data": []}}));
            GivenBack::noted(&subscription.expect("a subscription")).map(|noted| noted.how)
        };
        assert_eq!(how("90000", Some(90_000)), Some(How::CreditedEnd));
        assert_eq!(how("90000", Some(90_001)), Some(How::CreditedEnd));
        assert_eq!(how("90000", Some(40_000)), None);
        assert_eq!(how("90000", None), None);
        assert_eq!(how("", Some(90_000)), None);
        // As it was noted before the time was.
        assert_eq!(how("1", Some(90_000)), Some(How::CreditedEnd));
    }

    #[test]
    fn the_note_of_an_end_counts_once_that_has_come_about() {
        let subscription = |note: &str, ended: Option<i64>| {
            let subscription =
                serde_json::from_value(serde_json::json!({"id": "sub", "status": "active",
                "metadata": {UNPAID: note}, "ended_at": ended, "items": {"data": []}}));
            GivenBack::noted(&subscription.expect("a subscription")).map(|noted| noted.at)
        };
        assert_eq!(subscription("end 0 3", None), None);
        assert_eq!(subscription("end 0 3", Some(9 * SOON)), None);
        assert_eq!(subscription("credited-end 0 3", Some(9)), Some(9));
        assert_eq!(subscription("going 7 3", None), Some(7));
        assert_eq!(subscription("", Some(9)), None);
    }
}

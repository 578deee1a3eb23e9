//! The revision of what Tier has in Stripe for a customer. It makes one write of what several processes decide at once.
//!
//! Every write to a subscription or a schedule says in its metadata, under `tier.rev`, which revision it makes: the one that was
//! seen when it was decided, plus one. Its idempotency key names the customer, the revision seen and the step, and
//! nothing of what was decided. So of all that was decided at one revision Stripe carries out one: the same request gets
//! the same answer, a different one is refused, reads again and decides again on top of it.
//!
//! To add a write:
//! - Build it from what was seen and from the request alone: no random value, and no computed time where "now" will do.
//! - Make it by [`Revision::write`], and send it by [`Domain::decided`](super::Domain::decided).
//!   All writes of one decision make the same revision, each under a step of its
//!   own name. The first must be one that changes the revision, on the schedule if there is one.
//! - Every phase that is sent carries the revision too ([`Revision::mark`]): Stripe copies the metadata of a phase to the
//!   subscription when the phase begins, and the revision must never go back.
//! - An end needs no key: ending twice is ending once.

mod refused;

use super::request_key::KEYS;
use crate::billing::{Metadata, Schedule, Subscription, Write};
use crate::stripe;

pub(super) use refused::{RefusedWrites, refused_writes};

/// The metadata key under which the revision is.
pub(super) const REVISION: &str = "tier.rev";

/// How many decisions are made for one request. Each but the last met another request's write, or a kept failure.
const DECISIONS: u32 = 100;

/// How often a change is decided anew because the clock overtook it.
const RACES: u32 = 3;

/// How often the revision is read again while another request's write, which has taken the key, does not show. After
/// that it is taken to have failed, and the next key is used.
const LOOKS: u32 = 5;

/// What a decision is based on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Revision {
    customer: String,
    seen: u64,
    /// Counts the keys of this revision: the earlier ones are known to be spent on failures.
    attempt: u32,
    /// The keys of clients' requests that are known once this is written.
    request_keys: Option<String>,
}

impl Revision {
    /// Writes the keys of clients' requests along.
    pub(super) fn remember(&mut self, request_keys: String) {
        self.request_keys = Some(request_keys);
    }

    /// The keys of clients' requests that are to be written along.
    pub(super) fn request_keys(&self) -> Option<&str> {
        self.request_keys.as_deref()
    }

    /// The revision that the writes of this decision make.
    pub(super) fn made(&self) -> u64 {
        self.seen.saturating_add(1)
    }

    /// Marks metadata that is sent along with a phase.
    pub(super) fn mark(&self, metadata: &mut Metadata) {
        metadata.insert(REVISION.to_owned(), self.made().to_string());
        if let Some(keys) = &self.request_keys {
            metadata.insert(KEYS.to_owned(), keys.clone());
        }
    }

    /// A write to a subscription or a schedule as one step of this decision.
    pub(super) fn write<T>(&self, step: &str, write: Write<T>) -> Write<T> {
        self.once(step, write)
            .note(REVISION, self.made())
            .note_some(KEYS, self.request_keys())
    }

    /// A step that takes no metadata.
    pub(super) fn once<T>(&self, step: &str, write: Write<T>) -> Write<T> {
        write.key(self.key(step))
    }

    /// Whether no key of this revision is known to be spent on a failure.
    pub(super) fn is_first(&self) -> bool {
        self.attempt == 1
    }

    /// The idempotency key of what must happen once whatever the revision. A failure that Stripe keeps under it is
    /// followed by the next one.
    pub(super) fn fixed(&self, name: &str) -> String {
        match self.attempt {
            1 => name.to_owned(),
            attempt => format!("{name}:{attempt}"),
        }
    }

    /// The idempotency key of a step.
    pub(super) fn key(&self, step: &str) -> String {
        let Self {
            customer,
            seen,
            attempt,
            request_keys: _,
        } = self;
        match attempt {
            1 => format!("sub:{customer}:{seen}:{step}"),
            _ => format!("sub:{customer}:{seen}:{step}:{attempt}"),
        }
    }
}

/// The newest revision among all that Tier has, or had, for a customer. What has ended counts too, or whoever comes back
/// would be given the answer of their first time.
pub(super) fn newest<'a>(
    subscriptions: impl Iterator<Item = &'a Subscription>,
    schedules: impl Iterator<Item = &'a Schedule>,
) -> u64 {
    let of_subscription = |subscription: &'a Subscription| {
        let schedule = subscription.schedule.as_ref();
        let schedule = schedule.and_then(|schedule| schedule.object());
        of(&subscription.metadata).max(schedule.map_or(0, of_schedule))
    };
    let subscriptions = subscriptions.map(of_subscription);
    subscriptions
        .chain(schedules.map(of_schedule))
        .max()
        .unwrap_or_default()
}

/// Whether a write of ours made it what it is.
pub(super) fn is_marked(metadata: &Metadata) -> bool {
    metadata.contains_key(REVISION)
}

fn of_schedule(schedule: &Schedule) -> u64 {
    let phases = schedule.phases.iter();
    let phases = phases.filter_map(|phase| phase.metadata.as_ref());
    phases
        .chain([&schedule.metadata])
        .map(of)
        .max()
        .unwrap_or_default()
}

fn of(metadata: &Metadata) -> u64 {
    let revision = metadata.get(REVISION);
    revision.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Why a write did not go through, where another decision may.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The schedule moved on between our read and our write.
    Overtaken(stripe::Error),
    /// The key was used with other parameters: by another request, which may still be under way.
    Taken(stripe::Error),
    /// The key gives the failure of an earlier try.
    Kept(stripe::Error),
}

impl Refusal {
    /// The refusal that `error` is, or `error` itself if another decision would not help.
    pub(super) fn of(error: stripe::Error) -> Result<Self, stripe::Error> {
        if error.is_idempotency_conflict() {
            Ok(Self::Taken(error))
        } else if error.is_schedule_over() {
            Ok(Self::Overtaken(error))
        } else if error.is_replayed() {
            Ok(Self::Kept(error))
        } else {
            Err(error)
        }
    }

    fn error(&self) -> &stripe::Error {
        let (Self::Overtaken(error) | Self::Taken(error) | Self::Kept(error)) = self;
        error
    }

    fn into_error(self) -> stripe::Error {
        let (Self::Overtaken(error) | Self::Taken(error) | Self::Kept(error)) = self;
        error
    }
}

/// The decisions that one request makes, one after the other, until its writes go through.
pub(super) struct Decisions {
    customer: String,
    attempts: Attempts,
}

impl Decisions {
    pub(super) fn new(customer: &str) -> Self {
        Self {
            customer: customer.to_owned(),
            attempts: Attempts::default(),
        }
    }

    /// The next decision, which is based on the revision `seen`.
    pub(super) fn at(&mut self, seen: u64) -> Revision {
        Revision {
            customer: self.customer.clone(),
            seen,
            attempt: self.attempts.at(seen),
            request_keys: None,
        }
    }

    /// How long to wait, in units of the first wait between tries, before everything is read again.
    ///
    /// # Errors
    /// Why the request is given up.
    pub(super) fn after(&mut self, refusal: Refusal) -> Result<u32, stripe::Error> {
        self.attempts.after(refusal)
    }
}

/// Which of the keys that are made of what was seen is next.
#[derive(Default)]
pub(super) struct Attempts {
    /// What was seen last: a revision, or a total.
    seen: Option<u64>,
    attempt: u32,
    made: u32,
    races: u32,
    looks: u32,
}

impl Attempts {
    /// The number of the key for what is `seen` now, from 1.
    pub(super) fn at(&mut self, seen: u64) -> u32 {
        if self.seen != Some(seen) {
            (self.seen, self.attempt, self.looks) = (Some(seen), 1, 0);
        }
        self.made += 1;
        self.attempt
    }

    /// The key is spent, and what it was spent on is no more.
    pub(super) fn next(&mut self) {
        self.attempt += 1;
    }

    /// As [`Decisions::after`].
    pub(super) fn after(&mut self, refusal: Refusal) -> Result<u32, stripe::Error> {
        tracing::info!(error = %refusal.error(), seen = self.seen, "decided anew");
        let (wait, give_up) = match &refusal {
            Refusal::Taken(_) if self.looks < LOOKS => {
                self.looks += 1;
                // The first look is free: most often the other request has just ended.
                ((1 << self.looks) >> 2, false)
            }
            Refusal::Overtaken(_) => {
                self.races += 1;
                self.attempt += 1;
                (0, self.races >= RACES)
            }
            Refusal::Taken(_) | Refusal::Kept(_) => {
                self.attempt += 1;
                (0, false)
            }
        };
        if give_up || self.made >= DECISIONS {
            return Err(refusal.into_error());
        }
        Ok(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: &str, status: u16, replayed: bool) -> stripe::Error {
        stripe::Error::Api(Box::new(stripe::ApiError {
            kind: kind.into(),
            status,
            replayed,
            ..stripe::ApiError::default()
        }))
    }

    fn refusal(kind: &str, status: u16, replayed: bool) -> Refusal {
        Refusal::of(error(kind, status, replayed)).expect("worth another decision")
    }

    #[test]
    fn the_newest_revision_counts_wherever_it_is() {
        let subscription = |metadata: serde_json::Value, phase: &str| -> Subscription {
            serde_json::from_value(serde_json::json!({
                "id": "sub", "status": "canceled", "items": {"data": []}, "metadata": metadata,
                "schedule": {"id": "sched", "status": "canceled", "phases": [{
                    "start_date": 1, "end_date": 2, "metadata": {"tier.rev": phase}}]},
            }))
            .expect("a subscription")
        };
        let schedule: Schedule = serde_json::from_value(serde_json::json!({
            "id": "sched", "status": "canceled", "metadata": {"tier.rev": "7"},
        }))
        .expect("a schedule");
        let old = subscription(serde_json::json!({"tier.rev": "3"}), "x");
        let with_phase = subscription(serde_json::json!({}), "5");
        assert_eq!(newest([].iter(), [].iter()), 0);
        assert_eq!(newest([&old].into_iter(), [].iter()), 3);
        assert_eq!(newest([&old, &with_phase].into_iter(), [].iter()), 5);
        assert_eq!(newest([&old].into_iter(), [&schedule].into_iter()), 7);
    }

    #[test]
    fn a_key_says_what_was_seen_and_a_spent_one_is_followed_by_the_next() {
        let mut decisions = Decisions::new("cus_1");
        assert_eq!(decisions.at(4).key("change"), "sub:cus_1:4:change");
        let kept = refusal("card_error", 402, true);
        assert_eq!(decisions.after(kept).expect("goes on"), 0);
        assert_eq!(decisions.at(4).key("change"), "sub:cus_1:4:change:2");
        assert_eq!(decisions.at(5).key("change"), "sub:cus_1:5:change");
        assert!(Refusal::of(error("card_error", 402, false)).is_err());
    }

    #[test]
    fn a_key_that_another_request_took_is_waited_for_before_the_next_is_used() {
        let mut decisions = Decisions::new("cus_1");
        let mut waits = Vec::new();
        while decisions.at(0).key("x") == "sub:cus_1:0:x" {
            waits.push(
                decisions
                    .after(refusal("idempotency_error", 400, false))
                    .expect("goes on"),
            );
        }
        assert_eq!(waits, [0, 1, 2, 4, 8, 0]);
        assert_eq!(decisions.at(0).key("x"), "sub:cus_1:0:x:2");
        assert_eq!(decisions.at(1).key("x"), "sub:cus_1:1:x");
    }

    #[test]
    fn a_request_is_given_up_in_the_end() {
        let mut decisions = Decisions::new("cus_1");
        let mut made = 0;
        let given_up = loop {
            decisions.at(0);
            made += 1;
            if let Err(error) = decisions.after(refusal("card_error", 402, true)) {
                break error;
            }
        };
        assert_eq!((made, given_up.is_replayed()), (DECISIONS, true));
    }
}

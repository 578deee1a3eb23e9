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

mod attempts;
mod refused;

use super::request_key::KEYS;
use crate::billing::{Metadata, Schedule, Subscription, Write};

pub(super) use attempts::{Attempts, Decisions, Refusal};
pub(super) use refused::{RefusedWrites, refused_writes};

/// The metadata key under which the revision is.
pub(super) const REVISION: &str = "tier.rev";

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

#[cfg(test)]
mod tests {
    use super::*;

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
}

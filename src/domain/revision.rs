//! The revision of a customer's objects in Stripe. Of several writes that processes decide at the same time, it lets
//! one through.
//!
//! Every write to a subscription or a schedule sets `tier.rev` in its metadata to the revision that it makes: the
//! revision that the decision saw, plus one. Its idempotency key names the customer, the seen revision and the step,
//! but not the content. So Stripe carries out one of the writes that were decided at one revision. The same request
//! gets the same answer. A different one is refused, reads again, and decides again.
//!
//! To add a write:
//! - Build it only from the state that was read and from the request: no random value, and no computed time where "now"
//!   will do.
//! - Make it with [`Revision::write`], and send it with [`Domain::decided`](super::Domain::decided). All writes of one
//!   decision make the same revision, and each has a step name of its own. The first one must change the revision, on
//!   the schedule if there is one.
//! - Mark every phase that is sent with the revision too ([`Revision::mark`]): Stripe copies the metadata of a phase to
//!   the subscription when the phase begins, and the revision must never decrease.
//! - Ending an object needs no key, since it can be repeated.

mod attempts;
mod refused;

use super::migration::MIGRATIONS;
use super::request_key::KEYS;
use crate::billing::{Metadata, Schedule, SchedulePhase, Subscription, Write};

pub(super) use attempts::{Attempts, Decisions, Refusal};
pub(super) use refused::{RefusedWrites, refused_writes};

/// The metadata key of the revision.
pub(super) const REVISION: &str = "tier.rev";

/// The revision that a decision is based on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Revision {
    customer: String,
    seen: u64,
    /// The number of the key at this revision. Earlier keys are known to be spent on failures.
    attempt: u32,
    /// The clients' request keys to write into the metadata.
    request_keys: Option<String>,
    /// The migrations that have moved the org once this is written.
    migrations: Option<String>,
}

impl Revision {
    /// Adds clients' request keys to the writes.
    pub(super) fn remember(&mut self, request_keys: String) {
        self.request_keys = Some(request_keys);
    }

    /// Writes into the metadata which migrations have moved the org.
    pub(super) fn note_migrations(&mut self, migrations: String) {
        self.migrations = Some(migrations);
    }

    /// The clients' request keys to write into the metadata.
    pub(super) fn request_keys(&self) -> Option<&str> {
        self.request_keys.as_deref()
    }

    /// The revision that this decision's writes make.
    pub(super) fn made(&self) -> u64 {
        self.seen.saturating_add(1)
    }

    /// Adds the revision to the metadata of a phase.
    pub(super) fn mark(&self, metadata: &mut Metadata) {
        metadata.insert(REVISION.to_owned(), self.made().to_string());
        if let Some(keys) = &self.request_keys {
            metadata.insert(KEYS.to_owned(), keys.clone());
        }
        if let Some(migrations) = &self.migrations {
            metadata.insert(MIGRATIONS.to_owned(), migrations.clone());
        }
    }

    /// A write to a subscription or a schedule as one step of this decision.
    pub(super) fn write<T>(&self, step: &str, write: Write<T>) -> Write<T> {
        self.once(step, write)
            .metadata(REVISION, self.made())
            .metadata_some(KEYS, self.request_keys())
            .metadata_some(MIGRATIONS, self.migrations.as_deref())
    }

    /// A step without metadata.
    pub(super) fn once<T>(&self, step: &str, write: Write<T>) -> Write<T> {
        write.key(self.key(step))
    }

    /// Whether no key of this revision is known to be spent on a failure.
    pub(super) fn is_first(&self) -> bool {
        self.attempt == 1
    }

    /// The idempotency key of an action that must happen once at any revision. After a failure that Stripe keeps, the
    /// next attempt has another key.
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
            migrations: _,
        } = self;
        match attempt {
            1 => format!("sub:{customer}:{seen}:{step}"),
            _ => format!("sub:{customer}:{seen}:{step}:{attempt}"),
        }
    }
}

/// The highest revision among all of a customer's objects. Ended ones count too, or a returning customer's key would
/// get the answer of the first time.
pub(super) fn newest<'a>(
    subscriptions: impl Iterator<Item = &'a Subscription>,
    schedules: impl Iterator<Item = &'a Schedule>,
) -> u64 {
    let of_subscription = |subscription: &'a Subscription| {
        of(&subscription.metadata).max(subscription.schedule().map_or(0, of_schedule))
    };
    let subscriptions = subscriptions.map(of_subscription);
    subscriptions
        .chain(schedules.map(of_schedule))
        .max()
        .unwrap_or_default()
}

/// Whether Tier wrote the object's current state.
pub(super) fn is_marked(metadata: &Metadata) -> bool {
    metadata.contains_key(REVISION)
}

fn of_phase(phase: &SchedulePhase) -> u64 {
    phase.metadata.as_ref().map_or(0, of)
}

fn of_schedule(schedule: &Schedule) -> u64 {
    let phases = schedule.phases.iter().map(of_phase);
    phases
        .chain([of(&schedule.metadata)])
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
    fn the_highest_revision_counts_on_any_object() {
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

//! The revision of a customer's objects in Stripe. Of several concurrent writes, it lets only one through.
//!
//! Every write to a subscription or a schedule sets `tier.rev` in its metadata to the next revision: the one that the
//! decision read, plus one. Its idempotency key names the customer, the revision that was read, and the step, but not
//! the content. So Stripe carries out only one of the writes that were decided at a revision. A repeated request gets
//! the same answer. A different one is refused, reads again, and decides again.
//!
//! To add a write:
//! - Build it only from the state that was read and from the request: no random values, and "now" instead of a computed
//!   time where Stripe accepts it.
//! - Make it with [`Revision::step`], and send it with [`Domain::send_step`](super::Domain::send_step). All writes of
//!   one decision write the same revision, and each has its own step name. The first one must change the revision, on
//!   the schedule if there is one.
//! - Add the revision to every phase that is sent too ([`Revision::mark`]): Stripe copies the metadata of a phase to
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
    /// The number of the key at this revision, from 1. Stripe keeps failures under the earlier keys.
    attempt: u32,
    /// The clients' request keys to write into the metadata.
    request_keys: Option<String>,
    /// The migrations to write into the metadata.
    migrations: Option<String>,
}

impl Revision {
    /// Makes the writes of this decision set the clients' request keys.
    pub(super) fn set_request_keys(&mut self, request_keys: String) {
        self.request_keys = Some(request_keys);
    }

    /// Makes the writes of this decision set the migrations that have moved the org.
    pub(super) fn set_migrations(&mut self, migrations: String) {
        self.migrations = Some(migrations);
    }

    /// The clients' request keys to write into the metadata.
    pub(super) fn request_keys(&self) -> Option<&str> {
        self.request_keys.as_deref()
    }

    /// The revision that the writes of this decision set.
    pub(super) fn next(&self) -> u64 {
        self.seen.saturating_add(1)
    }

    /// Adds the next revision to the metadata of a phase.
    pub(super) fn mark(&self, metadata: &mut Metadata) {
        metadata.insert(REVISION.to_owned(), self.next().to_string());
        if let Some(keys) = &self.request_keys {
            metadata.insert(KEYS.to_owned(), keys.clone());
        }
        if let Some(migrations) = &self.migrations {
            metadata.insert(MIGRATIONS.to_owned(), migrations.clone());
        }
    }

    /// A write to a subscription or a schedule as one step of this decision.
    pub(super) fn step<T>(&self, step: &str, write: Write<T>) -> Write<T> {
        self.step_without_metadata(step, write)
            .metadata(REVISION, self.next())
            .metadata_some(KEYS, self.request_keys())
            .metadata_some(MIGRATIONS, self.migrations.as_deref())
    }

    /// A step without metadata.
    pub(super) fn step_without_metadata<T>(&self, step: &str, write: Write<T>) -> Write<T> {
        write.key(self.key(step))
    }

    /// Whether Stripe is not known to keep a failure under a key of this revision.
    pub(super) fn is_first(&self) -> bool {
        self.attempt == 1
    }

    /// The idempotency key of an action that must happen once, whatever the revision. After a failure that Stripe
    /// keeps, the next attempt has another key.
    pub(super) fn key_at_any_revision(&self, name: &str) -> String {
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

/// The highest revision of a customer's objects. Ended ones count too: otherwise a returning customer's key would
/// replay an old answer.
pub(super) fn newest_of<'a>(
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
        assert_eq!(newest_of([].iter(), [].iter()), 0);
        assert_eq!(newest_of([&old].into_iter(), [].iter()), 3);
        assert_eq!(newest_of([&old, &with_phase].into_iter(), [].iter()), 5);
        assert_eq!(newest_of([&old].into_iter(), [&schedule].into_iter()), 7);
    }
}

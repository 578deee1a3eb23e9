//! The orgs of a migration.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::record::Record;
use super::{MIGRATIONS, Terms};
use crate::billing::{Customer, Metadata, Schedule, SubscriptionFilter};
use crate::domain::orgs::name_of;
use crate::domain::refs::OrgName;
use crate::domain::request_key::noted;
use crate::domain::{Domain, Result};

/// The orgs of a migration.
#[derive(Clone, Debug, Default)]
pub(super) struct Targets {
    /// The orgs to move, by name.
    pub(super) orgs: Vec<Target>,
    /// The number of orgs that it has already moved.
    pub(super) moved: usize,
}

/// An org to move.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) org: OrgName,
    /// Its customer, if it is already known.
    pub(super) customer: Option<Arc<str>>,
}

/// The orgs that were found.
#[derive(Default)]
struct Found(BTreeMap<OrgName, Candidate>);

struct Candidate {
    created: i64,
    customer: String,
    /// The rank of its subscription.
    rank: u8,
    todo: Todo,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Todo {
    Move,
    Nothing,
    Moved,
}

impl Found {
    /// Adds a candidate. If an org has two customers, the newer one counts, and of its subscriptions the one with the
    /// lowest rank.
    fn add(&mut self, customer: &Customer, rank: u8, todo: Todo) {
        let Some(org) = name_of(customer) else { return };
        if let Some(known) = self.0.get(&org) {
            let is_newer = (customer.created, &customer.id) > (known.created, &known.customer);
            if !is_newer && (customer.id != known.customer || rank >= known.rank) {
                return;
            }
        }
        let candidate = Candidate {
            created: customer.created,
            customer: customer.id.clone(),
            rank,
            todo,
        };
        self.0.insert(org, candidate);
    }
}

/// The rank of an org with only a schedule that has not started, after all orgs with a subscription.
const WAITING: u8 = u8::MAX;

impl Domain {
    /// Lists the orgs that have the plan, or are scheduled to get it, and those that the migration has moved. Orgs that
    /// the request names are not looked up here.
    pub(super) async fn migration_targets(
        &self,
        record: &Record,
        terms: &Terms,
    ) -> Result<Targets> {
        if let Some(orgs) = &record.request.orgs {
            return Ok(Targets {
                orgs: orgs.iter().cloned().map(Target::named).collect(),
                moved: 0,
            });
        }
        let mut found = Found::default();
        let now = self.now().await?;
        self.find_subscribed(record, terms, now, &mut found).await?;
        self.find_waiting(record, terms, now, &mut found).await?;
        let mut targets = Targets::default();
        for (org, candidate) in found.0 {
            match candidate.todo {
                Todo::Move => targets.orgs.push(Target {
                    org,
                    customer: Some(candidate.customer.into()),
                }),
                Todo::Moved => targets.moved += 1,
                Todo::Nothing => {}
            }
        }
        Ok(targets)
    }

    async fn find_subscribed(
        &self,
        record: &Record,
        terms: &Terms,
        now: i64,
        found: &mut Found,
    ) -> Result<()> {
        let filter = SubscriptionFilter {
            test_clock: self.test_clock.as_deref(),
            ..SubscriptionFilter::default()
        };
        self.each_subscription(filter, |subscription, customer| {
            if let Some(rank) = subscription.rank().filter(|_| subscription.is_managed()) {
                let course =
                    terms.course_of_subscribed(&subscription, None, record.request.at, now);
                let schedule = subscription.active_schedule();
                let metadata = schedule.map(|schedule| &schedule.metadata);
                let metadata = metadata.into_iter().chain([&subscription.metadata]);
                found.add(
                    &customer,
                    rank,
                    Todo::of(metadata, record, course.is_some()),
                );
            }
        })
        .await
    }

    /// Adds orgs whose schedule has not started.
    async fn find_waiting(
        &self,
        record: &Record,
        terms: &Terms,
        now: i64,
        found: &mut Found,
    ) -> Result<()> {
        let waiting: Vec<(Customer, Schedule)> = match &self.test_clock {
            None => {
                let schedules = self.billing().not_started_schedules().await?.into_iter();
                let real = schedules.filter(|one| one.customer.test_clock.is_none());
                real.map(|one| (one.customer, one.schedule)).collect()
            }
            Some(clock) => {
                let mut waiting = Vec::new();
                for customer in self.billing().customers_on(clock).await? {
                    let mut schedules = self.schedules(&customer.id).await?;
                    schedules.retain(Schedule::is_not_started);
                    let own = schedules.into_iter();
                    waiting.extend(own.map(|schedule| (customer.clone(), schedule)));
                }
                waiting
            }
        };
        for (customer, schedule) in waiting {
            let course = terms.course_of_waiting(&schedule, record.request.at, now);
            let todo = Todo::of([&schedule.metadata].into_iter(), record, course.is_some());
            found.add(&customer, WAITING, todo);
        }
        Ok(())
    }
}

impl Todo {
    fn of<'a>(
        metadata: impl Iterator<Item = &'a Metadata>,
        record: &Record,
        has_plan: bool,
    ) -> Self {
        if noted(MIGRATIONS, metadata).contains(&record.id) {
            Self::Moved
        } else if has_plan {
            Self::Move
        } else {
            Self::Nothing
        }
    }
}

impl Target {
    fn named(org: OrgName) -> Self {
        Self {
            org,
            customer: None,
        }
    }
}

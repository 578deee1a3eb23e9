//! The orgs of a migration.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::record::MigrationRecord;
use super::{MIGRATIONS, ResolvedExchange};
use crate::billing::{Customer, Metadata, Schedule, SubscriptionFilter};
use crate::domain::orgs::org_name_of;
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

/// The orgs that were found, with what to do about each.
#[derive(Default)]
struct Candidates(BTreeMap<OrgName, Candidate>);

struct Candidate {
    created: i64,
    customer: String,
    /// The rank of its subscription.
    rank: u8,
    status: MoveStatus,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum MoveStatus {
    Due,
    NotOnPlan,
    Moved,
}

impl Candidates {
    /// Adds a candidate. If an org has two customers, the newer one counts. Of a customer's subscriptions, the one with
    /// the lowest rank counts.
    fn add(&mut self, customer: &Customer, rank: u8, status: MoveStatus) {
        let Some(org) = org_name_of(customer) else {
            return;
        };
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
            status,
        };
        self.0.insert(org, candidate);
    }
}

/// The rank of an org with only a schedule that has not started, after all orgs with a subscription.
const NOT_STARTED_RANK: u8 = u8::MAX;

impl Domain {
    /// Lists the orgs that have the plan, or are scheduled to get it, and counts those that the migration has moved. If
    /// the request names orgs, returns these without reading Stripe.
    pub(super) async fn migration_targets(
        &self,
        record: &MigrationRecord,
        exchange: &ResolvedExchange,
    ) -> Result<Targets> {
        if let Some(orgs) = &record.request.orgs {
            return Ok(Targets {
                orgs: orgs.iter().cloned().map(Target::named).collect(),
                moved: 0,
            });
        }
        let mut found = Candidates::default();
        let now = self.now().await?;
        self.find_subscribed(record, exchange, now, &mut found)
            .await?;
        self.find_not_started(record, exchange, now, &mut found)
            .await?;
        let mut targets = Targets::default();
        for (org, candidate) in found.0 {
            match candidate.status {
                MoveStatus::Due => targets.orgs.push(Target {
                    org,
                    customer: Some(candidate.customer.into()),
                }),
                MoveStatus::Moved => targets.moved += 1,
                MoveStatus::NotOnPlan => {}
            }
        }
        Ok(targets)
    }

    async fn find_subscribed(
        &self,
        record: &MigrationRecord,
        exchange: &ResolvedExchange,
        now: i64,
        found: &mut Candidates,
    ) -> Result<()> {
        let filter = SubscriptionFilter {
            test_clock: self.test_clock.as_deref(),
            ..SubscriptionFilter::default()
        };
        self.for_each_subscription(filter, |subscription, customer| {
            if let Some(rank) = subscription.rank().filter(|_| subscription.is_managed()) {
                let phase_change =
                    exchange.change_subscribed(&subscription, None, record.request.at, now);
                let schedule = subscription.active_schedule();
                let metadata = schedule.map(|schedule| &schedule.metadata);
                let metadata = metadata.into_iter().chain([&subscription.metadata]);
                found.add(
                    &customer,
                    rank,
                    MoveStatus::of(metadata, record, phase_change.is_some()),
                );
            }
        })
        .await
    }

    /// Adds orgs whose schedule has not started.
    async fn find_not_started(
        &self,
        record: &MigrationRecord,
        exchange: &ResolvedExchange,
        now: i64,
        found: &mut Candidates,
    ) -> Result<()> {
        let not_started: Vec<(Customer, Schedule)> = match &self.test_clock {
            None => {
                let schedules = self.billing().not_started_schedules().await?.into_iter();
                let real = schedules.filter(|listed| listed.customer.test_clock.is_none());
                real.map(|listed| (listed.customer, listed.schedule))
                    .collect()
            }
            Some(clock) => {
                let mut not_started = Vec::new();
                for customer in self.billing().customers_on(clock).await? {
                    let mut schedules = self.schedules(&customer.id).await?;
                    schedules.retain(Schedule::is_not_started);
                    let schedules = schedules.into_iter();
                    not_started.extend(schedules.map(|schedule| (customer.clone(), schedule)));
                }
                not_started
            }
        };
        for (customer, schedule) in not_started {
            let phase_change = exchange.change_not_started(&schedule, record.request.at, now);
            let status = MoveStatus::of(
                [&schedule.metadata].into_iter(),
                record,
                phase_change.is_some(),
            );
            found.add(&customer, NOT_STARTED_RANK, status);
        }
        Ok(())
    }
}

impl MoveStatus {
    fn of<'a>(
        metadata: impl Iterator<Item = &'a Metadata>,
        record: &MigrationRecord,
        has_plan: bool,
    ) -> Self {
        if noted(MIGRATIONS, metadata).contains(&record.id) {
            Self::Moved
        } else if has_plan {
            Self::Due
        } else {
            Self::NotOnPlan
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

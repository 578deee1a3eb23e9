//! A process's copy of the ledger's records.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::super::super::state::{Event, Reservation, Seal, Stored, Total, due_orgs, has_work};
use super::super::super::transactor::Request;
use super::super::super::values::{Org, Time};

/// The records of all orgs that can still change, in the version in which this process last read or wrote them. Other
/// processes may have written newer versions.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    orgs: HashMap<Org, Records>,
    /// The orgs with totals to deliver.
    undelivered: HashSet<Org>,
    /// The orgs with held reservations.
    holding: HashSet<Org>,
}

#[derive(Debug, Default)]
struct Records {
    version: i64,
    totals: Vec<Total>,
    reservations: Vec<Reservation>,
}

/// The records that a batch of events may change.
#[derive(Debug, Default)]
pub(super) struct Concerned {
    pub(super) orgs: BTreeSet<Org>,
    /// Totals whose orgs the events do not name.
    pub(super) totals: Vec<i64>,
    /// Reservations whose orgs the events do not name.
    pub(super) reservations: Vec<String>,
}

impl Concerned {
    pub(super) fn is_empty(&self) -> bool {
        self.orgs.is_empty() && !self.has_unknown_orgs()
    }

    pub(super) fn has_unknown_orgs(&self) -> bool {
        !self.totals.is_empty() || !self.reservations.is_empty()
    }

    fn add(&mut self, event: &Event, now: Time, mirror: &Mirror) {
        match event {
            Event::Report(report) => drop(self.orgs.insert(report.target.org.clone())),
            Event::Repeat { org, .. } => drop(self.orgs.insert(org.clone())),
            Event::Reserve(reserve) => drop(self.orgs.insert(reserve.target.org.clone())),
            Event::Commit { target, .. } | Event::TakeOver { target, .. } => {
                self.orgs.insert(target.org.clone());
            }
            Event::Release(id) => self.reservations.push(id.to_string()),
            Event::Expire => self.orgs.extend(mirror.expired(now)),
            Event::Seal(seal) => match &seal.org {
                Some(org) => drop(self.orgs.insert(org.clone())),
                None => self.orgs.extend(mirror.due(seal, now)),
            },
            Event::Answered { total, .. }
            | Event::Summary { total, .. }
            | Event::TooLate { total, .. }
            | Event::Continue { total, .. }
            | Event::Dropped(total)
            | Event::Counted { total, .. }
            | Event::Retry(total)
            | Event::WriteOff(total)
            | Event::Settle { total, .. } => self.totals.push(total.0.cast_signed()),
        }
    }
}

impl Mirror {
    /// The records that `requests` may change. `shared` is about the time of the database.
    pub(super) fn concerned(&self, requests: &[Request], shared: Option<Time>) -> Concerned {
        let mut concerned = Concerned::default();
        for request in requests {
            let now = request.now.or(shared);
            for event in &request.events {
                concerned.add(event, now, self);
            }
        }
        concerned
    }

    pub(super) fn knows(&self, org: &Org) -> bool {
        self.orgs.contains_key(org)
    }

    /// Whether it has this version of the org's records.
    pub(super) fn has(&self, org: &Org, version: i64) -> bool {
        let known = self.orgs.get(org);
        known.map_or(0, |records| records.version) == version
    }

    /// Adds an org's records to `stored`.
    pub(super) fn copy(&self, org: &Org, stored: &mut Stored) {
        if let Some(records) = self.orgs.get(org) {
            stored.totals.extend_from_slice(&records.totals);
            stored.reservations.extend_from_slice(&records.reservations);
        }
    }

    /// Replaces the records of `orgs`, given with their versions, by `stored`, which has all records of these orgs and
    /// no others.
    pub(super) fn replace(&mut self, orgs: Vec<(Org, i64)>, stored: Stored) {
        let mut replaced: HashMap<Org, Records> = orgs
            .into_iter()
            .map(|(org, version)| {
                let records = Records {
                    version,
                    ..Records::default()
                };
                (org, records)
            })
            .collect();
        for total in stored.totals {
            if let Some(records) = replaced.get_mut(&total.org) {
                records.totals.push(total);
            }
        }
        for one in stored.reservations {
            if let Some(records) = replaced.get_mut(&one.org) {
                records.reservations.push(one);
            }
        }
        for (org, records) in replaced {
            mark(
                &mut self.undelivered,
                &org,
                records.totals.iter().any(has_work),
            );
            mark(&mut self.holding, &org, !records.reservations.is_empty());
            self.orgs.insert(org, records);
        }
    }

    /// The orgs of the totals that are due.
    fn due(&self, seal: &Seal, now: Time) -> BTreeSet<Org> {
        let records = self.undelivered.iter().filter_map(|org| self.orgs.get(org));
        due_orgs(records.flat_map(|records| &records.totals), seal, now)
    }

    /// The orgs with reservations that have expired by the server's time.
    fn expired(&self, now: Time) -> impl Iterator<Item = Org> {
        let has_expired = move |one: &Reservation| one.expires <= now && !one.on_test_clock;
        let holding = self.holding.iter().filter(move |org| {
            let records = self.orgs.get(*org);
            records.is_some_and(|records| records.reservations.iter().any(has_expired))
        });
        holding.cloned()
    }
}

fn mark(set: &mut HashSet<Org>, org: &Org, belongs: bool) {
    if belongs {
        set.insert(org.clone());
    } else {
        set.remove(org);
    }
}

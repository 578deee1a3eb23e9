//! A ledger whose disk may fail, whose process may crash, and whose answers from Stripe may be lost.
//!
//! With PostgreSQL (`tests/postgres/run`), two processes take turns, and the disk is what they have stored.

use std::collections::HashMap;

use super::meters::Meters;
#[cfg(not(feature = "postgres"))]
use super::no_database::TwoProcesses;
use super::stripe::Stripe;
use super::*;
#[cfg(feature = "postgres")]
use crate::ledger::store::postgres::testing::TwoProcesses;
use crate::ledger::transactor::{Now, Request};

/// The contents of the disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) totals: HashMap<TotalId, Total>,
    pub(super) reservations: HashMap<ReservationId, Reservation>,
    pub(super) entries: Vec<Entry>,
}

impl Disk {
    fn stored(&self) -> Stored {
        Stored {
            totals: self.totals.values().cloned().collect(),
            reservations: self
                .reservations
                .values()
                .filter(|one| one.is_held())
                .cloned()
                .collect(),
            last_total: self.totals.keys().map(|id| id.0).max().unwrap_or(0),
            last_entry: self.entries.last().map_or(0, |entry| entry.id.0),
        }
    }

    fn write(&mut self, batch: &Batch<'_>) {
        self.entries.extend_from_slice(batch.entries);
        for total in &batch.totals {
            self.totals.insert(total.id, (*total).clone());
        }
        for one in &batch.reservations {
            self.reservations.insert(one.id.clone(), (*one).clone());
        }
    }

    fn recalled(&self) -> Recalled {
        let keys = self.entries.iter().filter_map(|entry| {
            let (org, key) = entry.key.clone()?;
            let (body, entry) = (key.body, entry.id);
            Some(((org, key.text), KnownKey { body, entry }))
        });
        Recalled {
            keys: keys.collect(),
            reservations: self.reservations.values().cloned().collect(),
        }
    }

    /// The total that was opened first.
    pub(super) fn first(&self) -> &Total {
        let first = self.totals.values().min_by_key(|total| total.id);
        first.expect("one was opened")
    }

    /// Recomputes every total.
    pub(super) fn verify(&self) {
        let mut figures: HashMap<TotalId, Figure> = HashMap::new();
        for entry in &self.entries {
            let figure = figures.entry(entry.total).or_default();
            let aggregate = self.totals[&entry.total].aggregate;
            let after = figure.after(aggregate, entry.kind, entry.n, entry.at);
            *figure = after.expect("an accepted entry");
            assert_eq!(figure.n, entry.after, "{entry:?}");
        }
        for total in self.totals.values() {
            let figure = figures.get(&total.id).copied().unwrap_or_default();
            assert_eq!((figure.n, figure.level_at), (total.n, total.level_at));
        }
    }
}

pub(super) struct World {
    /// With PostgreSQL it is made from the disk after each event.
    pub(super) state: State,
    shared: Option<TwoProcesses>,
    pub(super) disk: Disk,
    pub(super) stripe: Stripe,
    pub(super) meters: Meters,
    pub(super) now: Time,
    /// Whether the next commit fails.
    pub(super) disk_fails: bool,
    /// Timed-out requests that may still arrive at Stripe.
    pub(super) under_way: Vec<(Call, Time)>,
    /// The current target of each feature.
    pub(super) targets: HashMap<Feature, Target>,
}

/// A request to Stripe.
#[derive(Clone, Debug)]
pub(super) enum Call {
    Set(Set),
    Event(MeterEvent),
}

/// A fault of a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    None,
    /// It arrives, and its answer is lost.
    AnswerLost,
    /// It times out, and may arrive later.
    Slow,
    /// It is answered 500; the value is whether Stripe records it.
    Fails(bool),
    /// It is answered, and the process crashes before it has stored the answer.
    Dies,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            state: State::load(Stored::default()),
            shared: TwoProcesses::start(),
            disk: Disk::default(),
            stripe: Stripe::default(),
            meters: Meters::default(),
            now: START.plus(HOUR),
            disk_fails: false,
            under_way: Vec::new(),
            targets: HashMap::new(),
        }
    }

    /// Processes one event as the writer does. `None`: it could not be stored.
    pub(super) fn submit(&mut self, event: &Event) -> Option<Result<Answer, Refusal>> {
        if self.shared.is_some() {
            return self.submit_to_shared(event);
        }
        self.state.recall(self.disk.recalled());
        let result = self.state.apply(event, self.now);
        if result.is_err() {
            assert!(self.state.pending().is_empty(), "{event:?} left something");
        }
        if std::mem::take(&mut self.disk_fails) {
            self.state.rollback();
            return None;
        }
        self.disk.write(&self.state.pending());
        self.state.commit();
        Some(result)
    }

    fn submit_to_shared(&mut self, event: &Event) -> Option<Result<Answer, Refusal>> {
        let shared = self.shared.as_mut()?;
        let fails = std::mem::take(&mut self.disk_fails);
        if fails {
            shared.set_failing(true);
        }
        let request = Request {
            events: vec![event.clone()],
            now: Now::TestClock(self.now),
        };
        let answers = shared.submit(request);
        if fails {
            shared.set_failing(false);
        }
        self.reload();
        assert!(answers.is_ok() || fails, "{answers:?}");
        // An event that stores nothing does not fail.
        answers.ok()?.pop()
    }

    /// Reads what the processes have stored.
    fn reload(&mut self) {
        let Some(shared) = &self.shared else {
            return;
        };
        let totals = shared.totals().into_iter().map(|total| (total.id, total));
        let reservations = shared.reservations().into_iter();
        self.disk = Disk {
            totals: totals.collect(),
            reservations: reservations.map(|one| (one.id.clone(), one)).collect(),
            entries: shared.entries(),
        };
        self.state = State::load(self.disk.stored());
    }

    /// Makes the only total one without entries and without a level.
    pub(super) fn forget_level(&mut self) {
        let mut total = self.disk.first().clone();
        total.level_at = None;
        if let Some(shared) = &self.shared {
            shared.forget_entries(&total);
            return self.reload();
        }
        let last_total = total.id.0;
        self.disk.entries.clear();
        self.disk.totals.insert(total.id, total.clone());
        self.state = State::load(Stored {
            totals: vec![total],
            last_total,
            ..Stored::default()
        });
    }

    /// The process crashes, and another one loads the store.
    pub(super) fn crash(&mut self) {
        if let Some(shared) = &mut self.shared {
            shared.crash();
        }
        let before: HashMap<TotalId, Total> = self
            .state
            .totals()
            .map(|total| (total.id, total.clone()))
            .collect();
        self.state = State::load(self.disk.stored());
        for (id, total) in before {
            assert_eq!(self.state.total(id), Some(&total), "lost with the process");
        }
    }

    pub(super) fn seal(&mut self, org: Option<Org>) -> Sealed {
        let seal = Seal {
            date: self.now,
            deliver_after: 30 * SECOND,
            org,
            max: 100,
        };
        match self.submit(&Event::Seal(seal)) {
            Some(Ok(Answer::Sealed(sealed))) => sealed,
            _ => Sealed::default(),
        }
    }

    /// One round of the sender.
    pub(super) fn deliver(&mut self, org: Option<Org>, fault: Fault) {
        let sealed = self.seal(org);
        for read in sealed.summaries {
            let total = &self.disk.totals[&read.total];
            let aggregate = total.aggregate;
            let value = match &read.of {
                Summed::Records => self.stripe.summary(&read.item, read.period, aggregate),
                Summed::Preview | Summed::Period(_) => {
                    let meter = total.meter.as_ref().expect("it has one");
                    let period = read.period.start.seconds()..read.period.end.seconds();
                    self.meters.counted(meter, period, aggregate)
                }
                Summed::Minutes { meter, start, end } => {
                    self.meters.counted(meter, *start..*end, aggregate)
                }
            };
            let (total, number) = (read.total, read.number);
            self.submit(&if let Summed::Period(_) = read.of {
                let value = Some(value);
                Event::Counted {
                    total,
                    number,
                    value,
                }
            } else {
                Event::Summary {
                    total,
                    number,
                    value,
                }
            });
        }
        for one in sealed.moves {
            let total = one.total;
            let target = self.targets.get(&one.feature).cloned();
            let event = match (one.is_late, target) {
                (true, next) => Event::TooLate { total, next },
                (false, Some(target)) => Event::Continue { total, target },
                (false, None) => continue,
            };
            self.submit(&event);
        }
        let sets = sealed.sets.into_iter().map(Call::Set);
        for call in sets.chain(sealed.events.into_iter().map(Call::Event)) {
            self.send(&call, fault);
        }
    }

    fn send(&mut self, call: &Call, fault: Fault) {
        let outcome = match (fault, self.gone(call)) {
            (Fault::Dies, Some(_)) => return self.crash(),
            (_, Some(gone)) => gone,
            (fault, None) => match self.answer(call, fault) {
                Some(outcome) => outcome,
                None => return self.crash(),
            },
        };
        let (total, number) = match call {
            Call::Set(set) => (set.total, set.number),
            Call::Event(event) => (event.total, event.number),
        };
        let answered = Event::Answered {
            total,
            number,
            outcome,
        };
        self.submit(&answered);
    }

    /// The outcome of an event that is not sent, because its item was removed.
    fn gone(&self, call: &Call) -> Option<Outcome> {
        match call {
            Call::Event(event) if self.meters.removed.contains_key(&event.meter.id) => {
                Some(Outcome::Gone)
            }
            _ => None,
        }
    }

    /// Sends a call. None: the process dies before it has the answer.
    fn answer(&mut self, call: &Call, fault: Fault) -> Option<Outcome> {
        let is_same = |other: &Call| match (other, call) {
            (Call::Set(one), Call::Set(two)) => one.key == two.key,
            (Call::Event(one), Call::Event(two)) => one.identifier == two.identifier,
            _ => false,
        };
        let is_under_way = self.under_way.iter().any(|(other, _)| is_same(other));
        Some(match fault {
            // Stripe answers 409 while the first request runs.
            _ if is_under_way => Outcome::Lost,
            Fault::Slow => {
                self.under_way.push((call.clone(), self.now));
                Outcome::Lost
            }
            Fault::None => self.run(call, None),
            Fault::Fails(records) => self.run(call, Some(records)),
            Fault::AnswerLost => {
                self.run(call, None);
                Outcome::Lost
            }
            Fault::Dies => {
                self.run(call, None);
                return None;
            }
        })
    }

    fn run(&mut self, call: &Call, fails: Option<bool>) -> Outcome {
        let set = match call {
            Call::Set(set) => set,
            Call::Event(event) => {
                return match self.meters.receive(event, fails, self.now) {
                    200 => Outcome::Done,
                    _ => Outcome::Lost,
                };
            }
        };
        let total = self.disk.totals[&set.total].clone();
        let is_replayed = self.stripe.has_answered(set);
        let next = self.targets.get(&total.feature).cloned();
        match self.stripe.run(set, total.period, fails, self.now) {
            200 => Outcome::Done,
            400 => Outcome::Refused {
                reason: "no longer accepted".into(),
                next,
            },
            _ if is_replayed => Outcome::Ended,
            _ => Outcome::Lost,
        }
    }

    /// A timed-out request arrives after all.
    pub(super) fn arrive(&mut self) {
        match self.under_way.pop() {
            Some((Call::Set(set), _)) => {
                let period = self.disk.totals[&set.total].period;
                self.stripe.run(&set, period, None, self.now);
            }
            Some((Call::Event(event), _)) => {
                self.meters.receive(&event, None, self.now);
            }
            None => {}
        }
    }

    pub(super) fn advance(&mut self, millis: i64) {
        self.now = self.now.plus(millis);
        // No request stays in flight for hours.
        let now = self.now;
        let is_live = |since: &Time| now < since.plus(HOUR);
        self.under_way.retain(|(_, since)| is_live(since));
    }
}

//! Random lists of events, faults and crashes, compared with a small model: totals equal the accepted usage, and in the
//! end Stripe has the totals.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::ops::{Op, op};
use super::world::{Fault, World};
use super::*;

const AGGREGATES: [Aggregate; 4] = [
    Aggregate::Sum,
    Aggregate::Max,
    Aggregate::Last,
    Aggregate::Perpetual,
];
const LIMIT: i64 = 100;

/// The model: the usage that results from the accepted reports.
#[derive(Default)]
struct Model {
    /// By feature and period.
    used: BTreeMap<(usize, i64), i64>,
    /// When a level was last reported, by feature and period.
    level_at: HashMap<(usize, i64), Time>,
    keys: HashMap<u8, (usize, i64, i64)>,
    granted: Vec<i64>,
}

struct Run {
    on_meters: bool,
    world: World,
    model: Model,
    /// The item that each feature has, and the period since when it has it.
    items: [(u32, i64); 4],
    /// How many entries the model has seen.
    seen: usize,
    /// The totals that Stripe has dropped events of, and the units of refunds among these events.
    dropped: HashMap<TotalId, i64>,
}

impl Run {
    fn number(&self) -> i64 {
        (self.world.now.millis() - START.millis()) / PERIOD
    }

    fn target(&self, feature: usize) -> Target {
        let (item, since) = self.items[feature];
        let item = format!("si_{feature}_{item}");
        let name = format!("feature:{feature}");
        let mut target = target(&name, AGGREGATES[feature], &item, self.number());
        target.meter = self.on_meters.then(|| Meter {
            id: item.into(),
            customer: "cus_a".into(),
        });
        target.previous = target.previous.filter(|_| since < self.number());
        target
    }

    fn start(&mut self) {
        for feature in 0..4 {
            let target = self.target(feature);
            let name = target.feature.clone();
            self.world.targets.insert(name, target);
        }
    }

    fn report(&mut self, feature: usize, change: Change, back: i64, key: Option<u8>) {
        let target = self.target(feature);
        let at = self.world.now.plus(-back);
        let n = match change {
            Change::Add(n) | Change::SetTotal(n) => n,
        };
        let body = (feature, n, back);
        let digest = format!("{:>16}", format!("{feature} {n} {back}"));
        let event = Event::Report(Report {
            target,
            change,
            at: Some(at),
            recorded: 0,
            key: key.map(|key| Key {
                text: key.to_string().into(),
                body: digest.as_bytes().try_into().expect("16 bytes"),
            }),
        });
        let answer = self.world.submit(&event);
        match key.and_then(|key| self.model.keys.get(&key)) {
            Some(used) if answer.is_some() => {
                let is_same = matches!(answer, Some(Ok(Answer::Accepted { repeated: true, .. })));
                assert_eq!(is_same, *used == body);
                return;
            }
            _ => {}
        }
        if let Some(Ok(_)) = answer {
            self.model.keys.extend(key.map(|key| (key, body)));
            let number = (at.millis() - START.millis()).div_euclid(PERIOD);
            self.count(feature, number, change, at);
        }
    }

    fn count(&mut self, feature: usize, number: i64, change: Change, at: Time) {
        let key = (feature, number);
        let before = self.model.used_in(key);
        let is_newest = self.model.level_at.get(&key).is_none_or(|last| at >= *last);
        let after = match (change, AGGREGATES[feature]) {
            (Change::SetTotal(n), _) => n,
            (Change::Add(n), _) if n < 0 => before + n,
            (Change::Add(n), Aggregate::Sum) => before + n,
            (Change::Add(n), Aggregate::Max) => before.max(n),
            (Change::Add(n), _) if is_newest => n,
            _ => before,
        };
        self.model.used.insert(key, after);
        let last = self.model.level_at.entry(key).or_insert(at);
        *last = at.max(*last);
    }

    fn reserve(&mut self, n: i64, commit: bool) {
        let id = format!("rsv_{}", self.model.granted.len());
        let target = self.target(0);
        let (org, feature) = (target.org.clone(), target.feature.clone());
        let start = target.period.start;
        let answer = self.world.submit(&Event::Reserve(Reserve {
            id: id.as_str().into(),
            target,
            n,
            ttl: 10 * MINUTE,
            on_test_clock: false,
            limit: Some(LIMIT),
            commit,
        }));
        if let Some(Ok(Answer::Reserved {
            expires: Some(_),
            used,
        })) = answer
        {
            assert!(used <= LIMIT);
            self.model.granted.push(n);
            let now = self.world.now;
            if commit {
                self.count(0, self.number(), Change::Add(n), now);
            }
            let figure = self.world.state.used(&org, &feature, start);
            assert_eq!(figure.n + figure.reserved(now), used);
        }
    }

    fn commit(&mut self, which: usize, n: Option<i64>) {
        let id = format!("rsv_{which}").as_str().into();
        let before = self.world.disk.reservations.get(&id).cloned();
        let target = self.target(0);
        let answer = self.world.submit(&Event::Commit { id, n, target });
        if let Some(Ok(Answer::Committed(n))) = answer
            && before.is_some_and(|before| before.state == ReservationState::Held)
        {
            let now = self.world.now;
            self.count(0, self.number(), Change::Add(n), now);
        }
    }

    fn change(&mut self, feature: usize, moves: bool) {
        let old = self.target(feature);
        let org = Some(old.org.clone());
        self.world.deliver(org.clone(), Fault::None);
        self.world.deliver(org, Fault::None);
        let totals = self.world.disk.totals.values();
        let mut of_item = totals.filter(|total| total.item == old.item);
        let is_told = of_item.all(|total| !total.is_undelivered() || total.parked.is_some());
        // An undeliverable set prevents the change.
        if is_told {
            self.items[feature] = (self.items[feature].0 + 1, self.number());
            self.world.stripe.deleted.insert(old.item);
            let now = self.world.now;
            if let Some(meter) = old.meter {
                self.world.meters.removed.insert(meter.id, now);
            }
        }
        self.start();
        if is_told && moves {
            self.take_over(feature);
        }
    }

    /// The change sets the level on the new item, and hands it to the ledger.
    fn take_over(&mut self, feature: usize) {
        let target = self.target(feature);
        let used = self
            .world
            .state
            .used(&target.org, &target.feature, target.period.start);
        if !target.aggregate.is_level() || used.n == 0 {
            return;
        }
        let timestamp = self
            .world
            .now
            .seconds()
            .max(target.period.start.seconds() + 1);
        self.record(&target, timestamp, used.n);
        let taken = Event::TakeOver {
            target,
            n: used.n,
            timestamp,
            from: None,
        };
        while self.world.submit(&taken).is_none() {}
    }

    /// Sets a level as a plan change does.
    fn record(&mut self, target: &Target, timestamp: i64, n: i64) {
        let Some(meter) = target.meter.clone() else {
            let at = Time::from_seconds(timestamp);
            return self.world.stripe.record(&target.item, at, n);
        };
        let event = MeterEvent {
            total: TotalId::default(),
            number: 0,
            org: target.org.clone(),
            feature: target.feature.clone(),
            identifier: format!("level:{}", meter.id),
            item: target.item.clone(),
            meter,
            is_new: false,
            period_end: target.period.end,
            value: n,
            timestamp,
        };
        self.world.meters.receive(&event, None, self.world.now);
    }

    /// Moves late usage from an ended period into the next one.
    fn move_late(&mut self) {
        let disk = &self.world.disk;
        let mut sum = 0;
        for entry in &disk.entries[self.seen..] {
            if matches!(entry.kind, EntryKind::LateIn | EntryKind::LateOut) {
                let start = disk.totals[&entry.total].period.start;
                let number = (start.millis() - START.millis()) / PERIOD;
                *self.model.used.entry((0, number)).or_default() += entry.n;
                sum += entry.n;
            }
        }
        assert_eq!(sum, 0, "late usage was lost or made");
        self.seen = disk.entries.len();
    }

    fn check(&mut self) {
        self.move_late();
        self.world.disk.verify();
        for feature in 0..4 {
            let target = self.target(feature);
            let start = target.period.start;
            let used = self.world.state.used(&target.org, &target.feature, start);
            let expected = self.model.used_in((feature, self.number()));
            assert_eq!(used.n, expected, "{:?}", target.aggregate);
        }
        let reservations = self.world.disk.reservations.values();
        let (mut all, mut committed) = (0, 0);
        for one in reservations {
            all += one.n;
            if let ReservationState::Committed(n) = one.state {
                committed += n;
            }
        }
        assert_eq!(all, self.model.granted.iter().sum::<i64>());
        let entries = self.world.disk.entries.iter();
        let counted = entries.filter(|entry| entry.kind == EntryKind::Commit);
        assert_eq!(counted.map(|entry| entry.n).sum::<i64>(), committed);
    }

    /// Runs without faults until Stripe has everything.
    fn finish(&mut self) {
        self.world.disk_fails = false;
        while !self.world.under_way.is_empty() {
            self.world.arrive();
        }
        // The outcome of an old event is decided an hour after its last repetition.
        let rounds = std::iter::repeat_n(MINUTE, 12);
        let longer = std::iter::repeat_n(30 * MINUTE, if self.on_meters { 6 } else { 0 });
        for wait in longer.chain(rounds) {
            self.world.advance(wait);
            self.start();
            self.world.deliver(None, Fault::None);
            self.check();
        }
        let mut totals: Vec<&Total> = self.world.disk.totals.values().collect();
        totals.sort_by_key(|total| total.period.start);
        let live = totals.iter().filter(|total| total.parked.is_none());
        for total in live {
            assert!(!total.is_undelivered(), "{total:?}");
            let stripe = &self.world.stripe;
            if stripe.deleted.contains(&total.item) && total.aggregate.is_level() && total.n == 0 {
                // The level moved to another item, so this one takes no more sets.
                continue;
            }
            let billed = match &total.meter {
                None => stripe.summary(&total.item, total.period, total.aggregate),
                Some(meter) => {
                    let meters = &self.world.meters;
                    meters.billed(meter, total.period, total.aggregate)
                }
            };
            let is_right = billed == total.n || self.is_decided_later(total, billed);
            assert!(is_right, "{billed}: {total:?}");
        }
        if self.on_meters {
            self.check_level_continues();
        }
    }

    /// A meter has a perpetual level in each period only if it is set there.
    fn check_level_continues(&self) {
        let target = self.target(3);
        let level = self.model.used_in((3, self.number()));
        let totals = self.world.disk.totals.values();
        let of_item = totals.filter(|total| total.item == target.item);
        let (now, before): (Vec<&Total>, Vec<&Total>) =
            of_item.partition(|total| total.period == target.period);
        // After a plan change that does not move the level, the next report does.
        let may_be_lost = before
            .iter()
            .any(|total| total.parked.is_none() && total.n != 0);
        let has_it = now.iter().any(|total| total.n == level);
        assert!(level == 0 || has_it || !may_be_lost);
    }

    fn step(&mut self, op: &Op) {
        self.start();
        match *op {
            Op::Report {
                feature,
                n,
                back,
                key,
            } => self.report(feature, Change::Add(n), back, key),
            Op::Clobber { feature, n } => self.report(feature, Change::SetTotal(n), 0, None),
            Op::Reserve { n, commit } => self.reserve(n, commit),
            Op::Commit { which, n } => self.commit(which, n),
            Op::Release { which } => {
                let id = format!("rsv_{which}").as_str().into();
                self.world.submit(&Event::Release(id));
            }
            Op::Expire => drop(self.world.submit(&Event::Expire)),
            Op::Advance(millis) => self.world.advance(millis),
            Op::Deliver(fault) => self.world.deliver(None, fault),
            Op::Arrive => self.world.arrive(),
            Op::Change { feature, moves } => self.change(feature, moves),
            Op::Crash => self.world.crash(),
            Op::DiskFails => self.world.disk_fails = true,
            Op::Drop => self.drop_event(),
            Op::Retry => self.retry(),
        }
    }

    fn drop_event(&mut self) {
        let Some((total, value)) = self.world.meters.drop_last() else {
            return;
        };
        *self.dropped.entry(total).or_default() += value.min(0).abs();
        // Stripe repeats a report that could not be stored.
        while self.world.submit(&Event::Dropped(total)).is_none() {}
    }

    fn retry(&mut self) {
        let mut totals = self.world.disk.totals.values();
        let dropped = totals.find(|total| {
            // It is not known whether the other totals were counted.
            total.parked.is_some()
                && total.delivery.open.is_none()
                && self.dropped.contains_key(&total.id)
        });
        if let Some(id) = dropped.map(|total| total.id) {
            self.world.submit(&Event::Retry(id));
        }
    }

    /// Whether only the settlement finds the total's dropped usage: the total was not compared, or the loss looks like
    /// usage of another program, like a refund, or like a level that has moved.
    fn is_decided_later(&self, total: &Total, billed: i64) -> bool {
        let Some(refunds) = self.dropped.get(&total.id) else {
            return false;
        };
        let may_be_others = match total.aggregate {
            Aggregate::Sum => billed > total.n && billed - total.n <= *refunds,
            _ => billed > total.n,
        };
        let lacks = total.n - billed;
        let may_be_refunds = lacks > 0 && lacks <= self.world.meters.refunds(total.id);
        let may_have_moved = total.aggregate.is_level() && total.n == 0;
        let is_over = self.world.now >= total.end().plus(55 * MINUTE);
        let was_not_compared = total.delivery.check == Check::BeforeNext && is_over;
        may_be_others || may_be_refunds || may_have_moved || was_not_compared
    }
}

impl Model {
    fn used_in(&self, (feature, number): (usize, i64)) -> i64 {
        if AGGREGATES[feature] != Aggregate::Perpetual {
            return self.used.get(&(feature, number)).copied().unwrap_or(0);
        }
        let earlier = self.used.range((feature, i64::MIN)..=(feature, number));
        earlier.last().map_or(0, |(_, n)| *n)
    }
}

fn run(on_meters: bool, ops: &[Op]) {
    let mut run = Run {
        on_meters,
        world: World::new(),
        model: Model::default(),
        items: [(0, 0); 4],
        seen: 0,
        dropped: HashMap::new(),
    };
    for op in ops {
        run.step(op);
        run.check();
    }
    run.finish();
}

proptest! {
    #[test]
    fn totals_equal_the_accepted_usage_and_reach_stripe(
        ops in prop::collection::vec(op(), 1..80),
    ) {
        run(false, &ops);
    }

    #[test]
    fn totals_on_meters_equal_the_accepted_usage_and_are_billed(
        ops in prop::collection::vec(op(), 1..80),
    ) {
        run(true, &ops);
    }
}

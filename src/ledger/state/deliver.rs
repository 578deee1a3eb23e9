//! Delivery: which totals are sent to Stripe now, and in which sets and [events](super::meter).
//!
//! Stripe keeps one usage record for each item and second. The ledger chooses one second for a total and sets the
//! quantity there repeatedly. A set is numbered and stored before it is handed out, and no newer set is made for the
//! total until it has a definite answer. So an older set never overwrites a newer one, whichever process sends it.

#[cfg(feature = "postgres")]
use std::collections::{BTreeSet, HashMap};

#[cfg(feature = "postgres")]
use super::super::values::{Feature, Org};
use super::super::values::{HOUR, MINUTE, SECOND, Time};
use super::State;
use super::event::{ReadSummary, Seal, Sealed, Set, Summed};
use super::meter;
use super::total::{Check, OpenSet, Total, TotalId};

/// The minimum time between two sets of a total. The request time-out is shorter, so a request has ended by then.
const GAP: i64 = 20 * SECOND;
/// How long before the end of a period, or of an item in it, deliveries stop waiting for more reports.
pub(super) const URGENT: i64 = 2 * MINUTE;
/// How long a set is repeated with the same key. Stripe forgets keys after 24 hours.
pub(super) const REPEATABLE: i64 = 20 * HOUR;

impl State {
    /// Hands out the most urgent sets and summaries, and stores that they were handed out.
    pub(super) fn seal(&mut self, seal: &Seal, now: Time) -> Sealed {
        let mut due = Vec::new();
        for id in self.undelivered.clone() {
            match self.totals.get(&id) {
                Some(total) if has_work(total) && !self.has_continued(total, now) => {
                    if is_due(total, seal, now) {
                        due.push(urgency(total));
                    }
                }
                _ => drop(self.undelivered.remove(&id)),
            }
        }
        due.sort_unstable();
        let mut sealed = Sealed::default();
        for (_, _, id) in due.into_iter().take(seal.max) {
            self.hand_out(id, seal, now, &mut sealed);
        }
        sealed
    }

    fn hand_out(&mut self, id: TotalId, seal: &Seal, now: Time, sealed: &mut Sealed) {
        let Some(mut total) = self.totals.get(&id).cloned() else {
            return;
        };
        if let Some(meter) = total.meter.clone() {
            return self.hand_out_event(total, &meter, seal, now, sealed);
        }
        total.delivery.sent = Some(now);
        if needs_summary(&total, now) {
            sealed.summaries.push(read(&total, Summed::Records));
        } else {
            let open = total.delivery.open.unwrap_or_else(|| OpenSet {
                n: total.n,
                timestamp: timestamp(&total, seal.date),
                since: now,
            });
            if total.delivery.open.is_none() {
                total.delivery.number += 1;
                total.delivery.moved = false;
            }
            total.delivery.open = Some(open);
            total.delivery.timestamp = Some(open.timestamp);
            sealed.sets.push(set(&total, open));
        }
        self.put_total(total, now);
    }
}

/// The orgs of the totals that a seal of all orgs would hand out.
#[cfg(feature = "postgres")]
pub(in crate::ledger) fn due_orgs<'a>(
    totals: impl Iterator<Item = &'a Total> + Clone,
    seal: &Seal,
    now: Time,
) -> BTreeSet<Org> {
    // Without this check, levels that have continued already would be due until they are settled.
    let mut newest: HashMap<(&Org, &Feature), (Time, TotalId)> = HashMap::new();
    for total in totals.clone().filter(|total| meter::may_continue(total)) {
        let last = newest.entry((&total.org, &total.feature)).or_default();
        *last = (*last).max((total.period.start, total.id));
    }
    let has_continued = |total: &Total| {
        let last = newest.get(&(&total.org, &total.feature));
        meter::is_to_continue(total, now) && last.is_some_and(|(_, id)| *id != total.id)
    };
    let due =
        totals.filter(|total| has_work(total) && is_due(total, seal, now) && !has_continued(total));
    let mut due: Vec<&Total> = due.collect();
    due.sort_unstable_by_key(|total| urgency(total));
    let orgs = due.into_iter().take(seal.max);
    orgs.map(|total| total.org.clone()).collect()
}

/// The key by which deliveries are ordered, most urgent first.
fn urgency(total: &Total) -> (Time, Option<Time>, TotalId) {
    (total.end(), total.delivery.changed, total.id)
}

/// Whether the total needs a set, an event or a summary now or later.
pub(in crate::ledger) fn has_work(total: &Total) -> bool {
    let is_live = total.parked.is_none() && total.settled.is_none();
    let is_unread = !total.adopted || total.delivery.check == Check::BeforeNext;
    is_live && (total.is_undelivered() || is_unread || meter::may_continue(total))
}

/// A request for a summary of a total.
pub(super) fn read(total: &Total, of: Summed) -> ReadSummary {
    ReadSummary {
        total: total.id,
        number: total.delivery.number,
        org: total.org.clone(),
        feature: total.feature.clone(),
        item: total.item.clone(),
        period: total.period,
        of,
    }
}

fn is_due(total: &Total, seal: &Seal, now: Time) -> bool {
    if total.meter.is_some() {
        return meter::is_due(total, seal, now);
    }
    let delivery = &total.delivery;
    if let Some(org) = &seal.org {
        return total.org == *org;
    }
    let has_passed = |since: Option<Time>, wait: i64| has_passed(since, wait, now);
    let is_urgent = now >= total.end().plus(-URGENT);
    let is_at_once = is_urgent || delivery.open.is_some();
    // A set that has been answered does not delay the next one.
    let may_follow = has_passed(delivery.sent, GAP) || (is_urgent && delivery.open.is_none());
    may_follow && (is_at_once || has_passed(delivery.changed, seal.deliver_after))
}

/// Whether that long has passed. A clock that was set back must not stop deliveries, so a difference in either
/// direction counts.
pub(super) fn has_passed(since: Option<Time>, wait: i64, now: Time) -> bool {
    since.is_none_or(|since| now.millis().abs_diff(since.millis()) >= wait.unsigned_abs())
}

/// Whether Stripe's summary must be read before anything is sent.
fn needs_summary(total: &Total, now: Time) -> bool {
    let delivery = &total.delivery;
    let is_stale = |open: OpenSet| is_stale(open, now);
    match delivery.open {
        Some(open) => is_stale(open),
        None => !total.adopted || delivery.check == Check::BeforeNext,
    }
}

/// Whether the set is too old to be repeated.
pub(super) fn is_stale(open: OpenSet, now: Time) -> bool {
    now > open.since.plus(REPEATABLE)
}

/// The second at which the total is recorded. It is chosen once, unless another program recorded usage after it.
fn timestamp(total: &Total, date: Time) -> i64 {
    let first = total.period.start.max(total.item_start).seconds() + 1;
    let last = total.end().seconds() - 1;
    match total.delivery.timestamp {
        Some(chosen) if !total.delivery.moved => chosen,
        Some(chosen) => date.seconds().max(chosen + 1).min(last),
        None => date.seconds().max(first).min(last),
    }
}

fn set(total: &Total, open: OpenSet) -> Set {
    let number = total.delivery.number;
    Set {
        total: total.id,
        number,
        org: total.org.clone(),
        feature: total.feature.clone(),
        item: total.item.clone(),
        quantity: open.n,
        timestamp: open.timestamp,
        // A ledger that was lost or restored makes its sets at other times.
        key: format!(
            "set:{}:{}:{number}:{}",
            total.item,
            total.id.0,
            open.since.millis()
        ),
    }
}

//! The used quantity of a feature.

use super::super::values::{Aggregate, Feature, Item, Org, Time};
use super::accept::GRACE;
use super::dropped::park_dropped;
use super::{Answer, Refusal, ReservationState, State, Total, TotalId};

/// The used quantity on one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemUsed {
    /// The item's total.
    pub total: TotalId,
    /// The item.
    pub item: Item,
    /// The usage reported through the ledger, plus the known usage that other programs recorded.
    pub n: i64,
    /// Whether the usage that other programs recorded was read from Stripe.
    pub adopted: bool,
    /// Whether the ledger has a level for the item. A sum always counts as one.
    pub has_level: bool,
    /// The number of the last set; `None` while that set is unanswered.
    pub answered: Option<u64>,
    /// The value of Stripe's summary, as far as the ledger knows.
    pub recorded: i64,
    /// When the period began.
    pub period_start: Time,
    /// With a meter: when an event was last sent for the total. Stripe processes events later.
    pub sent_to_meter: Option<Time>,
}

impl ItemUsed {
    fn of(total: &Total) -> Self {
        let delivered = total.delivery.delivered;
        Self {
            total: total.id,
            item: total.item.clone(),
            n: total.billable(),
            adopted: total.adopted,
            has_level: total.has_level(),
            answered: match total.delivery.open {
                None => Some(total.delivery.number),
                Some(_) => None,
            },
            recorded: match total.aggregate {
                Aggregate::Sum => delivered.saturating_add(total.external),
                Aggregate::Max => delivered.max(total.external),
                Aggregate::Last | Aggregate::Perpetual => delivered,
            },
            period_start: total.period.start,
            sent_to_meter: total.meter.as_ref().and(total.delivery.sent),
        }
    }
}

/// The quantity of a feature that an org has used in a period.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// When the period began.
    pub period_start: Time,
    /// The used quantity on all items, including usage that other programs recorded, without reservations.
    pub n: i64,
    /// Whether it carries over to later periods until the next report.
    pub is_perpetual: bool,
    /// Held reservations: the expiry and units of each.
    pub held: Vec<(Time, i64)>,
    /// The used quantity on each item, in the order in which the items were opened.
    pub items: Vec<ItemUsed>,
}

impl Used {
    /// The units of reservations that are held at `now`.
    pub fn reserved(&self, now: Time) -> i64 {
        let held = self.held.iter().filter(|(expires, _)| now < *expires);
        held.map(|(_, n)| n)
            .fold(0, |sum, n| sum.saturating_add(*n))
    }
}

impl State {
    /// The used quantity of the feature in the period that began at `period_start`.
    pub fn used(&self, org: &Org, feature: &Feature, period_start: Time) -> Used {
        let totals = self.totals_of(org, feature);
        let newest = totals.last();
        Used {
            period_start,
            n: used_of(&totals, period_start),
            is_perpetual: newest.is_some_and(|total| total.aggregate == Aggregate::Perpetual),
            held: self.held_of(org, feature),
            items: {
                let in_period = totals
                    .iter()
                    .filter(|total| total.period.start == period_start);
                in_period.map(|total| ItemUsed::of(total)).collect()
            },
        }
    }

    /// The used quantity of the feature in each period in memory, oldest first.
    pub fn used_by_period(&self, org: &Org, feature: &Feature) -> Vec<Used> {
        let totals = self.totals_of(org, feature);
        let mut starts: Vec<Time> = totals.iter().map(|total| total.period.start).collect();
        starts.dedup();
        if starts.is_empty() && !self.records(org, feature).reservations.is_empty() {
            // Only a reservation exists: no period has usage yet.
            starts.push(Time::default());
        }
        let used = |start| self.used(org, feature, start);
        starts.into_iter().map(used).collect()
    }

    fn held_of(&self, org: &Org, feature: &Feature) -> Vec<(Time, i64)> {
        let held = self.records(org, feature).reservations;
        let held = held.iter().filter_map(|id| self.reservations.get(id));
        held.filter(|reservation| reservation.state == ReservationState::Held)
            .map(|reservation| (reservation.expires, reservation.n))
            .collect()
    }

    /// Settles a total with the quantity on the period's invoice, which can no longer change if it `is_final`.
    pub(super) fn settle(
        &mut self,
        id: TotalId,
        billed: i64,
        is_final: bool,
        now: Time,
    ) -> Result<Answer, Refusal> {
        let mut total = self.total_by_id(id)?;
        if total.settled.is_some() {
            // By another server.
            return Ok(Answer::Ignored);
        }
        let is_over = now >= total.period.end.plus(GRACE);
        if !is_over || total.is_undelivered() || total.parked.is_some() {
            return Err(Refusal::NotSettleable);
        }
        let expected = total.billable();
        let delivered = total.delivery.delivered.max(0);
        // Others may have taken back usage that they had recorded, so `expected` can be too large.
        let dropped = delivered.saturating_sub(billed).min(delivered);
        let may_park = is_final && total.meter.is_some() && total.aggregate == Aggregate::Sum;
        if may_park && dropped > 0 {
            // Stripe has accepted events and dropped them later.
            let reason = "Stripe has accepted it, and has not billed it";
            park_dropped(&mut total, delivered - dropped, reason, now);
        } else {
            total.settled = Some(billed);
        }
        self.put_total(total, now);
        Ok(Answer::Settled { expected, billed })
    }
}

/// The used quantity of a feature's totals in the period that began at `start`.
fn used_of(totals: &[&Total], start: Time) -> i64 {
    let in_period = || totals.iter().filter(|total| total.period.start == start);
    // A perpetual level also holds in a period without a report.
    let newest = in_period().next_back().or(totals.last());
    let Some(newest) = newest else {
        return 0;
    };
    match newest.aggregate {
        Aggregate::Sum => {
            in_period().fold(0, |sum: i64, total| sum.saturating_add(total.billable()))
        }
        Aggregate::Max => in_period().map(|total| total.billable()).max().unwrap_or(0),
        Aggregate::Last => in_period().next_back().map_or(0, |total| total.n),
        Aggregate::Perpetual => newest.n,
    }
}

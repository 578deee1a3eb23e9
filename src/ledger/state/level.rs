//! Levels that continue in the next period, and levels that move from item to item.

use super::super::values::{Aggregate, Period, Target, Time};
use super::open::Draft;
use super::total::{Check, Delivery, EntryKind, Total, TotalId};
use super::{Answer, Refusal, State};

impl State {
    /// Takes over a level that a plan change moved to the target's item and set there. `from` is the target that the
    /// level had before, if that belongs to another subscription.
    pub(super) fn take_over(
        &mut self,
        target: &Target,
        n: i64,
        timestamp: i64,
        from: Option<&Target>,
        now: Time,
    ) -> Result<Answer, Refusal> {
        let mut draft = self.open(target, target.period, now)?;
        let has_left = match from {
            Some(from) => self.leave(&mut draft, from, now)?,
            None => false,
        };
        let has_carried = draft.totals.len() > 1 && from.is_none();
        let main = draft.main();
        // The ledger has read or set the item's level since.
        let is_newer = main.adopted || main.is_undelivered() && main.delivery.number > 0;
        if is_newer && !has_left {
            return Ok(Answer::Ignored);
        }
        if !is_newer {
            main.adopted = true;
            main.delivery.delivered = n;
            main.delivery.in_minute = n;
            main.delivery.timestamp = Some(timestamp);
            let at = main.level_at.unwrap_or(Time::from_seconds(timestamp));
            // With a meter, the ledger's level may be newer than the one that the change found, and is sent.
            if main.meter.is_none() || !has_carried {
                draft.enter(0, EntryKind::CarryIn, n, at)?;
            }
        }
        for previous in &mut draft.totals[1..] {
            // The change clears or removes these items, so Stripe need not be sent 0 for them.
            previous.delivery.delivered = previous.n;
            previous.delivery.unsure = false;
            previous.delivery.check = Check::No;
        }
        self.write(draft, now);
        Ok(Answer::Done)
    }

    /// Removes the level from an item of another subscription. Returns whether there was one.
    fn leave(&self, draft: &mut Draft, from: &Target, now: Time) -> Result<bool, Refusal> {
        if draft.totals.iter().any(|total| total.item == from.item) {
            return Ok(false);
        }
        let mut previous = self.open(from, from.period, now)?;
        let (n, at) = (previous.main().n, previous.main().level_at.unwrap_or(now));
        if n == 0 {
            return Ok(false);
        }
        let index = draft.append(previous);
        draft.enter(index, EntryKind::CarryOut, 0, at)?;
        Ok(true)
    }
}

/// Begins a new period of a known item, in the draft's total at `index`. A perpetual level carries over. Stripe carries
/// it over too, except on a meter, which begins each period without a level.
pub(super) fn continue_from(
    draft: &mut Draft,
    index: usize,
    before: &Total,
) -> Result<(), Refusal> {
    draft.totals[index].adopted = before.adopted;
    if before.aggregate == Aggregate::Perpetual {
        let at = before.level_at.unwrap_or(before.period.start);
        if before.n != 0 {
            draft.enter(index, EntryKind::CarryIn, before.n, at)?;
        }
        if before.meter.is_some() {
            return Ok(());
        }
        let delivery = &mut draft.totals[index].delivery;
        delivery.delivered = before.delivery.delivered;
        delivery.unsure = before.delivery.unsure || before.delivery.open.is_some();
    }
    Ok(())
}

/// The total whose level a new item takes over.
pub(super) fn source<'a>(
    others: &[&'a Total],
    target: &Target,
    period: Period,
) -> Option<&'a Total> {
    let is_perpetual = |total: &Total| {
        let aggregates = [target.aggregate, total.aggregate];
        aggregates
            .iter()
            .all(|aggregate| *aggregate == Aggregate::Perpetual)
    };
    let is_last = |total: &&&Total| {
        let is_over = total.item_start < target.since;
        let is_earlier = is_perpetual(total) && total.period.start < period.start;
        !is_over && (is_earlier || total.period.start == period.start)
    };
    let newest = others.iter().rev().find(is_last).copied();
    newest.filter(|from| target.aggregate.is_level() && from.has_level())
}

/// Moves the level of the total `from` to the main one. An earlier period keeps the level that it was billed with.
pub(super) fn carry(draft: &mut Draft, from: &Total, now: Time) -> Result<(), Refusal> {
    let (n, at) = (from.n, from.level_at.unwrap_or(now));
    let period = draft.main().period;
    let index = draft.totals.len();
    if from.period.start < period.start {
        draft.totals.push(Total {
            id: TotalId::default(),
            period,
            n: 0,
            level_at: None,
            external: 0,
            delivery: Delivery::default(),
            parked: None,
            settled: None,
            ..from.clone()
        });
        continue_from(draft, index, from)?;
    } else {
        draft.totals.push(from.clone());
    }
    draft.enter(index, EntryKind::CarryOut, 0, at)?;
    draft.enter(0, EntryKind::CarryIn, n, at)
}

//! Usage that was reported between a change's look at it and its write. Stripe has billed it with the phase that ended, and
//! the figure lacks it.

use super::Carry;
use crate::billing::{InvoiceLine, Metadata, Subscription};
use crate::domain::revision::Revision;
use crate::domain::schedule::charge::CLOCK_SKEW;
use crate::domain::usage::{Billed, Figure};
use crate::domain::{Domain, Failure};

impl Carry {
    /// The figures as they are once all that `lines` bill is counted, where that is more than was seen.
    fn corrected(&self, lines: &[InvoiceLine], after: &Subscription) -> Metadata {
        let Some(look) = &self.look else {
            return Metadata::new();
        };
        let mut corrected = Metadata::new();
        for billed in Billed::of(lines, after) {
            let seen = look.used.get(&billed.item).copied().unwrap_or(0);
            let late = billed.quantity.saturating_sub(seen);
            if billed.is_level() || late <= 0 {
                continue;
            }
            let key = Figure::key(&billed.feature);
            let noted = corrected.get(&key).or_else(|| self.figures.get(&key));
            let noted = noted.and_then(|noted| noted.parse().ok());
            let mut figure: Figure = noted.unwrap_or(look.nothing);
            figure.n = figure.n.saturating_add(late);
            corrected.insert(key, figure.to_string());
        }
        corrected
    }
}

impl Domain {
    /// Corrects the figures of a change that made `after` of `before`, by the invoice of the phase that it ended. Says whether
    /// there was anything to correct.
    pub(in crate::domain::schedule) async fn count_late_usage(
        &self,
        before: &Subscription,
        after: &Subscription,
        carry: &Carry,
        revision: &Revision,
    ) -> Result<bool, Failure> {
        let Some(look) = carry.look.as_ref() else {
            return Ok(false);
        };
        let held = |item: &str| after.items.data.iter().any(|own| own.id == *item);
        if look.used.keys().all(|item| held(item)) {
            return Ok(false);
        }
        // Where a period begins, it has an invoice of its own beside that of the phase that ended.
        let invoices = self
            .invoices_since(&after.id, look.nothing.as_of - CLOCK_SKEW)
            .await?;
        let lines = invoices.into_iter().flat_map(|invoice| invoice.lines.data);
        let own = |line: &InvoiceLine| {
            let item = line.subscription_item.as_ref();
            item.is_some_and(|item| look.used.contains_key(item))
                && line.period.start >= before.current_period_start
        };
        let lines: Vec<InvoiceLine> = lines.filter(own).collect();
        let corrected = carry.corrected(&lines, after);
        if corrected.is_empty() {
            return Ok(false);
        }
        self.note_on(&after.id, corrected, "late", revision).await?;
        Ok(true)
    }
}

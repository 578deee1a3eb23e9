//! Counts usage that was reported between the read and the write of a change. Stripe bills it with the phase that
//! ended, but the figure that the change noted does not include it.

use super::Transfer;
use crate::billing::{Invoice, InvoiceLine, Metadata, Subscription};
use crate::domain::revision::Revision;
use crate::domain::schedule::usage_charge::CLOCK_SKEW;
use crate::domain::usage::{Billed, Figure};
use crate::domain::{Domain, Failure};

impl Transfer {
    /// The figures that must be raised because `lines` bill more than the change had read.
    fn corrected(&self, lines: &[InvoiceLine], after: &Subscription) -> Metadata {
        let Some(basis) = &self.basis else {
            return Metadata::new();
        };
        let mut corrected = Metadata::new();
        for billed in Billed::of(lines, after) {
            let counted = basis.used.get(&billed.item).copied().unwrap_or(0);
            let late = billed.quantity.saturating_sub(counted);
            if billed.is_level() || late <= 0 {
                continue;
            }
            let key = Figure::key(&billed.feature);
            let noted = corrected.get(&key).or_else(|| self.figures.get(&key));
            let noted = noted.and_then(|noted| noted.parse().ok());
            let mut figure: Figure = noted.unwrap_or(basis.zero);
            figure.n = figure.n.saturating_add(late);
            corrected.insert(key, figure.to_string());
        }
        corrected
    }
}

impl Domain {
    /// Corrects the figures noted by the change from `before` to `after`, using the invoice of the phase that it ended.
    /// Returns whether there was anything to correct.
    pub(in crate::domain::schedule) async fn count_late_usage(
        &self,
        before: &Subscription,
        after: &Subscription,
        transfer: &Transfer,
        revision: &Revision,
    ) -> Result<bool, Failure> {
        let Some(basis) = transfer.basis.as_ref() else {
            return Ok(false);
        };
        let has_item = |item: &str| after.items.iter().any(|kept| kept.id == *item);
        if basis.used.keys().all(|item| has_item(item)) {
            return Ok(false);
        }
        // A change that starts a new period creates a second invoice, besides that of the phase that ended.
        let invoices = self
            .invoices_since(&after.id, basis.zero.as_of - CLOCK_SKEW)
            .await?;
        let lines = invoices.into_iter().flat_map(Invoice::into_lines);
        let is_concerned = |line: &InvoiceLine| {
            let item = line.subscription_item.as_ref();
            item.is_some_and(|item| basis.used.contains_key(item))
                && line.period.start >= before.current_period_start
        };
        let lines: Vec<InvoiceLine> = lines.filter(is_concerned).collect();
        let corrected = transfer.corrected(&lines, after);
        if corrected.is_empty() {
            return Ok(false);
        }
        self.note_on(&after.id, corrected, "late", revision).await?;
        Ok(true)
    }
}

//! The note about invoices that nobody had paid when time that they charge for was given back.

use crate::stripe::types::{Invoice, Subscription};

/// The metadata key of the note.
pub(super) const UNPAID: &str = "tier.unpaid";

/// How many invoices a note has room for.
const MAX_NOTED: usize = 14;

/// Invoices that nobody had paid when time that they charge for was given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::domain::schedule) struct Unpaid {
    pub(super) given_back: GivenBack,
    pub(super) invoices: Vec<String>,
}

/// Which time is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenBack {
    /// That of all items, from the end of the subscription on.
    AtEnd,
    /// That of all items, from then on: a period begins.
    All(i64),
    /// That of the items that go, from then on.
    Going(i64),
}

impl Unpaid {
    pub(super) fn new(given_back: GivenBack, invoices: &[Invoice]) -> Self {
        let ids = invoices.iter().map(|invoice| invoice.id.clone());
        Self {
            given_back,
            invoices: ids.take(MAX_NOTED).collect(),
        }
    }

    pub(super) fn note(&self) -> String {
        let invoices = self.invoices.join(" ");
        match self.given_back {
            GivenBack::AtEnd => format!("end - {invoices}"),
            GivenBack::All(at) => format!("all {at} {invoices}"),
            GivenBack::Going(at) => format!("going {at} {invoices}"),
        }
    }

    fn read(note: &str) -> Option<Self> {
        let mut words = note.split(' ');
        let (kind, at) = (words.next()?, words.next()?);
        let given_back = match kind {
            "end" => GivenBack::AtEnd,
            "all" => GivenBack::All(at.parse().ok()?),
            "going" => GivenBack::Going(at.parse().ok()?),
            _ => return None,
        };
        Some(Self {
            given_back,
            invoices: words.map(str::to_owned).collect(),
        })
    }

    /// What is noted on a subscription. The note of an end counts once that has come about.
    pub(in crate::domain::schedule) fn noted(subscription: &Subscription) -> Option<Self> {
        let noted = Self::read(subscription.metadata.get(UNPAID)?)?;
        let due = noted.given_back != GivenBack::AtEnd || subscription.ended_at.is_some();
        due.then_some(noted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_what_was_written() {
        for (given_back, text) in [
            (GivenBack::AtEnd, "end - in_1 in_2"),
            (GivenBack::All(7), "all 7 in_1 in_2"),
            (GivenBack::Going(7), "going 7 in_1 in_2"),
        ] {
            let invoices = vec!["in_1".to_owned(), "in_2".to_owned()];
            let unpaid = Unpaid {
                given_back,
                invoices,
            };
            assert_eq!(unpaid.note(), text);
            assert_eq!(Unpaid::read(text), Some(unpaid));
        }
        for text in ["", "all", "all x in_1", "some 7 in_1"] {
            assert_eq!(Unpaid::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_note_fits() {
        let invoice = || Invoice {
            id: format!("in_{}", "x".repeat(24)),
            ..serde_json::from_value(serde_json::json!({"id": "", "lines": {"data": []}}))
                .expect("an invoice")
        };
        let many: Vec<Invoice> = std::iter::repeat_with(invoice).take(99).collect();
        let note = Unpaid::new(GivenBack::Going(1_672_531_200), &many).note();
        assert!(note.len() <= 500, "{}", note.len());
    }
}

//! Charges for usage that Stripe does not bill. If an item is removed in the second in which its phase began, no phase
//! ends, and Stripe bills none of the item's usage.
//!
//! The change notes the charge in the subscription's metadata, and an invoice item bills it afterwards. So a charge
//! survives failed calls and restarts. Its name, which is on the invoice item too, makes sure that it is billed once.

use std::fmt;
use std::str::FromStr;

use super::proration::TIME;
use crate::billing::{InvoiceItem, Metadata, NewInvoiceItem, Period, Subscription};
use crate::domain::revision::Revision;
use crate::domain::{Domain, Failure, Result};
use crate::stripe;

/// The prefix of a charge's metadata key.
const PREFIX: &str = "tier.c.";

/// The metadata key by which an invoice item names its charge.
pub(super) const CHARGE: &str = "tier.charge";

/// How far Stripe's clock may be behind the local one, in seconds.
pub(super) const CLOCK_SKEW: i64 = 300;

/// A charge for the usage of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UsageCharge {
    /// Cents before discounts.
    pub(super) amount: i64,
    pub(super) currency: String,
    /// Units.
    pub(super) used: i64,
    /// Unix seconds.
    pub(super) as_of: i64,
    pub(super) feature: String,
}

impl fmt::Display for UsageCharge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            amount,
            currency,
            used,
            as_of,
            feature,
        } = self;
        write!(f, "{amount} {currency} {used} {as_of} {feature}")
    }
}

impl FromStr for UsageCharge {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.splitn(5, ' ');
        let mut word = || words.next().ok_or(());
        let number = |word: &str| word.parse().map_err(drop);
        Ok(Self {
            amount: number(word()?)?,
            currency: word()?.to_owned(),
            used: number(word()?)?,
            as_of: number(word()?)?,
            feature: word()?.to_owned(),
        })
    }
}

impl UsageCharge {
    /// The metadata that notes charges, for a change to `revision`.
    pub(super) fn notes(charges: &[Self], revision: u64) -> Metadata {
        let note =
            |(i, charge): (usize, &Self)| (format!("{PREFIX}{revision}.{i}"), charge.to_string());
        charges.iter().enumerate().map(note).collect()
    }

    /// The charges noted on a subscription, by metadata key.
    pub(super) fn noted(subscription: &Subscription) -> impl Iterator<Item = (&String, Self)> {
        let notes = subscription.metadata.iter();
        let notes = notes.filter(|(key, _)| key.starts_with(PREFIX));
        notes.filter_map(|(key, note)| Some((key, note.parse().ok()?)))
    }
}

/// An amount that is added to a customer's next invoice.
pub(super) struct Adjustment<'a> {
    /// A name that identifies it, so that it is added once.
    pub(super) name: &'a str,
    pub(super) amount: i64,
    pub(super) currency: &'a str,
    pub(super) description: String,
    /// The earliest time at which it can have been added, in Unix seconds.
    pub(super) since: i64,
    /// The price and the period, if it credits time.
    pub(super) time: Option<(&'a str, Period)>,
    /// Whether discounts of the invoice apply to it.
    pub(super) is_discountable: bool,
}

impl Adjustment<'_> {
    /// The metadata of its invoice item.
    fn metadata(&self) -> Metadata {
        let charge = (CHARGE.to_owned(), self.name.to_owned());
        let time = self
            .time
            .map(|(price, _)| (TIME.to_owned(), price.to_owned()));
        [charge].into_iter().chain(time).collect()
    }
}

impl Domain {
    /// Bills the charges noted on a subscription. Adds the key of each billed note to `done`. If the change was
    /// `just_made`, none can have been billed yet.
    pub(super) async fn charge_noted(
        &self,
        customer: &str,
        subscription: &Subscription,
        just_made: bool,
        revision: &Revision,
        done: &mut Metadata,
    ) -> Result<(), Failure> {
        for (key, charge) in UsageCharge::noted(subscription) {
            let name = format!("{}:{}", subscription.id, &key[PREFIX.len()..]);
            let adjustment = Adjustment {
                name: &name,
                amount: charge.amount,
                currency: &charge.currency,
                description: format!("{} × {}", charge.used, charge.feature),
                since: charge.as_of,
                time: None,
                is_discountable: true,
            };
            let charged = self
                .add_to_next_invoice(customer, subscription, &adjustment, just_made, revision)
                .await;
            match charged {
                Err(error) if error.is_invalid_request() && !error.is_replayed() => {
                    // The note stays, so that the next request tries again. Nothing else depends on it.
                    tracing::error!(%error, customer, name, "usage cannot be charged");
                }
                charged => {
                    charged?;
                    done.insert(key.clone(), String::new());
                }
            }
        }
        Ok(())
    }

    /// Adds an amount to the next invoice, once. Stripe keeps idempotency keys for a day only, so the customer's
    /// invoice items are checked first.
    pub(super) async fn add_to_next_invoice(
        &self,
        customer: &str,
        subscription: &Subscription,
        adjustment: &Adjustment<'_>,
        just_made: bool,
        revision: &Revision,
    ) -> Result<(), stripe::Error> {
        let is_live = subscription.ended_at.is_none();
        let is_final = !is_live && adjustment.amount > 0;
        let added = if just_made && revision.is_first() {
            None
        } else {
            self.find_added(customer, adjustment).await?
        };
        if let Some(item) = added {
            let is_pending = is_final && item.invoice.is_none();
            return if is_pending {
                self.invoice_pending(customer, adjustment, revision).await
            } else {
                Ok(())
            };
        }
        let create = self.billing().create_invoice_item(&NewInvoiceItem {
            customer,
            subscription: is_live.then_some(subscription.id.as_str()),
            amount: adjustment.amount,
            currency: adjustment.currency,
            description: &adjustment.description,
            metadata: &adjustment.metadata(),
            period: adjustment.time.map(|(_, period)| period),
            is_discountable: adjustment.is_discountable,
        });
        let name = format!("charge:{}", adjustment.name);
        let key = revision.key_at_any_revision(&if is_live { name } else { name + ":ended" });
        match create.key(key).send().await {
            // Another server may have ended the subscription since it was read.
            Err(error) if is_live && error.is_invalid_request() => {
                let subscription = self.billing().subscription(&subscription.id).await?;
                if subscription.ended_at.is_none() {
                    return Err(error);
                }
                let again =
                    self.add_to_next_invoice(customer, &subscription, adjustment, false, revision);
                return Box::pin(again).await;
            }
            added => drop(added?),
        }
        if is_final {
            self.invoice_pending(customer, adjustment, revision).await?;
        }
        Ok(())
    }

    /// Invoices pending items. After a subscription has ended, Stripe creates no more invoices by itself.
    async fn invoice_pending(
        &self,
        customer: &str,
        adjustment: &Adjustment<'_>,
        revision: &Revision,
    ) -> Result<(), stripe::Error> {
        let key = revision.key_at_any_revision(&format!("invoice:{}", adjustment.name));
        let invoice = self.billing().invoice_pending_items(customer);
        invoice.key(key).send().await.map(drop)
    }

    /// The invoice item of an adjustment that was added before.
    async fn find_added(
        &self,
        customer: &str,
        adjustment: &Adjustment<'_>,
    ) -> Result<Option<InvoiceItem>, stripe::Error> {
        let since = adjustment.since - CLOCK_SKEW;
        let items = self.billing().invoice_items_since(customer, since).await?;
        let named = |item: &InvoiceItem| {
            item.metadata
                .get(CHARGE)
                .is_some_and(|name| name == adjustment.name)
        };
        Ok(items.into_iter().find(named))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_is_read_as_it_was_noted() {
        let charge = UsageCharge {
            amount: 150,
            currency: "usd".into(),
            used: 15,
            as_of: 1_672_531_200,
            feature: "feature:calls@plan:p@1".into(),
        };
        let text = "150 usd 15 1672531200 feature:calls@plan:p@1";
        assert_eq!(charge.to_string(), text);
        assert_eq!(text.parse(), Ok(charge.clone()));
        for text in ["", "150", "150 usd 15 1672531200", "x usd 15 1 f"] {
            assert_eq!(text.parse::<UsageCharge>(), Err(()), "{text}");
        }
        let notes = UsageCharge::notes(&[charge.clone(), charge], 7);
        let keys: Vec<&str> = notes.keys().map(String::as_str).collect();
        assert_eq!(keys, ["tier.c.7.0", "tier.c.7.1"]);
    }
}

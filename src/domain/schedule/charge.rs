//! Usage that no phase's end bills: Stripe bills none of an item that goes in the second in which its phase began.
//!
//! What it would have billed is noted in the subscription's metadata by the change itself, and charged afterwards by an
//! invoice item. So a charge is lost neither with its call nor with this process, and the note's name makes it happen
//! once.

use std::fmt;
use std::str::FromStr;

use super::unpaid::TIME;
use crate::billing::{InvoiceItem, Metadata, NewInvoiceItem, Period, Subscription};
use crate::domain::revision::Revision;
use crate::domain::{Domain, Failure, Result};
use crate::stripe;

/// What the metadata key of a charge begins with.
const PREFIX: &str = "tier.c.";

/// The metadata key by which an invoice item says which charge it is.
pub(super) const CHARGE: &str = "tier.charge";

/// How far Stripe's clock may be behind ours, in seconds.
pub(super) const CLOCK_SKEW: i64 = 300;

/// Usage of one item that is to be charged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Charge {
    /// Cents, discounts not deducted.
    pub(super) amount: i64,
    pub(super) currency: String,
    /// Units.
    pub(super) used: i64,
    /// Unix seconds.
    pub(super) as_of: i64,
    pub(super) feature: String,
}

impl fmt::Display for Charge {
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

impl FromStr for Charge {
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

impl Charge {
    /// Charges as they are noted by a change that makes the revision `made`.
    pub(super) fn notes(charges: &[Self], made: u64) -> Metadata {
        let note =
            |(i, charge): (usize, &Self)| (format!("{PREFIX}{made}.{i}"), charge.to_string());
        charges.iter().enumerate().map(note).collect()
    }

    /// The charges that are noted on a subscription, by metadata key.
    pub(super) fn noted(subscription: &Subscription) -> impl Iterator<Item = (&String, Self)> {
        let notes = subscription.metadata.iter();
        let notes = notes.filter(|(key, _)| key.starts_with(PREFIX));
        notes.filter_map(|(key, note)| Some((key, note.parse().ok()?)))
    }
}

/// An amount that a customer's next invoice is to have.
pub(super) struct Extra<'a> {
    /// What makes it happen once.
    pub(super) name: &'a str,
    pub(super) amount: i64,
    pub(super) currency: &'a str,
    pub(super) description: String,
    /// Unix seconds: it was not asked for before.
    pub(super) since: i64,
    /// The time that is given back, and the price that it was charged at.
    pub(super) time: Option<(&'a str, Period)>,
    /// Whether discounts of the next invoice apply.
    pub(super) is_discountable: bool,
}

impl Extra<'_> {
    /// What its invoice item says of it.
    fn metadata(&self) -> Metadata {
        let charge = (CHARGE.to_owned(), self.name.to_owned());
        let time = self
            .time
            .map(|(price, _)| (TIME.to_owned(), price.to_owned()));
        [charge].into_iter().chain(time).collect()
    }
}

impl Domain {
    /// Charges what is noted on a subscription. What is done is added to `done`. `fresh`: nobody can have tried before.
    pub(super) async fn charge_noted(
        &self,
        customer: &str,
        subscription: &Subscription,
        fresh: bool,
        revision: &Revision,
        done: &mut Metadata,
    ) -> Result<(), Failure> {
        for (key, charge) in Charge::noted(subscription) {
            let name = format!("{}:{}", subscription.id, &key[PREFIX.len()..]);
            let extra = Extra {
                name: &name,
                amount: charge.amount,
                currency: &charge.currency,
                description: format!("{} × {}", charge.used, charge.feature),
                since: charge.as_of,
                time: None,
                is_discountable: true,
            };
            let charged = self
                .add_to_next_invoice(customer, subscription, &extra, fresh, revision)
                .await;
            match charged {
                Err(error) if error.is_invalid_request() && !error.is_replayed() => {
                    // The note stays, so that the next call tries again, and nothing else waits for it.
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

    /// Adds an amount to the next invoice, once: Stripe keeps idempotency keys for a day, and what is older is looked up.
    pub(super) async fn add_to_next_invoice(
        &self,
        customer: &str,
        subscription: &Subscription,
        extra: &Extra<'_>,
        fresh: bool,
        revision: &Revision,
    ) -> Result<(), stripe::Error> {
        let live = subscription.ended_at.is_none();
        let is_final = !live && extra.amount > 0;
        let added = if fresh && revision.is_first() {
            None
        } else {
            self.added(customer, extra).await?
        };
        if let Some(item) = added {
            let waits = is_final && item.invoice.is_none();
            return if waits {
                self.invoice_what_waits(customer, extra, revision).await
            } else {
                Ok(())
            };
        }
        let create = self.billing().create_invoice_item(&NewInvoiceItem {
            customer,
            subscription: live.then_some(subscription.id.as_str()),
            amount: extra.amount,
            currency: extra.currency,
            description: &extra.description,
            metadata: &extra.metadata(),
            period: extra.time.map(|(_, period)| period),
            is_discountable: extra.is_discountable,
        });
        let name = format!("charge:{}", extra.name);
        let key = revision.fixed(&if live { name } else { name + ":ended" });
        match create.key(key).send().await {
            // Another server may have ended it since we looked.
            Err(error) if live && error.is_invalid_request() => {
                let subscription = self.billing().subscription(&subscription.id).await?;
                if subscription.ended_at.is_none() {
                    return Err(error);
                }
                let again =
                    self.add_to_next_invoice(customer, &subscription, extra, false, revision);
                return Box::pin(again).await;
            }
            added => drop(added?),
        }
        if is_final {
            self.invoice_what_waits(customer, extra, revision).await?;
        }
        Ok(())
    }

    /// Where the subscription has ended, no invoice comes by itself.
    async fn invoice_what_waits(
        &self,
        customer: &str,
        extra: &Extra<'_>,
        revision: &Revision,
    ) -> Result<(), stripe::Error> {
        let key = revision.fixed(&format!("invoice:{}", extra.name));
        let invoice = self.billing().invoice_pending_items(customer);
        invoice.key(key).send().await.map(drop)
    }

    async fn added(
        &self,
        customer: &str,
        extra: &Extra<'_>,
    ) -> Result<Option<InvoiceItem>, stripe::Error> {
        let since = extra.since - CLOCK_SKEW;
        let items = self.billing().invoice_items_since(customer, since).await?;
        let named = |item: &InvoiceItem| {
            item.metadata
                .get(CHARGE)
                .is_some_and(|name| name == extra.name)
        };
        Ok(items.into_iter().find(named))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_is_what_was_noted() {
        let charge = Charge {
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
            assert_eq!(text.parse::<Charge>(), Err(()), "{text}");
        }
        let notes = Charge::notes(&[charge.clone(), charge], 7);
        let keys: Vec<&str> = notes.keys().map(String::as_str).collect();
        assert_eq!(keys, ["tier.c.7.0", "tier.c.7.1"]);
    }
}

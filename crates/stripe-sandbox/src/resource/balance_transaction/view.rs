//! The JSON of balance transactions at 2022-11-15.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{PREFIX, id_of};
use crate::money::period::DAY;
use crate::money::{currency, round_half_up};
use crate::resource::charge::Charge;
use crate::resource::refund::Refund;
use crate::store::account::Account;
use crate::store::ids::Id;
use crate::store::table::Row;

/// How long it takes until the money is available.
const PENDING: i64 = 2 * DAY;

/// A balance transaction, derived from a charge or a refund.
#[derive(Debug)]
pub(crate) struct BalanceTransaction<'a> {
    pub(super) id: Id,
    /// The charge or the refund.
    pub(super) source: &'a Id,
    pub(super) customer: Option<&'a Id>,
    /// Stripe's `type`, and also its `reporting_category`.
    pub(super) kind: &'static str,
    pub(crate) created: i64,
    pub(crate) currency: currency::Currency,
    /// In cents, negative for a refund.
    pub(crate) amount: i64,
    pub(crate) description: Option<String>,
}

impl Row for BalanceTransaction<'_> {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl<'a> BalanceTransaction<'a> {
    /// The transaction of a charge; `None` until it is captured.
    pub(crate) fn of_charge(charge: &'a Charge) -> Option<Self> {
        Some(Self {
            id: id_of(&charge.id),
            source: &charge.id,
            customer: charge.customer.as_ref(),
            kind: "charge",
            created: charge.captured_at?,
            currency: charge.currency,
            amount: charge.captured,
            description: charge.description.clone(),
        })
    }

    pub(crate) fn of_refund(account: &'a Account, refund: &'a Refund) -> Self {
        let charge = account.payments.charges.get(&refund.charge);
        let of = charge.and_then(|charge| charge.description.as_ref());
        let of = of.map_or_else(String::new, |text| format!(" ({text})"));
        Self {
            id: id_of(&refund.id),
            source: &refund.id,
            customer: charge.and_then(|charge| charge.customer.as_ref()),
            kind: "refund",
            created: refund.created,
            currency: refund.currency,
            amount: -refund.amount,
            description: Some(format!("REFUND FOR CHARGE{of}")),
        }
    }

    fn find(account: &'a Account, id: &str) -> Option<Self> {
        let suffix = id.strip_prefix(PREFIX)?;
        let payments = &account.payments;
        let charge = payments.charges.get(&format!("ch_{suffix}"));
        charge.and_then(Self::of_charge).or_else(|| {
            let refund = payments.refunds.get(&format!("re_{suffix}"))?;
            Some(Self::of_refund(account, refund))
        })
    }

    /// Stripe's fee for a charge: 2.9 % and 30 cents, as in the United States (our choice for other currencies). A
    /// refund does not return it.
    fn fee(&self) -> i64 {
        if self.amount <= 0 {
            return 0;
        }
        let percent = Decimal::new(29, 3);
        round_half_up(Decimal::from(self.amount) * percent) + 30
    }

    /// The JSON at the account's time `now`.
    pub(crate) fn to_json(&self, account: &Account, now: i64) -> Value {
        let now = self.customer.map_or(now, |id| account.time_of(id, now));
        let available_on = self.created + PENDING;
        let (fee, currency) = (self.fee(), self.currency.as_str());
        let details = json!({
            "amount": fee,
            "application": null,
            "currency": currency,
            "description": "Stripe processing fees",
            "type": "stripe_fee",
        });
        json!({
            "id": &*self.id,
            "object": "balance_transaction",
            "amount": self.amount,
            "available_on": available_on,
            "created": self.created,
            "currency": currency,
            "description": self.description,
            "exchange_rate": null,
            "fee": fee,
            "fee_details": Some(details).filter(|_| fee > 0).into_iter().collect::<Vec<_>>(),
            "net": self.amount - fee,
            "reporting_category": self.kind,
            "source": &**self.source,
            "status": if now < available_on { "pending" } else { "available" },
            "type": self.kind,
        })
    }
}

/// The JSON of a transaction by its id, for `expand[]`.
pub(crate) fn render(account: &Account, now: i64, id: &str) -> Option<Value> {
    Some(BalanceTransaction::find(account, id)?.to_json(account, now))
}

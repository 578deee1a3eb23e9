//! Balance transactions: what a charge or a refund does to the account's balance. They are read off the charges and
//! refunds that make them, and are not kept.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::charge::Charge;
use super::refund::Refund;
use super::routes::{Route, route};
use crate::error::{Error, Result};
use crate::money::period::DAY;
use crate::money::{currency, round_half_up};
use crate::params::Params;
use crate::params::filter::Created;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;
use crate::store::state::Account;
use crate::store::table::Row;

const URL: &str = "/v1/balance_transactions";
const WHAT: &str = "balance transaction";
const PREFIX: &str = "txn_";

pub(crate) const ROUTES: &[Route] = &[
    route("GET", URL, list, "list:balance_transaction"),
    route(
        "GET",
        "/v1/balance_transactions/:id",
        retrieve,
        "balance_transaction",
    ),
];

/// How long it takes until the money is there.
const PENDING: i64 = 2 * DAY;

/// All that Stripe knows; the sandbox has the first and the last.
const TYPES: &[&str] = &[
    "charge",
    "adjustment",
    "advance",
    "advance_funding",
    "anticipation_repayment",
    "application_fee",
    "application_fee_refund",
    "connect_collection_transfer",
    "contribution",
    "issuing_authorization_hold",
    "issuing_authorization_release",
    "issuing_dispute",
    "issuing_transaction",
    "payment",
    "payment_failure_refund",
    "payment_refund",
    "payment_reversal",
    "payout",
    "payout_cancel",
    "payout_failure",
    "refund_failure",
    "reserve_transaction",
    "reserved_funds",
    "stripe_fee",
    "stripe_fx_fee",
    "tax_fee",
    "topup",
    "topup_reversal",
    "transfer",
    "transfer_cancel",
    "transfer_failure",
    "transfer_refund",
    "refund",
];

/// See the module's text.
#[derive(Debug)]
struct Transaction<'a> {
    id: Id,
    /// The charge or the refund.
    source: &'a Id,
    customer: Option<&'a Id>,
    /// Stripe's `type`, which is its `reporting_category`, too.
    kind: &'static str,
    created: i64,
    currency: currency::Currency,
    /// In cents, negative for a refund.
    amount: i64,
    description: Option<String>,
}

impl Row for Transaction<'_> {
    fn id(&self) -> &Id {
        &self.id
    }
}

/// The id of the transaction that a charge or a refund has made.
pub(crate) fn id_of(source: &str) -> Id {
    let own = source.split_once('_').map_or(source, |(_, own)| own);
    format!("{PREFIX}{own}").into()
}

impl<'a> Transaction<'a> {
    /// What a charge brought, once it was captured.
    fn of_charge(charge: &'a Charge) -> Option<Self> {
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

    fn of_refund(account: &'a Account, refund: &'a Refund) -> Self {
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
        let own = id.strip_prefix(PREFIX)?;
        let payments = &account.payments;
        let charge = payments.charges.get(&format!("ch_{own}"));
        charge.and_then(Self::of_charge).or_else(|| {
            let refund = payments.refunds.get(&format!("re_{own}"))?;
            Some(Self::of_refund(account, refund))
        })
    }

    /// What Stripe keeps of a charge: 2.9 % and 30 cents, as in the United States (our choice for other currencies).
    /// It is not given back with a refund.
    fn fee(&self) -> i64 {
        if self.amount <= 0 {
            return 0;
        }
        let percent = Decimal::new(29, 3);
        round_half_up(Decimal::from(self.amount) * percent) + 30
    }

    /// As it is at the account's time `now`.
    fn to_json(&self, account: &Account, now: i64) -> Value {
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

/// Renders a transaction by its id, for `expand[]`.
pub(crate) fn render(account: &Account, now: i64, id: &str) -> Option<Value> {
    Some(Transaction::find(account, id)?.to_json(account, now))
}

/// `GET /v1/balance_transactions`, newest first. There are no payouts.
fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    let created = Created::read(params)?;
    let of = currency::read(params, "currency")?;
    let source = params.string("source")?;
    let kind = params.one_of("type", TYPES)?;
    params.unmodelled(&["payout"])?;
    params.finish()?;
    let payments = &ctx.account.payments;
    let charges = payments.charges.iter().filter_map(Transaction::of_charge);
    let refunds = payments.refunds.iter();
    let refunds = refunds.map(|refund| Transaction::of_refund(ctx.account, refund));
    let mut all: Vec<Transaction<'_>> = charges
        .chain(refunds)
        .filter(|one| {
            created.accepts(one.created)
                && of.is_none_or(|currency| one.currency == currency)
                && source.is_none_or(|id| **one.source == *id)
                && kind.is_none_or(|kind| one.kind == kind)
        })
        .collect();
    all.reverse();
    all.sort_by_key(|one| std::cmp::Reverse(one.created));
    let rows: Vec<&Transaction<'_>> = all.iter().collect();
    let cut = page.of_rows(&rows, WHAT)?;
    Ok(cut.to_json(URL, |one| one.to_json(ctx.account, ctx.now)))
}

/// `GET /v1/balance_transactions/:id`
fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    let id = ctx.arg(0);
    render(ctx.account, ctx.now, &id).ok_or_else(|| Error::not_found(WHAT, &id))
}

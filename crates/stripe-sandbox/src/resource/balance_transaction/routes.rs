//! `/v1/balance_transactions`

use serde_json::Value;

use super::NAME;
use super::view::{BalanceTransaction, render};
use crate::error::{Error, Result};
use crate::money::currency::Currency;
use crate::params::Params;
use crate::params::filter::Created;
use crate::resource::route::Route;
use crate::store::context::Ctx;
use crate::store::page::Page;

const URL: &str = "/v1/balance_transactions";

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new("GET", URL, "list:balance_transaction", read_list, list),
        Route::without_params(
            "GET",
            "/v1/balance_transactions/:id",
            "balance_transaction",
            retrieve,
        ),
    ]
}

/// All types that Stripe has; the sandbox models the first and the last.
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

/// The filter of a list.
struct Filter {
    page: Page,
    created: Created,
    currency: Option<Currency>,
    source: Option<String>,
    kind: Option<&'static str>,
}

fn read_list(_: &Ctx<'_>, params: &Params<'_>) -> Result<Filter> {
    let filter = Filter {
        page: Page::read(params)?,
        created: Created::read(params)?,
        currency: params.currency("currency")?,
        source: params.string("source")?.map(str::to_owned),
        kind: params.one_of("type", TYPES)?,
    };
    params.unmodelled(&["payout"])?;
    Ok(filter)
}

/// `GET /v1/balance_transactions`, newest first. The sandbox has no payouts.
fn list(ctx: &mut Ctx<'_>, filter: Filter) -> Result<Value> {
    let source = filter.source.as_deref();
    let payments = &ctx.account.payments;
    let charges = payments
        .charges
        .iter()
        .filter_map(BalanceTransaction::of_charge);
    let refunds = payments.refunds.iter();
    let refunds = refunds.map(|refund| BalanceTransaction::of_refund(ctx.account, refund));
    let mut all: Vec<BalanceTransaction<'_>> = charges
        .chain(refunds)
        .filter(|transaction| {
            filter.created.accepts(transaction.created)
                && (filter.currency).is_none_or(|currency| transaction.currency == currency)
                && source.is_none_or(|id| **transaction.source == *id)
                && filter.kind.is_none_or(|kind| transaction.kind == kind)
        })
        .collect();
    all.reverse();
    all.sort_by_key(|transaction| std::cmp::Reverse(transaction.created));
    let rows: Vec<&BalanceTransaction<'_>> = all.iter().collect();
    let rows = filter.page.of_rows(&rows, NAME)?;
    Ok(rows.to_json(URL, |transaction| transaction.to_json(ctx.account, ctx.now)))
}

/// `GET /v1/balance_transactions/:id`
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    let id = ctx.arg(0);
    render(ctx.account, ctx.now, &id).ok_or_else(|| Error::not_found(NAME, &id))
}

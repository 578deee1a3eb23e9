//! Charges: attempts to take money, that succeeded or failed.

use serde_json::{Value, json};

use super::payment_intent::Intent;
use super::payment_method::PaymentMethod;
use super::payment_method::card::Decline;
use super::routes::{Route, route};
use super::subscription::view::merged;
use super::{balance_transaction, customer};
use crate::error::{Error, Result};
use crate::money::currency::Currency;
use crate::params::Params;
use crate::params::filter::Created;
use crate::params::metadata::Metadata;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;
use crate::store::state::Account;
use crate::store::table::Row;

const URL: &str = "/v1/charges";
pub(crate) const WHAT: &str = "charge";

pub(crate) const ROUTES: &[Route] = &[
    route("GET", URL, list, "list:charge"),
    route("GET", "/v1/charges/:id", retrieve, "charge"),
    route("POST", "/v1/charges/:id", update, "charge"),
];

/// See the module's text. What it shares with its intent is the intent's at the time.
#[derive(Clone, Debug)]
pub(crate) struct Charge {
    pub(crate) id: Id,
    pub(crate) created: i64,
    pub(crate) intent: Id,
    pub(crate) customer: Option<Id>,
    invoice: Option<Id>,
    payment_method: Id,
    pub(crate) amount: i64,
    pub(crate) currency: Currency,
    /// In cents.
    pub(crate) captured: i64,
    /// When the money was taken, if it was.
    pub(crate) captured_at: Option<i64>,
    /// Whether the money is reserved, and waits for being captured.
    pub(crate) uncaptured: bool,
    /// In cents.
    pub(crate) refunded: i64,
    pub(crate) failure: Option<Failure>,
    pub(crate) description: Option<String>,
    receipt_email: Option<String>,
    shipping: Option<Value>,
    statement_descriptor: Option<String>,
    statement_descriptor_suffix: Option<String>,
    metadata: Metadata,
}

/// Why a charge failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    code: &'static str,
    message: &'static str,
    reason: &'static str,
}

impl Failure {
    pub(crate) fn of(decline: Decline) -> Self {
        Self {
            code: decline.code,
            message: decline.message,
            reason: decline.reason.unwrap_or(decline.code),
        }
    }
}

impl Row for Charge {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Charge {
    pub(crate) fn new(
        id: Id,
        intent: &Intent,
        method: &Id,
        failure: Option<Failure>,
        at: i64,
    ) -> Self {
        let details = &intent.details;
        let captures = failure.is_none() && !details.manual_capture;
        Self {
            id,
            created: at,
            intent: intent.id.clone(),
            customer: intent.customer.clone(),
            invoice: intent.invoice.clone(),
            payment_method: method.clone(),
            amount: intent.amount,
            currency: intent.currency,
            captured: if captures { intent.amount } else { 0 },
            captured_at: captures.then_some(at),
            uncaptured: failure.is_none() && details.manual_capture,
            refunded: 0,
            failure,
            description: details.description.clone(),
            receipt_email: details.receipt_email.clone(),
            shipping: details.shipping.clone(),
            statement_descriptor: details.statement_descriptor.clone(),
            statement_descriptor_suffix: details.statement_descriptor_suffix.clone(),
            metadata: details.metadata.clone(),
        }
    }

    /// What can still be given back, in cents.
    pub(crate) fn refundable(&self) -> i64 {
        if self.failure.is_some() || self.uncaptured {
            return 0;
        }
        self.amount - self.refunded
    }

    pub(crate) fn to_json(&self, account: &Account) -> Value {
        let method = account.payment_methods.get(&self.payment_method);
        let paid = self.failure.is_none();
        let first = json!({
            "id": &*self.id,
            "object": "charge",
            "amount": self.amount,
            "amount_captured": self.captured,
            "amount_refunded": self.refunded,
            "application": null,
            "application_fee": null,
            "application_fee_amount": null,
            "balance_transaction": self.captured_at.map(|_| balance_transaction::id_of(&self.id).to_string()),
            "billing_details": method.map(PaymentMethod::billing_json),
            "calculated_statement_descriptor": "SANDBOX",
            "captured": paid && !self.uncaptured,
            "created": self.created,
            "currency": self.currency.as_str(),
            "customer": self.customer.as_deref(),
            "description": self.description,
            "destination": null,
            "dispute": null,
            "disputed": false,
            "failure_balance_transaction": null,
            "failure_code": self.failure.map(|failure| failure.code),
            "failure_message": self.failure.map(|failure| failure.message),
        });
        let second = json!({
            "fraud_details": {},
            "invoice": self.invoice.as_deref(),
            "livemode": false,
            "metadata": self.metadata.to_json(),
            "on_behalf_of": null,
            "order": null,
            "outcome": self.outcome(),
            "paid": paid,
            "payment_intent": &*self.intent,
            "payment_method": &*self.payment_method,
            "payment_method_details": method.map(PaymentMethod::charged_json),
            "receipt_email": self.receipt_email,
            "receipt_number": null,
            "receipt_url": null,
            "refunded": paid && self.refunded == self.amount,
            "review": null,
            "shipping": self.shipping,
            "source": null,
            "source_transfer": null,
            "statement_descriptor": self.statement_descriptor,
            "statement_descriptor_suffix": self.statement_descriptor_suffix,
            "status": if paid { "succeeded" } else { "failed" },
            "transfer_data": null,
            "transfer_group": null,
        });
        merged([first, second])
    }

    /// What the bank said.
    fn outcome(&self) -> Value {
        match self.failure {
            None => json!({
                "network_status": "approved_by_network",
                "reason": null,
                "risk_level": "normal",
                "risk_score": 0,
                "seller_message": "Payment complete.",
                "type": "authorized",
            }),
            Some(failure) => json!({
                "network_status": "declined_by_network",
                "reason": failure.reason,
                "risk_level": "normal",
                "risk_score": 0,
                "seller_message": "The bank did not return any further details with this decline.",
                "type": "issuer_declined",
            }),
        }
    }
}

/// `GET /v1/charges`
fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    let created = Created::read(params)?;
    let customer = params.string("customer")?;
    if let Some(id) = customer {
        customer::named(ctx, id, "customer")?;
    }
    let intent = params.string("payment_intent")?;
    params.unmodelled(&["transfer_group"])?;
    params.finish()?;
    let cut = page.of_table(&ctx.account.payments.charges, WHAT, |charge| {
        created.accepts(charge.created)
            && customer.is_none_or(|id| charge.customer.as_deref() == Some(id))
            && intent.is_none_or(|id| &*charge.intent == id)
    })?;
    Ok(cut.to_json(URL, |charge| charge.to_json(ctx.account)))
}

/// `GET /v1/charges/:id`
fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    Ok(find(ctx, &ctx.arg(0))?.to_json(ctx.account))
}

/// `POST /v1/charges/:id`: its texts.
fn update(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let mut charge = find(ctx, &ctx.arg(0))?.clone();
    let before = charge.to_json(ctx.account);
    let text = |key| Ok::<_, Error>(params.nullable(key)?.map(str::to_owned));
    text("description")?.apply(&mut charge.description);
    text("receipt_email")?.apply(&mut charge.receipt_email);
    charge.metadata = params.metadata()?.apply(&charge.metadata)?;
    params.unmodelled(&["customer", "fraud_details", "shipping", "transfer_group"])?;
    params.finish()?;
    let after = charge.to_json(ctx.account);
    let customer = charge.customer.clone();
    let now = customer.map_or(ctx.now, |customer| ctx.time_of(&customer));
    if let Some(row) = ctx.account.payments.charges.get_mut(&charge.id) {
        row.clone_from(&charge);
    }
    if after != before {
        ctx.update_event("charge.updated", &before, &after, now);
    }
    Ok(after)
}

fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a Charge> {
    let charge = ctx.account.payments.charges.get(id);
    charge.ok_or_else(|| Error::not_found(WHAT, id))
}

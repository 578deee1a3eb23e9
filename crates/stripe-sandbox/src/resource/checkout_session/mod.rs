//! A checkout session as state, and as Stripe 2022-11-15 shows it.

pub(crate) mod discount;
pub(crate) mod input;
pub(crate) mod routes;

use serde_json::{Value, json};

use super::discount::Applied;
use super::subscription::view::merged;
use super::subscription_schedule::ItemSpec;
use crate::engine::timeline::Due;
use crate::money::currency::Currency;
use crate::params::metadata::Metadata;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::state::Account;
use crate::store::table::Row;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Open,
    Complete,
    Expired,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Complete => "complete",
            Self::Expired => "expired",
        }
    }
}

/// What paying does.
#[derive(Clone, Debug)]
pub(crate) enum Mode {
    /// Keeps a card for later, on this intent.
    Setup { intent: Id },
    /// Starts a subscription.
    Subscription(Box<Purchase>),
}

/// The subscription that is bought.
#[derive(Clone, Debug)]
pub(crate) struct Purchase {
    pub(crate) specs: Vec<ItemSpec>,
    pub(crate) currency: Currency,
    pub(crate) metadata: Metadata,
    pub(crate) description: Option<String>,
    pub(crate) coupon: Option<Applied>,
    /// How long, in days from paying; and until when, in seconds. At most one of the two.
    pub(crate) trial_days: Option<i64>,
    pub(crate) trial_end: Option<i64>,
    /// Due on paying, in cents, before the coupon, and what that takes off.
    pub(crate) subtotal: i64,
    pub(crate) discount: i64,
}

impl Purchase {
    /// Due on paying, in cents.
    pub(crate) fn due(&self) -> i64 {
        self.subtotal - self.discount
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) id: Id,
    pub(crate) created: i64,
    pub(crate) expires_at: i64,
    pub(crate) status: Status,
    pub(crate) mode: Mode,
    pub(crate) customer: Option<Id>,
    pub(crate) customer_email: Option<String>,
    pub(crate) success_url: String,
    pub(crate) cancel_url: Option<String>,
    /// Where the page is.
    pub(crate) url: String,
    pub(crate) automatic_tax: bool,
    pub(crate) tax_ids: bool,
    pub(crate) billing_address: Option<&'static str>,
    pub(crate) client_reference: Option<String>,
    pub(crate) locale: Option<&'static str>,
    pub(crate) promotion_codes: Option<bool>,
    pub(crate) collection: &'static str,
    pub(crate) metadata: Metadata,
    /// What paying made.
    pub(crate) subscription: Option<Id>,
    pub(crate) invoice: Option<Id>,
    /// The customer's e-mail address, name and phone when it was done.
    pub(crate) details: Option<[Option<String>; 3]>,
}

impl Row for Session {
    fn id(&self) -> &Id {
        &self.id
    }
}

/// The session.
pub(crate) fn to_json(session: &Session) -> Value {
    let (mode, intent, purchase) = match &session.mode {
        Mode::Setup { intent } => ("setup", Some(intent), None),
        Mode::Subscription(purchase) => ("subscription", None, Some(purchase)),
    };
    let subtotal = purchase.map(|purchase| purchase.subtotal);
    let open = session.status == Status::Open;
    let payment = match (session.status, purchase) {
        (_, None) => "no_payment_required",
        (Status::Complete, Some(_)) => "paid",
        (_, Some(_)) => "unpaid",
    };
    let first = json!({
        "id": &*session.id,
        "object": "checkout.session",
        "after_expiration": null,
        "allow_promotion_codes": session.promotion_codes,
        "amount_subtotal": subtotal,
        "amount_total": purchase.map(|purchase| purchase.due()),
        "automatic_tax": {
            "enabled": session.automatic_tax,
            "status": session.automatic_tax.then_some(if open { "requires_location_inputs" } else { "complete" }),
        },
        "billing_address_collection": session.billing_address,
        "cancel_url": session.cancel_url,
        "client_reference_id": session.client_reference,
        "consent": null,
        "consent_collection": null,
        "created": session.created,
        "currency": purchase.map(|purchase| purchase.currency.as_str()),
        "custom_fields": [],
        "custom_text": {"shipping_address": null, "submit": null},
        "customer": session.customer.as_deref(),
        "customer_creation": if session.customer.is_some() && open { None } else { Some(if purchase.is_some() { "always" } else { "if_required" }) },
        "customer_details": details(session),
        "customer_email": session.customer_email,
        "expires_at": session.expires_at,
    });
    let second = json!({
        "invoice": session.invoice.as_deref(),
        "invoice_creation": null,
        "livemode": false,
        "locale": session.locale,
        "metadata": session.metadata.to_json(),
        "mode": mode,
        "payment_intent": null,
        "payment_link": null,
        "payment_method_collection": session.collection,
        "payment_method_options": null,
        "payment_method_types": ["card"],
        "payment_status": payment,
        "phone_number_collection": {"enabled": false},
        "recovered_from": null,
        "setup_intent": intent.map(|intent| &**intent),
        "shipping_address_collection": null,
        "shipping_cost": null,
        "shipping_details": null,
        "shipping_options": [],
        "status": session.status.as_str(),
        "submit_type": null,
        "subscription": session.subscription.as_deref(),
        "success_url": session.success_url,
        "tax_id_collection": {"enabled": session.tax_ids},
        "total_details": purchase.map(|purchase| json!({
            "amount_discount": purchase.discount,
            "amount_shipping": 0,
            "amount_tax": 0,
        })),
        "url": open.then_some(&session.url),
    });
    merged([first, second])
}

fn details(session: &Session) -> Value {
    let Some([email, name, phone]) = &session.details else {
        return session
            .customer_email
            .as_ref()
            .map_or(Value::Null, |email| who(Some(email), None, None));
    };
    who(email.as_deref(), name.as_deref(), phone.as_deref())
}

fn who(email: Option<&str>, name: Option<&str>, phone: Option<&str>) -> Value {
    json!({
        "address": null,
        "email": email,
        "name": name,
        "phone": phone,
        "tax_exempt": "none",
        "tax_ids": [],
    })
}

/// Closes a session that nobody has paid.
pub(crate) fn expire(ctx: &mut Ctx<'_>, position: u32, at: i64) {
    let Some(session) = ctx.account.billing.sessions.at_mut(position) else {
        return;
    };
    let due = session.expires_at;
    session.status = Status::Expired;
    let object = to_json(session);
    let billing = &mut ctx.account.billing;
    billing.timelines.remove(None, due, Due::Session(position));
    ctx.event("checkout.session.expired", &object, at);
}

/// Forgets the sessions of a customer.
pub(crate) fn erase(account: &mut Account, customer: &Id) {
    let billing = &mut account.billing;
    let theirs: Vec<(Id, i64)> = billing
        .sessions
        .iter()
        .filter(|session| session.customer.as_ref() == Some(customer))
        .map(|session| (session.id.clone(), session.expires_at))
        .collect();
    for (id, at) in theirs {
        if let Some(position) = billing.sessions.position(&id) {
            billing.timelines.remove(None, at, Due::Session(position));
        }
        billing.sessions.remove(&id);
    }
}

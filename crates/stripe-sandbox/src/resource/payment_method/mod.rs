//! Payment methods: cards, made from Stripe's test tokens and numbers. Their endpoints are in
//! [`payment_methods`](crate::resource::payment_method::routes).

pub(crate) mod card;
pub(crate) mod routes;
pub(crate) mod types;
pub(crate) mod view;

use serde_json::Value;

use self::card::{Card, Charged, Presence};
use crate::error::{Error, Result};
use crate::params::metadata::Metadata;
pub(crate) use crate::resource::payment_method::types::OTHER_TYPES;
pub(crate) use crate::resource::payment_method::types::cards_only;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::state::Account;
use crate::store::table::Row;

/// Stripe's name for it in messages.
pub(crate) const WHAT: &str = "PaymentMethod";

/// See the module's text.
#[derive(Clone, Debug)]
pub(crate) struct PaymentMethod {
    pub(crate) id: Id,
    pub(crate) created: i64,
    /// To whom it is attached.
    pub(crate) customer: Option<Id>,
    /// Whether it was detached, or charged without being attached: it is good for nothing any more.
    pub(crate) used_up: bool,
    /// Whether it was set up for payments without the customer.
    pub(crate) set_up: bool,
    pub(crate) card: &'static Card,
    pub(crate) expiry: Expiry,
    pub(crate) cvc_check: Option<&'static str>,
    pub(crate) billing: Billing,
    pub(crate) metadata: Metadata,
}

/// The last month in which a card is good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expiry {
    pub(crate) month: i64,
    pub(crate) year: i64,
}

/// Stripe's `billing_details`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Billing {
    pub(crate) address: Option<Value>,
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) phone: Option<String>,
}

impl Row for PaymentMethod {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl PaymentMethod {
    /// One that is not attached yet, and has no id. A test card is good for another year.
    pub(crate) fn new(card: &'static Card, now: i64) -> Self {
        use chrono::Datelike as _;
        let today = chrono::DateTime::from_timestamp(now, 0).unwrap_or_default();
        Self {
            id: Id::default(),
            created: now,
            customer: None,
            used_up: false,
            set_up: false,
            card,
            expiry: Expiry {
                month: i64::from(today.month()),
                year: i64::from(today.year()) + 1,
            },
            cvc_check: None,
            billing: Billing::default(),
            metadata: Metadata::default(),
        }
    }

    /// What a charge of it comes to.
    pub(crate) fn charge(&self, presence: Presence) -> Charged {
        self.card.charge(presence, self.set_up)
    }
}

/// What a parameter that names a payment method stands for.
#[derive(Clone, Debug)]
pub(crate) enum Named {
    /// One that is there.
    Existing(Id),
    /// A test token: a new one is made of it on use.
    Token(&'static Card),
}

/// Looks up what `id` names: a `pm_…` of the account, or a test token.
pub(crate) fn named(ctx: &Ctx<'_>, id: &str, param: &str) -> Result<Named> {
    if let Some(found) = ctx.account.payment_methods.get(id) {
        return Ok(Named::Existing(found.id.clone()));
    }
    let card = card::by_token(id, "pm_card_", param)?;
    card.map(Named::Token)
        .ok_or_else(|| missing(ctx.account, id, param))
}

/// The error for a payment method that is not there. A platform is reminded of its connected accounts.
pub(crate) fn missing(account: &Account, id: &str, param: &str) -> Error {
    let mut error = Error::no_such(WHAT, id, param);
    if account.connected.iter().next().is_some() {
        error.message.push_str("; It's possible this PaymentMethod exists on one of your connected accounts, in which case you should retry this request on that connected account. Learn more at https://stripe.com/docs/connect/authentication");
    }
    error
}

impl Named {
    pub(crate) fn card(&self, ctx: &Ctx<'_>) -> &'static Card {
        match self {
            Self::Token(card) => card,
            Self::Existing(id) => {
                let found = ctx.account.payment_methods.get(id);
                found.expect("payment methods are never deleted").card
            }
        }
    }
}

/// Like [`named`], for use by `customer` (`None`: one that is about to be created, or nobody): what is attached
/// to somebody else is refused, and what was detached.
pub(crate) fn usable(
    ctx: &Ctx<'_>,
    id: &str,
    customer: Option<&str>,
    param: &str,
) -> Result<Named> {
    let named = named(ctx, id, param)?;
    if let Named::Existing(id) = &named
        && let Some(found) = ctx.account.payment_methods.get(id)
    {
        if found.used_up {
            return Err(Error::invalid(
                "This PaymentMethod was previously used without being attached to a Customer or was detached from a Customer, and may not be used again.",
            ));
        }
        let holder = found.customer.as_deref();
        if holder.is_some() && holder != customer {
            return Err(Error::invalid(
                "The payment method you provided has already been attached to a customer.",
            )
            .code("resource_already_exists")
            .param(param));
        }
    }
    Ok(named)
}

/// [`usable`], and its bank lets it be attached.
pub(crate) fn attachable(
    ctx: &Ctx<'_>,
    id: &str,
    customer: Option<&str>,
    param: &str,
) -> Result<Named> {
    let named = usable(ctx, id, customer, param)?;
    named.card(ctx).check_attachable()?;
    Ok(named)
}

/// Makes the payment method if it is a token still, attaches it and says its id. The customer exists, and
/// nobody else holds the payment method.
pub(crate) fn attach_to(ctx: &mut Ctx<'_>, named: Named, customer: &Id) -> Id {
    let now = ctx.time_of(customer);
    let id = match named {
        Named::Existing(id) => id,
        Named::Token(card) => insert(ctx, PaymentMethod::new(card, now)),
    };
    let position = ctx.account.payment_methods.position(&id);
    let Some(position) = position else { return id };
    let Some(method) = ctx.account.payment_methods.at_mut(position) else {
        return id;
    };
    if method.customer.is_some() {
        return id;
    }
    method.customer = Some(customer.clone());
    let rendered = method.to_json();
    if let Some(holder) = ctx.account.customers.get_mut(customer) {
        holder.payment_methods.push(position);
        holder.payment_methods.sort_unstable();
        holder.had_payment_method = true;
    }
    ctx.event("payment_method.attached", &rendered, now);
    id
}

/// Takes the payment method from its customer, from whom it can collect no more: it is the default of nothing,
/// and of no use to anybody.
pub(crate) fn detach_from(ctx: &mut Ctx<'_>, id: &Id, customer: &Id) {
    let position = ctx.account.payment_methods.position(id);
    if let Some(method) = ctx.account.payment_methods.get_mut(id) {
        method.customer = None;
        method.used_up = true;
    }
    if let Some(holder) = ctx.account.customers.get_mut(customer) {
        holder
            .payment_methods
            .retain(|held| Some(*held) != position);
        if holder.default_payment_method.as_ref() == Some(id) {
            holder.default_payment_method = None;
        }
    }
    crate::resource::billing::payment_method_detached(ctx.account, customer, id);
}

/// Makes the payment method that a test token stands for, without attaching it.
pub(crate) fn insert_token(ctx: &mut Ctx<'_>, card: &'static Card) -> Id {
    insert(ctx, PaymentMethod::new(card, ctx.now))
}

pub(crate) fn insert(ctx: &mut Ctx<'_>, mut method: PaymentMethod) -> Id {
    method.id = ctx.account.ids.next("pm", 24);
    let id = method.id.clone();
    ctx.account.payment_methods.insert(method);
    id
}

/// The error for a payment method that is there, and not the customer's.
pub(crate) fn not_theirs(id: &str, param: impl Into<String>) -> Error {
    Error::invalid(format!("The customer does not have a payment method with the ID {id}. The payment method must be attached to the customer."))
        .code("resource_missing")
        .param(param)
}

//! Creating, attaching and detaching payment methods.

use crate::resource::customer::Customer;
use crate::resource::payment_method::card::{Card, ChargeOutcome, Decline, Presence};
use crate::resource::payment_method::{MethodRef, PaymentMethod};
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::ids::Id;

impl MethodRef {
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

/// The outcome of charging a payment method. The viewer can make a customer's next charge fail.
pub(crate) fn outcome(
    account: &Account,
    method: &PaymentMethod,
    presence: Presence,
) -> ChargeOutcome {
    let customer = method.customer.as_ref();
    let customer = customer.and_then(|id| account.customers.get(id));
    if customer.is_some_and(Customer::next_payment_fails) {
        return ChargeOutcome::Declined(Decline::GENERIC);
    }
    method.charge(presence)
}

/// Attaches the payment method and returns its id; a test token is turned into a payment method first. The customer
/// must exist, and the payment method must not be attached to another one.
pub(crate) fn attach_to(ctx: &mut Ctx<'_>, named: MethodRef, customer: &Id) -> Id {
    let now = ctx.time_of(customer);
    let id = match named {
        MethodRef::Existing(id) => id,
        MethodRef::Token(card) => insert(ctx, PaymentMethod::new(card, now)),
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
    if let Some(row) = ctx.account.customers.get_mut(customer) {
        row.payment_methods.push(position);
        row.payment_methods.sort_unstable();
        row.had_payment_method = true;
    }
    ctx.event("payment_method.attached", &rendered, now);
    id
}

/// Detaches the payment method from its customer. It is then nobody's default and cannot be used again.
pub(crate) fn detach_from(ctx: &mut Ctx<'_>, id: &Id, customer: &Id) {
    let position = ctx.account.payment_methods.position(id);
    if let Some(method) = ctx.account.payment_methods.get_mut(id) {
        method.customer = None;
        method.is_used_up = true;
    }
    if let Some(row) = ctx.account.customers.get_mut(customer) {
        row.payment_methods.retain(|other| Some(*other) != position);
        if row.default_payment_method.as_ref() == Some(id) {
            row.default_payment_method = None;
        }
    }
    payment_method_detached(ctx.account, customer, id);
}

/// Creates the payment method of a test token without attaching it.
pub(crate) fn insert_token(ctx: &mut Ctx<'_>, card: &'static Card) -> Id {
    insert(ctx, PaymentMethod::new(card, ctx.now))
}

pub(crate) fn insert(ctx: &mut Ctx<'_>, mut method: PaymentMethod) -> Id {
    method.id = ctx.account.ids.next("pm", 24);
    let id = method.id.clone();
    ctx.account.payment_methods.insert(method);
    id
}

/// Removes a detached payment method from the defaults of the customer's subscriptions and schedules.
fn payment_method_detached(account: &mut Account, customer: &Id, method: &Id) {
    let forget = |default: &mut Option<Id>| {
        if default.as_ref() == Some(method) {
            *default = None;
        }
    };
    let Some(row) = account.customers.get(customer) else {
        return;
    };
    for position in &row.subscriptions {
        if let Some(subscription) = account.billing.subscriptions.at_mut(*position) {
            forget(&mut subscription.default_payment_method);
        }
    }
    for position in &row.schedules {
        if let Some(schedule) = account.billing.schedules.at_mut(*position) {
            forget(&mut schedule.defaults.default_payment_method);
            for phase in &mut schedule.phases {
                forget(&mut phase.default_payment_method);
            }
        }
    }
}
